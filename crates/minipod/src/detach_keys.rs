//! The keys that leave an attached container running.

use std::borrow::Cow;

/// A sequence of keys, as a terminal in raw mode sends them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DetachKeys(Vec<u8>);

/// Reads `ctrl-p,ctrl-q`, single characters and `ctrl-` with one of `a` to `z` and `@ [ \ ] ^ _`.
/// No keys at all never leave.
pub(crate) fn parse(text: &str) -> Result<DetachKeys, String> {
    let keys = text.split(',').filter(|_| !text.is_empty()).map(key);
    keys.collect::<Option<_>>()
        .map(DetachKeys)
        .ok_or_else(|| format!("{text:?} is not a sequence of keys such as ctrl-p,ctrl-q or a,b"))
}

fn key(text: &str) -> Option<u8> {
    let (is_control, key) = match text.strip_prefix("ctrl-") {
        Some(key) => (true, key),
        None => (false, text),
    };
    match (is_control, key.as_bytes()) {
        (false, [key @ 0x20..0x7f]) => Some(*key),
        (true, [key @ (b'a'..=b'z' | b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => {
            Some(key & 0x1f)
        }
        _ => None,
    }
}

/// Looks for the sequence in what is typed.
#[derive(Debug)]
pub(crate) struct Lookout {
    keys: DetachKeys,
    matched: usize,
}

impl Lookout {
    pub(crate) fn new(keys: DetachKeys) -> Self {
        Self { keys, matched: 0 }
    }

    /// What of the typed bytes is for the container, and whether the user leaves. The beginning
    /// of the sequence is held back until it is clear that it is none.
    pub(crate) fn filter<'a>(&mut self, typed: &'a [u8]) -> (Cow<'a, [u8]>, bool) {
        if self.keys.0.is_empty() {
            return (Cow::Borrowed(typed), false);
        }
        let keys = &self.keys.0;
        let mut passed = Vec::with_capacity(typed.len());
        for byte in typed {
            if *byte != keys[self.matched] {
                passed.extend_from_slice(&keys[..self.matched]);
                self.matched = 0;
            }
            if *byte != keys[self.matched] {
                passed.push(*byte);
                continue;
            }
            self.matched += 1;
            if self.matched == keys.len() {
                return (passed.into(), true);
            }
        }
        (passed.into(), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_wherever_it_is_cut_and_the_rest_passes() {
        let mut lookout = Lookout::new(parse("ctrl-p,ctrl-q").unwrap());
        assert_eq!(lookout.filter(b"ls\x10"), (b"ls"[..].into(), false));
        assert_eq!(lookout.filter(b"x\x10"), (b"\x10x"[..].into(), false));
        assert_eq!(lookout.filter(b"\x10\x11z"), (b"\x10"[..].into(), true));
        let mut never = Lookout::new(parse("").unwrap());
        assert_eq!(never.filter(b"\x10\x11"), (b"\x10\x11"[..].into(), false));
    }

    #[test]
    fn keys_are_read_as_docker_reads_them() {
        assert_eq!(parse("ctrl-@,a,ctrl-_").unwrap(), DetachKeys(vec![0, b'a', 0x1f]));
        for text in ["ctrl-", "ctrl-P", "ab", "a,", "ctrl-1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
