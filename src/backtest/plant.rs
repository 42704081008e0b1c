//! Pods that start, serve and queue: how replicas turn a demand into what is measured.

/// Every number that a backtest assumes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumptions {
    /// CPU request of a pod, cores.
    pub cpu_request: f64,
    /// Cores that a pod can use at most.
    pub pod_cores: f64,
    /// Seconds from a decision to the pods being ready.
    pub start_up: i64,
    /// Seconds that work waits before it is given up.
    pub patience: f64,
    /// Cores that one request a second takes, where the demand counts requests.
    pub cores_per_rps: f64,
    /// Fewest replicas: the record's.
    pub least: f64,
    /// Most replicas: the controller's limit.
    pub most: f64,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self {
            cpu_request: 0.5,
            pod_cores: 0.5,
            start_up: 30,
            patience: 60.0,
            cores_per_rps: 0.001,
            least: 1.0,
            most: 20.0,
        }
    }
}

/// What was served in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Served {
    /// Cores that were used.
    pub cores: f64,
    /// Cores that were asked for: the demand and what waited.
    pub asked: f64,
    /// Cores that the ready pods have.
    pub capacity: f64,
    /// Core-seconds that were given up.
    pub lost: f64,
    /// Pods that are ready.
    pub ready: f64,
}

impl Served {
    /// More was asked for than could be served.
    pub fn is_violated(&self) -> bool {
        self.asked > self.capacity * (1.0 + 1e-9)
    }
}

/// The pods of one class.
#[derive(Clone, Debug)]
pub struct Plant {
    assume: Assumptions,
    ready: f64,
    /// Pods on their way, and when each lot is ready; the oldest first.
    starting: Vec<(i64, f64)>,
    /// Core-seconds that wait.
    waiting: f64,
}

impl Plant {
    /// With so many pods that are ready.
    pub fn new(assume: Assumptions, replicas: f64) -> Self {
        Self { assume, ready: replicas, starting: Vec::new(), waiting: 0.0 }
    }

    /// Pods that there are to be.
    pub fn replicas(&self) -> f64 {
        self.ready + self.starting.iter().map(|(_, count)| count).sum::<f64>()
    }

    /// Pods that are ready.
    pub fn ready(&self) -> f64 {
        self.ready
    }

    /// Core-seconds that wait.
    pub fn waiting(&self) -> f64 {
        self.waiting
    }

    /// Asks for another number of pods at a moment. More of them are ready after their start-up; those that are too many
    /// go at once, the ones on their way first.
    pub fn scale(&mut self, replicas: f64, at: i64) {
        let there = self.replicas();
        if replicas > there {
            self.starting.push((at + self.assume.start_up, replicas - there));
            return;
        }
        let mut many = there - replicas;
        while let Some((_, count)) = self.starting.last_mut() {
            let gone = count.min(many);
            *count -= gone;
            many -= gone;
            if *count > 0.0 {
                break;
            }
            self.starting.pop();
        }
        self.ready = (self.ready - many).max(0.0);
    }

    /// Serves a demand for some seconds from a moment on.
    ///
    /// `asked = demand + waiting / seconds`, `served = min(asked, capacity)` with `capacity = ready * pod_cores`; what is not
    /// served waits in turn, as far as `patience * capacity` core-seconds: what is beyond would wait longer than `patience`,
    /// and is given up.
    pub fn serve(&mut self, demand: f64, at: i64, seconds: f64) -> Served {
        let due = self.starting.iter().take_while(|(ready, _)| *ready <= at).count();
        self.ready += self.starting.drain(..due).map(|(_, count)| count).sum::<f64>();
        let capacity = self.ready * self.assume.pod_cores;
        let asked = demand + self.waiting / seconds;
        let cores = asked.min(capacity);
        let left = (asked - cores) * seconds;
        self.waiting = left.min(self.assume.patience * capacity);
        Served { cores, asked, capacity, lost: left - self.waiting, ready: self.ready }
    }
}
