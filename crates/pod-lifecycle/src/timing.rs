//! How fast time passes for the rules that wait.

use std::time::Duration;

/// Factors and pauses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Factor on crash-loop, image and sandbox back-off; 1 is Kubernetes' own timing.
    pub backoff_scale: f64,
    /// How long an end is published before it is decided what follows.
    pub settle: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { backoff_scale: 1.0, settle: Duration::from_millis(1) }
    }
}

impl Timing {
    /// A back-off in this timing.
    pub(crate) fn scaled(self, delay: Duration) -> Duration {
        Duration::try_from_secs_f64(delay.as_secs_f64() * self.backoff_scale).unwrap_or(delay)
    }
}
