//! Signals by their names and numbers (signal(7)).

use std::str::FromStr;

use nix::sys::signal::Signal as Named;
use thiserror::Error;

/// A signal that can be sent, real-time signals included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal(i32);

/// What is neither a signal's name nor its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no such signal")]
pub struct UnknownSignal;

/// The real-time signals as the C library counts them for programs: the first two of the kernel's
/// are its own. What says `RTMIN+3` means these, whoever sends it (systemd(1), "Signals").
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// Other names of signals on Linux.
const ALIASES: [(&str, Named); 3] =
    [("CLD", Named::SIGCHLD), ("IOT", Named::SIGABRT), ("POLL", Named::SIGIO)];

impl Signal {
    /// `SIGTERM`.
    pub const TERM: Self = Self(Named::SIGTERM as i32);
    /// `SIGKILL`.
    pub const KILL: Self = Self(Named::SIGKILL as i32);

    /// Its number on this machine.
    pub fn number(self) -> i32 {
        self.0
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    /// A name with or without `SIG`, in any case, or a number, as docker and containerd read what an
    /// image says.
    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        if text.starts_with(|first: char| first.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| (1..=*REAL_TIME.end()).contains(number));
            return number.map(Self).ok_or(UnknownSignal);
        }
        let upper = text.to_ascii_uppercase();
        let short = upper.strip_prefix("SIG").unwrap_or(&upper);
        let alias = ALIASES.iter().find(|(name, _)| *name == short).map(|(_, signal)| *signal);
        let named = alias.or_else(|| format!("SIG{short}").parse().ok());
        let number = named.map(|signal: Named| signal as i32).or_else(|| real_time(short));
        number.map(Self).ok_or(UnknownSignal)
    }
}

/// The number of `RTMIN`, `RTMIN+1` to `RTMIN+15`, `RTMAX-14` to `RTMAX-1`, `RTMAX`.
fn real_time(name: &str) -> Option<i32> {
    let offset = |text: &str, most: i32| {
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|offset| is_plain && (1..=most).contains(offset))
    };
    match (name.strip_prefix("RTMIN"), name.strip_prefix("RTMAX")) {
        (Some(""), _) => Some(*REAL_TIME.start()),
        (Some(rest), _) => Some(REAL_TIME.start() + offset(rest.strip_prefix('+')?, 15)?),
        (_, Some("")) => Some(*REAL_TIME.end()),
        (_, Some(rest)) => Some(REAL_TIME.end() - offset(rest.strip_prefix('-')?, 14)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Option<i32> {
        text.parse::<Signal>().ok().map(Signal::number)
    }

    #[test]
    fn a_signal_has_a_name_an_alias_or_a_number() {
        for (text, expected) in [
            ("SIGTERM", libc::SIGTERM),
            ("term", libc::SIGTERM),
            ("Sigusr1", libc::SIGUSR1),
            ("15", 15),
            ("37", 37),
            ("64", 64),
            ("SIGPOLL", libc::SIGIO),
            ("IO", libc::SIGIO),
            ("SIGIOT", libc::SIGABRT),
            ("CLD", libc::SIGCHLD),
            ("SIGPWR", libc::SIGPWR),
            ("WINCH", libc::SIGWINCH),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("rtmin+15", 49),
            ("SIGRTMAX-14", 50),
            ("RTMAX-1", 63),
            ("SIGRTMAX", 64),
        ] {
            assert_eq!(number(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        for text in [
            "",
            "SIG",
            "0",
            "65",
            "-1",
            "+9",
            "9 ",
            "1e1",
            "99999999999",
            "SIGFOO",
            "SIGSIGTERM",
            "RTMIN+",
            "RTMIN+0",
            "RTMIN+16",
            "RTMIN-1",
            "RTMAX+1",
            "RTMAX-15",
            "RTMIN++1",
            "RTMIN+ 1",
        ] {
            assert_eq!(number(text), None, "{text:?}");
        }
    }
}
