//! Back-off: 10 seconds, doubling to 300; forgotten after ten quiet minutes.

use std::time::Duration;

use pod_model::Uptime;

use crate::Timing;

const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_mins(5);
const FORGOTTEN_AFTER: Duration = Duration::from_mins(10);

/// How long the next attempt has to wait, and since when that is so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Backoff {
    delay: Option<Duration>,
    updated: Uptime,
}

impl Backoff {
    /// The earliest time of an attempt after a failure at `failed`: at once for the first one.
    pub(crate) fn not_before(&self, failed: Uptime, timing: Timing) -> Uptime {
        match self.delay {
            Some(delay) if !self.is_forgotten(failed) => failed + timing.scaled(delay),
            _ => failed,
        }
    }

    /// The delay that the next attempt waits for, unscaled, as messages tell it.
    pub(crate) fn delay(&self) -> Duration {
        self.delay.unwrap_or(FIRST)
    }

    /// Remembers an attempt at `started` after a failure at `failed`: the one after it waits twice
    /// as long.
    pub(crate) fn lengthen(&mut self, failed: Uptime, started: Uptime) {
        self.delay = Some(match self.delay {
            Some(delay) if !self.is_forgotten(failed) => (delay * 2).min(LONGEST),
            _ => FIRST,
        });
        self.updated = started;
    }

    fn is_forgotten(&self, failed: Uptime) -> bool {
        failed.since(self.updated) > FORGOTTEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instantly_failing_container_starts_at_kubernetes_times() {
        let (mut backoff, mut now, mut starts) = (Backoff::default(), Uptime::START, vec![0]);
        for _ in 0..7 {
            now = backoff.not_before(now, Timing::default());
            backoff.lengthen(now, now);
            starts.push(now.elapsed().as_secs());
        }
        assert_eq!(starts, [0, 0, 10, 30, 70, 150, 310, 610]);
    }

    #[test]
    fn a_run_of_less_than_ten_minutes_after_a_long_wait_is_not_forgiven() {
        let (mut backoff, mut now) = (Backoff::default(), Uptime::START);
        for _ in 0..7 {
            let start = backoff.not_before(now, Timing::default());
            backoff.lengthen(now, start);
            now = start;
        }
        let failed = now + Duration::from_secs(599);
        let wait = Duration::from_mins(5);
        assert_eq!(backoff.not_before(failed, Timing::default()), failed + wait);
    }

    #[test]
    fn ten_quiet_minutes_are_forgiven() {
        let mut backoff = Backoff::default();
        backoff.lengthen(Uptime::START, Uptime::START);
        let later = Uptime::after(Duration::from_secs(601));
        assert_eq!(backoff.not_before(later, Timing::default()), later);
        backoff.lengthen(later, later);
        assert_eq!(backoff.delay(), FIRST);
    }
}
