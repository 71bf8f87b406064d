//! One 512-byte tar header block, and the extended headers that may precede it.
//!
//! Differences between tar readers are attacks waiting to happen, so the semantics are those of
//! Go's `archive/tar`, which every registry and engine ships: a PAX record wins over a GNU long
//! name, which wins over the header; the last of two equal PAX keys wins; global headers are
//! not applied.

use std::collections::BTreeMap;

use tar::Header;

use super::rule::Rule;
use super::sparse;

/// The size of a header and the unit of padding.
pub(crate) const BLOCK: usize = 512;

/// `XATTR_LIST_MAX` of the kernel: nobody could see more.
const XATTR_NAMES_LIMIT: usize = 65536;

/// What extended headers said about the entry that follows them.
#[derive(Debug, Default)]
pub(crate) struct Extended {
    pub(crate) long_name: Option<Vec<u8>>,
    pub(crate) long_link: Option<Vec<u8>>,
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link_path: Option<Vec<u8>>,
    pub(crate) size: Option<i64>,
    pub(crate) uid: Option<i64>,
    pub(crate) gid: Option<i64>,
    pub(crate) modified: Option<Time>,
    pub(crate) sparse: sparse::Records,
    /// Names as in the archive, filtered later.
    pub(crate) xattrs: BTreeMap<String, Vec<u8>>,
    /// Bytes of their names.
    names: usize,
}

/// Seconds and nanoseconds since 1970; the nanoseconds count upwards also before 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Time {
    pub(crate) seconds: i64,
    pub(crate) nanoseconds: u32,
}

impl Extended {
    /// Takes over the records of one PAX header.
    ///
    /// The `tar` crate splits records at line ends, which breaks binary values such as file
    /// capabilities; here the length in front decides, as POSIX says.
    pub(crate) fn read_pax(&mut self, mut bytes: &[u8]) -> Result<(), Rule> {
        while !bytes.is_empty() {
            let (record, rest) = split_record(bytes).ok_or(Rule::ExtendedHeader)?;
            let equals = record.iter().position(|b| *b == b'=').ok_or(Rule::ExtendedHeader)?;
            let key = str::from_utf8(&record[..equals]).map_err(|_| Rule::ExtendedHeader)?;
            self.read_record(key, &record[equals + 1..])?;
            bytes = rest;
        }
        Ok(())
    }

    fn read_record(&mut self, key: &str, value: &[u8]) -> Result<(), Rule> {
        // An empty value takes back an earlier record (POSIX pax, "Extended Header").
        let text = Some(value.to_vec()).filter(|value| !value.is_empty());
        match key {
            "path" => self.path = text,
            "linkpath" => self.link_path = text,
            "size" => self.size = decimal(value)?,
            "uid" => self.uid = decimal(value)?,
            "gid" => self.gid = decimal(value)?,
            "mtime" => self.modified = time(value)?,
            _ => {
                if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                    self.set_xattr(name, value)?;
                } else if let Some(key) = key.strip_prefix("GNU.sparse.") {
                    self.sparse.read(key, value)?;
                }
            }
        }
        Ok(())
    }

    fn set_xattr(&mut self, name: &str, value: &[u8]) -> Result<(), Rule> {
        if self.xattrs.insert(name.to_owned(), value.to_vec()).is_none() {
            self.names += name.len() + 1;
        }
        if self.names > XATTR_NAMES_LIMIT { Err(Rule::TooManyAttributes) } else { Ok(()) }
    }
}

/// `"<length> <key>=<value>\n"`, where the length counts the whole record.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|b| *b == b' ')?;
    let digits = str::from_utf8(&bytes[..space]).ok()?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let length: usize = digits.parse().ok()?;
    if length < space + 2 || length > bytes.len() || bytes[length - 1] != b'\n' {
        return None;
    }
    Some((&bytes[space + 1..length - 1], &bytes[length..]))
}

