//! Variables from a file that another container wrote into an emptyDir (Kubernetes: `fileKeyRef`).
//!
//! Lines are `KEY='value'`; a value may go over several lines and holds no single quote. Blank
//! lines and lines that begin with `#` are passed over.

use std::io;

use k8s_openapi::api::core::v1::FileKeySelector;

use super::pod::spec;
use super::{PlanError, PlanInput};
use crate::volumes;

/// The largest file of variables.
const MOST_BYTES: u64 = 64 << 10;

/// The value of a variable in the file; `None` when it is optional and not there.
pub(super) fn value(
    input: &PlanInput<'_>,
    selector: &FileKeySelector,
) -> Result<Option<String>, PlanError> {
    let is_optional = selector.optional == Some(true);
    let text = match read(input, selector) {
        Ok(text) => text,
        Err(error) if is_optional && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PlanError::EnvFile { source }),
    };
    match find(&text, &selector.key).map_err(|source| PlanError::EnvFile { source })? {
        None if !is_optional => Err(PlanError::MissingFileKey {
            key: selector.key.clone(),
            file: selector.path.clone(),
        }),
        value => Ok(value),
    }
}

/// Containers write into the volume: nothing in it leads out of it.
fn read(input: &PlanInput<'_>, selector: &FileKeySelector) -> io::Result<String> {
    let volumes = spec(input.pod).volumes.iter().flatten();
    let volume = volumes.into_iter().find(|volume| volume.name == selector.volume_name);
    let volume = volume.ok_or(io::ErrorKind::NotFound)?;
    let content = volumes::read_file(input, volume, &selector.path, MOST_BYTES)?;
    String::from_utf8(content).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// The last value that the file gives the key.
fn find(text: &str, key: &str) -> io::Result<Option<String>> {
    let mut found = None;
    let mut rest = text;
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            rest = after;
            continue;
        }
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let (name, value) = rest.split_once("='").ok_or_else(malformed)?;
        let name = name.trim_start();
        let is_name = !name.is_empty() && !name.contains(['=', '\n']) && name.trim() == name;
        let (value, after) = value.split_once('\'').filter(|_| is_name).ok_or_else(malformed)?;
        let (behind, after) = after.split_once('\n').unwrap_or((after, ""));
        let behind = behind.trim();
        if !behind.is_empty() && !behind.starts_with('#') {
            return Err(malformed());
        }
        if name == key {
            found = Some(value.to_owned());
        }
        rest = after;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_in_single_quotes_and_may_go_over_lines() {
        let text =
            "# a comment\n\nA='1'\n  B='two\nlines # kept' # a comment\nA='last'\nEMPTY=''\n";
        for (key, value) in [
            ("A", Some("last")),
            ("B", Some("two\nlines # kept")),
            ("EMPTY", Some("")),
            ("C", None),
        ] {
            assert_eq!(find(text, key).unwrap().as_deref(), value, "{key}");
        }
    }

    #[test]
    fn anything_else_is_no_file_of_variables() {
        for text in
            ["A=1\n", "A = '1'\n", "A='1\n", "A='1' B='2'\n", "='1'\n", "A=\"1\"\n", "A\nB='1'"]
        {
            assert!(find(text, "A").is_err(), "{text}");
        }
    }
}
