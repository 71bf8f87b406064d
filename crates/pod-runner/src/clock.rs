//! The two clocks of a supervisor: time since its start for decisions, dates for records.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use pod_model::Uptime;

/// A clock that started with the supervisor. Dates follow from the uptime, so that a change of
/// the machine's date never reorders what happened.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    date: Timestamp,
}

impl Clock {
    /// Starts the clock.
    pub fn start() -> Self {
        Self { started: Instant::now(), date: Timestamp::now() }
    }

    /// The time since the start.
    pub fn now(&self) -> Uptime {
        Uptime::after(self.started.elapsed())
    }

    /// The date of a moment.
    pub fn date(&self, at: Uptime) -> Timestamp {
        let elapsed = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.date.checked_add(elapsed).unwrap_or(self.date)
    }

    /// How long to wait until a moment, in milliseconds for poll(2), rounded up.
    pub fn milliseconds_until(&self, deadline: Uptime) -> i32 {
        let wait = deadline.since(self.now());
        i32::try_from(wait.as_micros().div_ceil(1000)).unwrap_or(i32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Whatever date the machine shows by now, what happened later is recorded as later.
    #[test]
    fn dates_follow_from_the_uptime_and_not_from_the_machines_date() {
        let clock = Clock { started: Instant::now(), date: Timestamp::UNIX_EPOCH };
        let at = |seconds| clock.date(Uptime::after(Duration::from_secs(seconds))).as_second();
        assert_eq!([at(0), at(10), at(4000)], [0, 10, 4000]);
        assert!(clock.date(clock.now()) < Timestamp::now(), "the machine's date plays no part");
    }

    #[test]
    fn a_wait_is_rounded_up_and_never_negative() {
        let clock = Clock::start();
        assert_eq!(clock.milliseconds_until(Uptime::START), 0);
        let later = clock.now() + Duration::from_secs(5);
        assert!((1..=5000).contains(&clock.milliseconds_until(later)));
    }
}
