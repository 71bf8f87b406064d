//! Names that are safe as a file name, a host name and a table cell once parsed.

use std::fmt;

use thiserror::Error;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than the DNS rule allows.
    #[error("{name:?} is longer than {limit} characters")]
    TooLong {
        /// The text.
        name: String,
        /// How many characters are allowed.
        limit: usize,
    },
    /// A character that the DNS rule does not allow at its place.
    #[error("{name:?} may not contain {found:?} there")]
    BadCharacter {
        /// The text.
        name: String,
        /// The first character that is not allowed.
        found: char,
    },
}

/// A container's name: a DNS label of RFC 1123, unique in its pod.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(String);

/// A pod's name: a DNS subdomain of RFC 1123.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodName(String);

impl ContainerName {
    /// Accepts a DNS label: at most 63 of a-z, 0-9 and '-', not '-' at either end.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, 63)?;
        check_label(text, text)?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PodName {
    /// Accepts a DNS subdomain: labels joined by '.', at most 253 characters in all.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check(text, 253)?;
        text.split('.').try_for_each(|label| check_label(text, label))?;
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

fn check(name: &str, limit: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > limit {
        return Err(NameError::TooLong { name: name.to_owned(), limit });
    }
    Ok(())
}

fn check_label(name: &str, label: &str) -> Result<(), NameError> {
    let bad = |found| Err(NameError::BadCharacter { name: name.to_owned(), found });
    if label.is_empty() {
        return bad('.');
    }
    let last = label.len() - 1;
    for (at, found) in label.char_indices() {
        let inner = at != 0 && at != last;
        let is_good = matches!(found, 'a'..='z' | '0'..='9') || (inner && found == '-');
        if !is_good {
            return bad(found);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_name_is_a_dns_label() {
        for good in ["a", "kubia-init", "0", "a0-b"] {
            assert!(ContainerName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "ä", &"a".repeat(64)] {
            assert!(ContainerName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pod_name_is_a_dns_subdomain() {
        for good in ["a", "web.example", &"a".repeat(63)] {
            assert!(PodName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "a..b", ".a", "a.", "a/../b", &"a.".repeat(127)] {
            assert!(PodName::parse(bad).is_err(), "{bad}");
        }
    }
}
