//! Content digests: parsed strictly before any use as a path, computed while bytes pass by.
//!
//! OCI image-spec, descriptor.md "Digests". Only `sha256` is accepted: it is what every registry
//! serves, and one algorithm means that one file name rule covers the whole store.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A digest such as `sha256:0e5574283393…`: 64 lower-case hexadecimal digits after the colon.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    hex: String,
}

/// Why a text is not a usable digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// There is no `algorithm:` in front.
    #[error("cannot read digest {text:?}: it has no algorithm, such as sha256:")]
    NoAlgorithm {
        /// What was given.
        text: String,
    },
    /// The algorithm is known to exist or unknown, but not supported here.
    #[error("cannot use digest {text:?}: only sha256 is supported")]
    Algorithm {
        /// What was given.
        text: String,
    },
    /// Not 64 lower-case hexadecimal digits.
    #[error("cannot read digest {text:?}: sha256 needs 64 lower-case hexadecimal digits")]
    Hex {
        /// What was given.
        text: String,
    },
}

impl Digest {
    /// Parses `sha256:<64 hex digits>`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let Some((algorithm, hex)) = text.split_once(':') else {
            return Err(DigestError::NoAlgorithm { text: text.to_owned() });
        };
        if algorithm != "sha256" {
            return Err(DigestError::Algorithm { text: text.to_owned() });
        }
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !valid {
            return Err(DigestError::Hex { text: text.to_owned() });
        }
        Ok(Self { hex: hex.to_owned() })
    }

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The 64 hexadecimal digits, safe as a file name.
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The first twelve digits, as image listings show them.
    pub fn short(&self) -> &str {
        &self.hex[..12]
    }

    /// The name of a stack of layers: `ChainID(below, diff) = SHA256(below + " " + diff)`
    /// (OCI image-spec, config.md "Layer `ChainID`").
    pub fn chain(below: Option<&Self>, diff_id: &Self) -> Self {
        match below {
            None => diff_id.clone(),
            Some(below) => Self::of(format!("{below} {diff_id}").as_bytes()),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// A running SHA-256.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(64);
        for byte in self.0.finalize() {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        Digest { hex }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// Hashes what is read through it.
#[derive(Debug)]
pub(crate) struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, hasher: Hasher::default() }
    }

    /// Ends the hashing: the digest, and the reader inside.
    pub(crate) fn finish(self) -> (Digest, R) {
        (self.hasher.finish(), self.inner)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_published_one() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(Digest::parse(empty).unwrap(), Digest::of(b""));
    }

    #[test]
    fn a_digest_that_could_be_a_path_is_refused() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let rows = [
            ("no algorithm", hex.to_owned()),
            ("another algorithm", format!("sha512:{hex}{hex}")),
            ("upper case", format!("sha256:{}", hex.to_uppercase())),
            ("too short", format!("sha256:{}", &hex[1..])),
            ("a path", format!("sha256:../../{}", &hex[6..])),
            ("empty", String::new()),
        ];
        for (what, text) in rows {
            assert!(Digest::parse(&text).is_err(), "{what}: {text}");
        }
    }

    #[test]
    fn the_chain_of_one_layer_is_its_diff_id() {
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(Digest::chain(None, &a), a);
        assert_eq!(Digest::chain(Some(&a), &b), Digest::of(format!("{a} {b}").as_bytes()));
    }
}
