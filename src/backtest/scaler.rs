//! What decides about replicas.

/// What a scaler sees at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Seconds since the epoch.
    pub now: i64,
    /// How long it was as it is now, seconds.
    pub seconds: f64,
    /// Cores that all pods use; nothing where nothing was recorded.
    pub cores: Option<f64>,
    /// Requests a second, where the demand counts them.
    pub rps: Option<f64>,
    /// Pods that there are to be.
    pub replicas: f64,
    /// Pods that are ready.
    pub ready: f64,
}

/// What a scaler says.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Replicas that there are to be from now on; nothing where it leaves them.
    pub target: Option<f64>,
    /// The rule that had the last word, or what else did.
    pub by: String,
}

/// What decides about replicas.
pub trait Scaler {
    /// What it says of a moment; nothing where it does not look, or leaves the number without a reason that counts.
    fn decide(&mut self, seen: Seen) -> Option<Verdict>;

    /// The next moment after one at which it measures or looks; seconds since the epoch.
    fn next(&self, after: i64) -> i64;
}

/// The first moment after one that is a multiple of so many seconds.
pub(super) fn next_multiple(after: i64, seconds: i64) -> i64 {
    after - after.rem_euclid(seconds) + seconds
}

/// A number that stays.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub f64);

impl Scaler for Fixed {
    fn decide(&mut self, seen: Seen) -> Option<Verdict> {
        (seen.replicas != self.0).then(|| Verdict { target: Some(self.0), by: "fixed".to_owned() })
    }

    fn next(&self, _: i64) -> i64 {
        i64::MAX
    }
}
