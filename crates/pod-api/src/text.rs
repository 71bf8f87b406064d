//! Texts that Kubernetes prints.

use std::time::Duration;

/// An error with its causes in one line, as events tell it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    words(&text)
}

/// A message without the error numbers that the standard library adds to the kernel's words:
/// `Permission denied (os error 13)`.
pub fn words(message: &str) -> String {
    let mut rest = message;
    let mut text = String::with_capacity(message.len());
    while let Some(at) = rest.find(NUMBER) {
        let (before, behind) = (&rest[..at], &rest[at + NUMBER.len()..]);
        text.push_str(before);
        let end = behind.trim_start_matches(|one: char| one.is_ascii_digit());
        let after = end.strip_prefix(')').filter(|_| end.len() < behind.len());
        if after.is_none() {
            text.push_str(NUMBER);
        }
        rest = after.unwrap_or(behind);
    }
    text + rest
}

/// What stands before an error number.
const NUMBER: &str = " (os error ";

/// A duration as Go prints it: `1.5s`, `250ms`, `1m0s`.
pub fn go_duration(duration: Duration) -> String {
    let (minutes, seconds) = (duration.as_secs() / 60, duration.as_secs() % 60);
    let fraction = |unit: f64| {
        let text = format!("{unit:.9}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if duration.is_zero() {
        return "0s".into();
    }
    if minutes == 0 && seconds == 0 {
        return format!("{}ms", fraction(duration.as_secs_f64() * 1000.0));
    }
    let rest = Duration::new(seconds, duration.subsec_nanos());
    let rest = fraction(rest.as_secs_f64());
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_words_and_no_error_numbers() {
        let denied = std::io::Error::from_raw_os_error(13);
        assert_eq!(words(&denied.to_string()), "Permission denied");
        assert_eq!(chain(&denied), "Permission denied");
        for (message, shown) in [
            ("a (os error 2): b (os error 111)", "a: b"),
            ("a (os error x) b", "a (os error x) b"),
            ("a (os error )", "a (os error )"),
            ("plain", "plain"),
        ] {
            assert_eq!(words(message), shown);
        }
    }

    #[test]
    fn durations_read_as_go_prints_them() {
        for (milliseconds, text) in [
            (0, "0s"),
            (250, "250ms"),
            (1_500, "1.5s"),
            (10_000, "10s"),
            (60_000, "1m0s"),
            (160_000, "2m40s"),
            (3_600_000, "1h0m0s"),
        ] {
            assert_eq!(go_duration(Duration::from_millis(milliseconds)), text);
        }
    }
}