fn decimal(value: &[u8]) -> Result<Option<i64>, Rule> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = str::from_utf8(value).map_err(|_| Rule::ExtendedHeader)?;
    text.parse().map(Some).map_err(|_| Rule::ExtendedHeader)
}

/// `123.456789`, with any number of fraction digits; more than nine are cut off.
fn time(value: &[u8]) -> Result<Option<Time>, Rule> {
    if value.is_empty() {
        return Ok(None);
    }
    let text = str::from_utf8(value).map_err(|_| Rule::Time)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| Rule::Time)?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Rule::Time);
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().map_err(|_| Rule::Time)?;
    if whole.starts_with('-') && nanoseconds > 0 {
        let seconds = seconds.checked_sub(1).ok_or(Rule::Time)?;
        return Ok(Some(Time { seconds, nanoseconds: 1_000_000_000 - nanoseconds }));
    }
    Ok(Some(Time { seconds, nanoseconds }))
}

/// The sum of all bytes with the checksum field as spaces, unsigned or (old writers) signed.
pub(crate) fn checksum_is_right(header: &Header) -> bool {
    let Ok(expected) = number(&header.as_old().cksum) else { return false };
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (index, &byte) in header.as_bytes().iter().enumerate() {
        let byte = if (148..156).contains(&index) { b' ' } else { byte };
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    expected == unsigned || expected == signed
}

/// A number field: octal text, or big-endian two's complement if the first bit is set.
pub(crate) fn number(field: &[u8]) -> Result<i64, Rule> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base_256(field),
        _ => octal(field),
    }
}

fn base_256(field: &[u8]) -> Result<i64, Rule> {
    let negative = field[0] & 0x40 != 0;
    let mut value: i128 = if negative { -1 } else { 0 };
    for (index, &byte) in field.iter().enumerate() {
        let byte = match index {
            0 if negative => byte | 0x80,
            0 => byte & 0x7f,
            _ => byte,
        };
        value = (value << 8) | i128::from(byte);
    }
    i64::try_from(value).map_err(|_| Rule::Number)
}

fn octal(field: &[u8]) -> Result<i64, Rule> {
    let blank = |b: &u8| *b == b' ' || *b == 0;
    let Some(start) = field.iter().position(|b| !blank(b)) else { return Ok(0) };
    let digits: Vec<u8> = field[start..].iter().copied().take_while(|b| !blank(b)).collect();
    let text = str::from_utf8(&digits).map_err(|_| Rule::Number)?;
    if text.starts_with('+') || text.starts_with('-') {
        return Err(Rule::Number);
    }
    i64::from_str_radix(text, 8).map_err(|_| Rule::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_two_s_complement() {
        let rows: [(&[u8], Result<i64, Rule>); 9] = [
            (b"0000755\0", Ok(0o755)),
            (b"   755 \0", Ok(0o755)),
            (b"\0\0\0\0", Ok(0)),
            (b"0008\0", Err(Rule::Number)),
            (b"-0001\0", Err(Rule::Number)),
            (&[0x80, 0, 0, 0, 1, 0, 0, 0, 5], Ok((1 << 32) + 5)),
            (&[0xff; 12], Ok(-1)),
            (&[0xff, 0xff, 0xff, 0x9c], Ok(-100)),
            (&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Err(Rule::Number)),
        ];
        for (field, expected) in rows {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }

    #[test]
    fn times_keep_their_nanoseconds() {
        let rows: [(&str, Result<Option<Time>, Rule>); 6] = [
            ("12.5", Ok(Some(Time { seconds: 12, nanoseconds: 500_000_000 }))),
            ("12", Ok(Some(Time { seconds: 12, nanoseconds: 0 }))),
            ("12.1234567899", Ok(Some(Time { seconds: 12, nanoseconds: 123_456_789 }))),
            ("-1.25", Ok(Some(Time { seconds: -2, nanoseconds: 750_000_000 }))),
            ("", Ok(None)),
            ("1e9", Err(Rule::Time)),
        ];
        for (text, expected) in rows {
            assert_eq!(time(text.as_bytes()), expected, "{text}");
        }
    }
}
