//! What a terminal would obey, written so that it is only read: the one place that knows which
//! characters those are.
//!
//! A container chooses its termination message, an image its names, a manifest its values. Escape
//! sequences in them could move the cursor, change the window's title or answer for the user;
//! bidirectional controls show a text in another order than it has (CVE-2021-42574).

use std::borrow::Cow;

/// Whether a terminal acts on the character instead of showing it: the controls of ECMA-48 (C0
/// without the line feed and the tabulator, DEL, C1), and Unicode's bidirectional controls
/// (UAX #9, 2).
pub(crate) fn is_obeyed(one: char) -> bool {
    let is_control = one.is_control() && !matches!(one, '\n' | '\t');
    is_control || is_bidirectional(one)
}

fn is_bidirectional(one: char) -> bool {
    matches!(
        one,
        '\u{61c}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// The text for somebody to read: `^[` and `\r` as kubectl writes them, other C0 controls in caret
/// notation, the rest as `\u009b`. A text without any stays what it is.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    replaced(text, |one| match one {
        '\r' => "\\r".to_owned(),
        '\0'..='\u{1f}' | '\u{7f}' => format!("^{}", char::from(one as u8 ^ 0x40)),
        other => code_unit(other),
    })
}

/// The same on one line.
pub(crate) fn line(text: &str) -> String {
    escaped(text).replace('\n', "\\n").replace('\t', "\\t")
}

/// A document of JSON, or a string in its quotes, that means the same: there is no place for such
/// a character but within a string, which may have it as `\u009b` (RFC 8259, 7).
pub(crate) fn in_json(document: &str) -> Cow<'_, str> {
    replaced(document, code_unit)
}

fn replaced(text: &str, how: impl Fn(char) -> String) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for one in text.chars() {
        if is_obeyed(one) {
            safe.push_str(&how(one));
        } else {
            safe.push(one);
        }
    }
    Cow::Owned(safe)
}

/// `\u009b`; all of those characters have 16 bits.
fn code_unit(one: char) -> String {
    format!("\\u{:04x}", u32::from(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown_and_the_rest_stays() {
        for (text, shown) in [
            ("plain é 漢字 👩‍🚀\n\tand on", "plain é 漢字 👩‍🚀\n\tand on"),
            ("\u{1b}]0;title\u{7}", "^[]0;title^G"),
            ("100%\rok", "100%\\rok"),
            ("\0\u{8}\u{c}\u{7f}", "^@^H^L^?"),
            ("\u{9b}31m\u{9d}\u{85}", "\\u009b31m\\u009d\\u0085"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{61c}", "a\\u202eb\\u2066c\\u200f\\u061c"),
        ] {
            assert_eq!(escaped(text), shown, "{text:?}");
            assert_eq!(escaped(shown), shown, "what is safe stays");
        }
        assert_eq!(line("a\nb\tc\u{1b}"), "a\\nb\\tc^[");
    }

    #[test]
    fn a_document_means_the_same_afterwards() {
        let all: String = ('\0'..='\u{3000}').collect();
        let text = serde_json::to_string(&all).unwrap();
        let safe = in_json(&text);
        assert!(!safe.chars().any(is_obeyed));
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), all);
    }
}
