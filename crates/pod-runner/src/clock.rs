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
