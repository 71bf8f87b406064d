//! How long a registry is waited for, and how often it is asked again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime};

/// What is put up with before a pull is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often a request is made in all, while nothing comes of it.
    pub tries: u32,
    /// The pause before the second try; it doubles with each further one.
    pub pause: Duration,
    /// No pause is longer. A registry that wants a longer one (`Retry-After`) is given up.
    pub longest_pause: Duration,
    /// A registry that does not take a connection, with TLS, for this long is not there.
    pub connect: Duration,
    /// A registry that sends not a single byte for this long is given up after one more try.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 5,
            pause: Duration::from_secs(1),
            longest_pause: Duration::from_mins(1),
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(30),
        }
    }
}

impl Patience {
    /// The pause before that try (2 is the first one that follows a failure), with some jitter,
    /// so that machines that failed together do not come back together. A registry that says
    /// how long it wants to be left alone is obeyed; `None` if that is too long.
    pub(super) fn pause_before(&self, attempt: u32, wanted: Option<Duration>) -> Option<Duration> {
        if let Some(wanted) = wanted {
            let extra = wanted.min(self.pause).mul_f64(random());
            return (wanted <= self.longest_pause).then(|| wanted + extra);
        }
        let doubled = self.pause.saturating_mul(1 << attempt.saturating_sub(2).min(16));
        Some(doubled.min(self.longest_pause).mul_f64(0.5 + random() / 2.0))
    }
}

/// A number from 0 to 1. The keys of hash maps are random enough for this.
fn random() -> f64 {
    let number = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(number >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

/// Reads `Retry-After`: seconds, or a date (RFC 9110 §10.2.3).
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let since_1970 = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(http_date(header)?.saturating_sub(since_1970))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as time since 1970 (RFC 9110 §5.6.7). The two obsolete forms
/// are not read.
fn http_date(text: &str) -> Option<Duration> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = text.split_once(", ")?;
    let parts: Vec<&str> = date.split([' ', ':']).collect();
    let [day, month, year, hour, minute, second, "GMT"] = parts[..] else { return None };
    let number = |text: &str| text.parse::<u32>().ok().map(u64::from);
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year) = (number(day)?, number(year)?);
    if !(1970..=9999).contains(&year) {
        return None;
    }
    // Years that begin in March have their leap day at the end.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let since_1970 = days.checked_sub(719_469)?;
    let seconds = number(hour)? * 3600 + number(minute)? * 60 + number(second)?;
    Some(Duration::from_secs(since_1970 * 86400 + seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_with_jitter_up_to_the_longest() {
        let patience = Patience { longest_pause: Duration::from_secs(6), ..Patience::default() };
        for (attempt, least, most) in [(2, 500, 1000), (3, 1000, 2000), (5, 3000, 6000)] {
            let pause = patience.pause_before(attempt, None).unwrap().as_millis();
            assert!((least..=most).contains(&pause), "try {attempt}: {pause} ms");
        }
    }

    #[test]
    fn a_wanted_pause_is_never_cut_short_but_may_be_too_long() {
        let patience = Patience::default();
        let wanted = Duration::from_secs(7);
        assert!(patience.pause_before(2, Some(wanted)).unwrap() >= wanted);
        assert_eq!(patience.pause_before(2, Some(Duration::from_secs(61))), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let rows = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("Thu, 29 Feb 1996 08:49:30 GMT", Some(480 * 86400)),
            ("-1", None),
            ("soon", None),
            ("Sun, 06 Foo 1994 08:49:37 GMT", None),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None),
        ];
        for (text, seconds) in rows {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }
}
