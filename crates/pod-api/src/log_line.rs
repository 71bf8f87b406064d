//! Lines of container logs, from the CRI format to what is shown.

use jiff::Timestamp;

/// A line of the CRI format, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// When it was written, in RFC 3339.
    pub date: &'a str,
    /// Whether a line break follows.
    pub is_whole: bool,
    /// What was written.
    pub text: &'a [u8],
}

/// Takes a line apart; `None` for one that is not in the format.
pub fn parse(line: &[u8]) -> Option<LogLine<'_>> {
    let mut parts = line.splitn(4, |byte| *byte == b' ');
    let date = std::str::from_utf8(parts.next()?).ok()?;
    let (_stream, tag, text) = (parts.next()?, parts.next()?, parts.next()?);
    Some(LogLine { date, is_whole: tag.first() == Some(&b'F'), text })
}

/// How lines are shown.
#[derive(Clone, Debug, Default)]
pub struct Format {
    /// Whether each line begins with its date.
    pub timestamps: bool,
    /// What each line begins with.
    pub prefix: String,
}

/// The line as it is printed; a part of a longer line gets no line break.
pub fn show(line: LogLine<'_>, format: &Format, starts_line: bool) -> Vec<u8> {
    let mut shown = Vec::with_capacity(line.text.len() + 64);
    if starts_line {
        shown.extend_from_slice(format.prefix.as_bytes());
        if format.timestamps {
            shown.extend_from_slice(line.date.as_bytes());
            shown.push(b' ');
        }
    }
    shown.extend_from_slice(line.text);
    if line.is_whole {
        shown.push(b'\n');
    }
    shown
}

/// Whether the line is not older than that.
pub fn is_since(line: &LogLine<'_>, since: Option<Timestamp>) -> bool {
    let Some(since) = since else {
        return true;
    };
    line.date.parse::<Timestamp>().is_ok_and(|date| date >= since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_with_what_was_asked_for() {
        let raw = b"2026-01-02T03:04:05.000000006Z stdout F hello  world";
        let line = parse(raw).unwrap();
        assert_eq!(show(line, &Format::default(), true), b"hello  world\n");
        let format = Format { timestamps: true, prefix: "[web] ".into() };
        assert_eq!(
            show(line, &format, true),
            b"[web] 2026-01-02T03:04:05.000000006Z hello  world\n"
        );
        assert!(is_since(&line, Some("2026-01-02T03:04:05Z".parse().unwrap())));
        assert!(!is_since(&line, Some("2026-01-02T03:04:06Z".parse().unwrap())));
        assert!(parse(b"garbage").is_none());
    }

    #[test]
    fn parts_of_a_long_line_are_joined() {
        let part = parse(b"2026-01-02T03:04:05Z stdout P abc").unwrap();
        let rest = parse(b"2026-01-02T03:04:05Z stdout F def").unwrap();
        let format = Format { timestamps: false, prefix: "[web] ".into() };
        let mut shown = show(part, &format, true);
        shown.extend(show(rest, &format, part.is_whole));
        assert_eq!(shown, b"[web] abcdef\n");
    }
}
