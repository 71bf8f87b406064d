//! Files with holes as GNU tar writes them into PAX archives (GNU tar manual, "Storing Sparse
//! Files"), versions 0.0, 0.1 and 1.0. The old GNU type `S` is refused, as engines do.

use super::header::BLOCK;
use super::rule::Rule;

/// More pieces than a header of the largest size could list are refused.
const PIECES_LIMIT: usize = 1 << 16;

/// What `GNU.sparse.*` records said.
#[derive(Debug, Default)]
pub(crate) struct Records {
    major: Option<i64>,
    minor: Option<i64>,
    pub(crate) name: Option<Vec<u8>>,
    real_size: Option<i64>,
    numbers: Vec<u64>,
}

/// Where the content of a file with holes belongs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Map {
    /// The size of the file with its holes.
    pub(crate) size: u64,
    /// Offset and length, in order.
    pub(crate) pieces: Vec<(u64, u64)>,
}

/// How the map is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// In the records.
    Header,
    /// At the start of the content.
    Content,
}

impl Records {
    /// Takes over a record, its key without `GNU.sparse.`.
    pub(crate) fn read(&mut self, key: &str, value: &[u8]) -> Result<(), Rule> {
        let text = || str::from_utf8(value).map_err(|_| Rule::SparseMap);
        let parse = || -> Result<i64, Rule> { text()?.parse().map_err(|_| Rule::SparseMap) };
        match key {
            "major" => self.major = Some(parse()?),
            "minor" => self.minor = Some(parse()?),
            "name" => self.name = Some(value.to_vec()),
            "size" | "realsize" => self.real_size = Some(parse()?),
            "offset" | "numbytes" => self.push(text()?)?,
            "map" => text()?.split(',').try_for_each(|number| self.push(number))?,
            _ => {} // "numblocks" says what the others show
        }
        Ok(())
    }

    fn push(&mut self, number: &str) -> Result<(), Rule> {
        if self.numbers.len() >= 2 * PIECES_LIMIT {
            return Err(Rule::SparseMap);
        }
        self.numbers.push(number.parse().map_err(|_| Rule::SparseMap)?);
        Ok(())
    }

    /// How the map is written; none if there is none.
    pub(crate) fn version(&self) -> Result<Option<Version>, Rule> {
        match (self.major, self.minor) {
            (Some(1), Some(0)) => Ok(Some(Version::Content)),
            (Some(0), Some(0 | 1)) => Ok(Some(Version::Header)),
            (None, None) if self.real_size.is_some() || !self.numbers.is_empty() => {
                Ok(Some(Version::Header))
            }
            (None, None) => Ok(None),
            _ => Err(Rule::Sparse),
        }
    }

    /// The map of a file whose content has so many bytes. `numbers` are those of the content if
    /// the map is there.
    pub(crate) fn map(self, numbers: Option<Vec<u64>>, content: u64) -> Result<Map, Rule> {
        let size = self.real_size.and_then(|size| u64::try_from(size).ok());
        let size = size.filter(|size| *size <= 1 << 62).ok_or(Rule::SparseMap)?;
        let numbers = numbers.unwrap_or(self.numbers);
        if !numbers.len().is_multiple_of(2) {
            return Err(Rule::SparseMap);
        }
        let (mut end, mut sum) = (0_u64, 0_u64);
        let mut pieces = Vec::with_capacity(numbers.len() / 2);
        for pair in numbers.chunks_exact(2) {
            let (offset, length) = (pair[0], pair[1]);
            if offset < end {
                return Err(Rule::SparseMap);
            }
            end = offset.checked_add(length).filter(|end| *end <= size).ok_or(Rule::SparseMap)?;
            sum += length;
            pieces.push((offset, length));
        }
        if sum == content { Ok(Map { size, pieces }) } else { Err(Rule::SparseMap) }
    }
}

/// Reads the map at the start of a content, block by block: how many pieces, then offset and
/// length of each, every number on a line of its own.
#[derive(Debug, Default)]
pub(crate) struct MapReader {
    line: Vec<u8>,
    numbers: Vec<u64>,
}

impl MapReader {
    /// Takes a block; true if the map is complete with it.
    pub(crate) fn read(&mut self, block: &[u8; BLOCK]) -> Result<bool, Rule> {
        for &byte in block {
            if byte.is_ascii_digit() && self.line.len() < 20 {
                self.line.push(byte);
                continue;
            }
            if byte != b'\n' {
                return Err(Rule::SparseMap);
            }
            let text = str::from_utf8(&self.line).map_err(|_| Rule::SparseMap)?;
            self.numbers.push(text.parse().map_err(|_| Rule::SparseMap)?);
            self.line.clear();
            let count = usize::try_from(self.numbers[0]).unwrap_or(usize::MAX);
            if count > PIECES_LIMIT {
                return Err(Rule::SparseMap);
            }
            if self.numbers.len() == 1 + 2 * count {
                return Ok(true); // the rest of the block is padding
            }
        }
        Ok(false)
    }

    /// Offsets and lengths.
    pub(crate) fn finish(self) -> Vec<u64> {
        self.numbers.into_iter().skip(1).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(rows: &[(&str, &str)]) -> Result<Records, Rule> {
        let mut records = Records::default();
        rows.iter().try_for_each(|(key, value)| records.read(key, value.as_bytes()))?;
        Ok(records)
    }

    #[test]
    fn maps_in_headers_are_read() {
        let map = Map { size: 100, pieces: vec![(10, 5), (90, 1)] };
        let new = records(&[("map", "10,5,90,1"), ("size", "100")]).unwrap();
        assert_eq!(new.version(), Ok(Some(Version::Header)));
        assert_eq!(new.map(None, 6), Ok(map.clone()));
        let old = [("size", "100"), ("offset", "10"), ("numbytes", "5"), ("offset", "90")];
        let old = records(&[&old[..], &[("numbytes", "1")]].concat()).unwrap();
        assert_eq!(old.map(None, 6), Ok(map));
    }

    #[test]
    fn maps_that_lie_are_refused() {
        let rows = [
            ("overlapping", "10,5,12,1", "100", 6),
            ("beyond the end", "99,2", "100", 2),
            ("beyond every number", "18446744073709551615,2", "100", 2),
            ("more than there is", "10,5", "100", 4),
            ("less than there is", "10,5", "100", 6),
            ("half a piece", "10", "100", 0),
            ("a negative size", "", "-1", 0),
        ];
        for (what, map, size, content) in rows {
            let map = [("map", map), ("size", size)];
            let found = records(&map).and_then(|records| records.map(None, content));
            assert_eq!(found, Err(Rule::SparseMap), "{what}");
        }
        let version = records(&[("major", "2"), ("minor", "0")]).unwrap().version();
        assert_eq!(version, Err(Rule::Sparse));
    }

    #[test]
    fn a_map_in_the_content_ends_with_its_last_number() {
        let mut block = [0; BLOCK];
        block[..11].copy_from_slice(b"2\n0\n1\n9\n22\n");
        let mut reader = MapReader::default();
        assert_eq!(reader.read(&block), Ok(true));
        assert_eq!(reader.finish(), [0, 1, 9, 22]);
        for text in [&b"x\n"[..], b"-1\n", b"999999999\n", b"\n"] {
            block = [0; BLOCK];
            block[..text.len()].copy_from_slice(text);
            assert_eq!(MapReader::default().read(&block), Err(Rule::SparseMap), "{text:?}");
        }
    }
}
