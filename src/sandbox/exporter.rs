//! What kubelets and applications would export, for pods that do not really run: a load for each workload, divided
//! among its ready pods, as counters under the names that cAdvisor and HTTP servers use.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::cluster::pods::PodIndex;

/// Upper bounds of the buckets of latency, seconds.
const BOUNDS: [f64; 8] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// What a workload is asked to do, all its pods together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// CPU, cores.
    pub cores: f64,
    /// Memory of each pod, bytes.
    pub memory: f64,
    /// Memory that all pods hold together, each its share, bytes.
    pub shared: f64,
    /// Requests a second; without any there are no metrics of requests.
    pub rps: f64,
    /// How long a request takes, seconds.
    pub latency: f64,
}

/// Serves metrics until it is dropped; clones share it.
#[derive(Clone, Debug)]
pub struct Exporter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    pods: PodIndex,
    address: SocketAddr,
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct State {
    loads: HashMap<(String, String), Load>,
    counters: BTreeMap<(String, String), Counters>,
    last: Instant,
}

/// Counters of one pod.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    cpu_seconds: f64,
    memory: f64,
    shared: f64,
    requests: f64,
    buckets: [f64; BOUNDS.len()],
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Exporter {
    /// Serves metrics of these pods on a free port.
    pub async fn start(pods: PodIndex) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = State { loads: HashMap::new(), counters: BTreeMap::new(), last: Instant::now() };
        let exporter = Self(Arc::new(Inner { state: Mutex::new(state), pods, address, task: Mutex::new(None) }));
        let weak = Arc::downgrade(&exporter.0);
        let page = move || {
            let text = weak.upgrade().map(|inner| Self(inner).text(Instant::now())).unwrap_or_default();
            async move { text }
        };
        let app = Router::new().route("/metrics", get(page));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::warn!(%error, "the exporter has ended");
            }
        });
        *exporter.0.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(exporter)
    }

    /// Where it is scraped.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Sets the load of a workload from now on.
    pub fn set(&self, namespace: &str, workload: &str, load: Load) {
        let mut state = self.state();
        self.advance(&mut state, Instant::now());
        state.loads.insert((namespace.to_owned(), workload.to_owned()), load);
    }

    /// Lets the counters go on to `now`: each ready pod does its share of its workload's load.
    fn advance(&self, state: &mut State, now: Instant) {
        let seconds = now.saturating_duration_since(state.last).as_secs_f64();
        state.last = now;
        let pods = self.0.pods.all();
        let mut ready: HashMap<(&str, &str), u32> = HashMap::new();
        for pod in pods.iter().filter(|pod| pod.ready_since.is_some() && !pod.ending) {
            *ready.entry((&pod.namespace, &pod.workload)).or_default() += 1;
        }
        let mut before = std::mem::take(&mut state.counters);
        for pod in pods.iter().filter(|pod| !pod.ending) {
            let id = (pod.namespace.clone(), pod.name.clone());
            let mut counters = before.remove(&id).unwrap_or_default();
            let load = state.loads.get(&(pod.namespace.clone(), pod.workload.clone())).copied().unwrap_or_default();
            (counters.memory, counters.shared) = (load.memory, 0.0);
            if let Some(ready) =
                ready.get(&(pod.namespace.as_str(), pod.workload.as_str())).filter(|_| pod.ready_since.is_some())
            {
                counters.shared = load.shared / f64::from(*ready);
                counters.work(load, seconds / f64::from(*ready));
            }
            state.counters.insert(id, counters);
        }
    }

    fn text(&self, now: Instant) -> String {
        let mut state = self.state();
        self.advance(&mut state, now);
        let mut text = String::new();
        for ((namespace, pod), counters) in &state.counters {
            counters.write(&mut text, &format!("namespace=\"{namespace}\",pod=\"{pod}\""));
        }
        text
    }

    // Whole after every statement, so a panic elsewhere cannot have left it half-changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// Does a share of a load: `share` is the seconds that it would take alone.
    fn work(&mut self, load: Load, share: f64) {
        self.cpu_seconds += load.cores * share;
        self.requests += load.rps * share;
        for (bucket, bound) in self.buckets.iter_mut().zip(BOUNDS) {
            if load.latency <= bound {
                *bucket += load.rps * share;
            }
        }
    }

    fn write(&self, text: &mut String, pod: &str) {
        let container = format!("{pod},container=\"function\"");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "container_cpu_usage_seconds_total{{{container}}} {}", self.cpu_seconds);
        let _ = writeln!(text, "container_memory_working_set_bytes{{{container}}} {}", self.memory);
        let _ = writeln!(text, "container_memory_rss{{{container}}} {}", self.shared);
        if self.requests <= 0.0 {
            return;
        }
        let _ = writeln!(text, "http_requests_total{{{pod}}} {}", self.requests);
        for (bucket, bound) in self.buckets.iter().zip(BOUNDS) {
            let _ = writeln!(text, "http_request_duration_seconds_bucket{{{pod},le=\"{bound}\"}} {bucket}");
        }
        let _ = writeln!(text, "http_request_duration_seconds_bucket{{{pod},le=\"+Inf\"}} {}", self.requests);
    }
}
