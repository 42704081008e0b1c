//! What decides about replicas.

use super::figures::Decision;

/// What a scaler sees at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Seconds since the epoch.
    pub now: i64,
    /// Cores that all pods use; nothing where nothing was recorded.
    pub cores: Option<f64>,
    /// Requests a second, where the demand counts them.
    pub rps: Option<f64>,
    /// Pods that there are to be.
    pub replicas: f64,
    /// Pods that are ready.
    pub ready: f64,
}

/// What decides about replicas.
pub trait Scaler {
    /// Replicas that there are to be from now on; nothing where it leaves them.
    fn decide(&mut self, seen: Seen) -> Option<Decision>;
}

/// A number that stays.
#[derive(Clone, Copy, Debug)]
pub struct Fixed(pub f64);

impl Scaler for Fixed {
    fn decide(&mut self, seen: Seen) -> Option<Decision> {
        (seen.replicas != self.0).then(|| Decision { target: self.0, by: "fixed".to_owned() })
    }
}
