//! What is wrong, in the words of Kubernetes' `field.Error`: path, kind, value, detail.

use serde::Serialize;

use super::path::Path;
use crate::problem::{Severity, near};

/// What is wrong, and at which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Whether it stops the object.
    pub(crate) severity: Severity,
    /// Where it is in the object.
    pub(crate) at: Path,
    /// The whole sentence.
    pub(crate) message: String,
    /// The way out.
    pub(crate) hint: Option<String>,
}

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    /// A field that has to be there; the detail may be empty.
    pub(crate) fn required(&mut self, at: &Path, detail: &str) {
        let detail = if detail.is_empty() { String::new() } else { format!(": {detail}") };
        self.add(at, &format!("Required value{detail}"), None);
    }

    /// A value that cannot be.
    pub(crate) fn invalid(&mut self, at: &Path, value: &(impl Serialize + ?Sized), detail: &str) {
        self.add(at, &format!("Invalid value: {}: {detail}", shown(value)), None);
    }

    /// The same, once per detail.
    pub(crate) fn invalid_each(&mut self, at: &Path, value: &str, details: &[String]) {
        details.iter().for_each(|detail| self.invalid(at, value, detail));
    }

    /// A value that another one has already.
    pub(crate) fn duplicate(&mut self, at: &Path, value: &str) {
        self.add(at, &format!("Duplicate value: {}", shown(value)), None);
    }

    /// A reference to something that is not defined.
    pub(crate) fn not_found(&mut self, at: &Path, value: &str, known: &[&str]) {
        let hint = did_you_mean(value, known);
        self.add(at, &format!("Not found: {}", shown(value)), hint);
    }

    /// A field that may not be there.
    pub(crate) fn forbidden(&mut self, at: &Path, detail: &str) {
        self.add(at, &format!("Forbidden: {detail}"), None);
    }

    /// More bytes than are allowed.
    pub(crate) fn too_long(&mut self, at: &Path, most: usize) {
        self.add(at, &format!("Too long: may not be more than {most} bytes"), None);
    }

    /// More items than are allowed.
    pub(crate) fn too_many(&mut self, at: &Path, count: usize, most: usize) {
        self.add(at, &format!("Too many: {count}: must have at most {most} items"), None);
    }

    /// One of a few words, which are listed in this order.
    pub(crate) fn one_of(&mut self, at: &Path, value: &str, words: &[&str]) {
        if words.contains(&value) {
            return;
        }
        let list: Vec<String> = words.iter().map(shown).collect();
        let message =
            format!("Unsupported value: {}: supported values: {}", shown(value), list.join(", "));
        self.add(at, &message, did_you_mean(value, words));
    }

    /// One of a few words, where there is a value.
    pub(crate) fn maybe_one_of(&mut self, at: &Path, value: Option<&String>, words: &[&str]) {
        if let Some(value) = value {
            self.one_of(at, value, words);
        }
    }

    /// Not less than zero.
    pub(crate) fn not_negative(&mut self, at: &Path, value: Option<i64>) {
        if let Some(value) = value.filter(|value| *value < 0) {
            self.invalid(at, &value, "must be greater than or equal to 0");
        }
    }

    /// A whole number within bounds.
    pub(crate) fn within(&mut self, at: &Path, value: Option<i64>, (least, most): (i64, i64)) {
        if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
            self.invalid(at, &value, &format!("must be between {least} and {most}, inclusive"));
        }
    }

    /// What is allowed and hardly meant.
    pub(crate) fn warn(&mut self, at: &Path, detail: &str) {
        self.0.push(Finding {
            severity: Severity::Warning,
            at: at.clone(),
            message: format!("{at}: {detail}"),
            hint: None,
        });
    }

    /// Adds the way out to what was found last.
    pub(crate) fn hint(&mut self, hint: &str) {
        if let Some(last) = self.0.last_mut() {
            last.hint = Some(hint.to_owned());
        }
    }

    /// How many errors there are so far.
    pub(crate) fn errors(&self) -> usize {
        self.0.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// Where Kubernetes names a field less exactly than it could, the exact place.
    pub(crate) fn placed(&mut self, at: &Path, find: impl FnOnce(&mut Self)) {
        let before = self.0.len();
        find(self);
        self.0[before..].iter_mut().for_each(|finding| finding.at = at.clone());
    }

    fn add(&mut self, at: &Path, message: &str, hint: Option<String>) {
        self.0.push(Finding {
            severity: Severity::Error,
            at: at.clone(),
            message: format!("{at}: {message}"),
            hint,
        });
    }
}

/// A value as Kubernetes shows it: strings in quotes, everything else as JSON.
fn shown(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn did_you_mean(wrong: &str, known: &[&str]) -> Option<String> {
    let near = near(wrong, known.iter().copied().filter(|word| !word.is_empty()))?;
    Some(format!("did you mean \"{near}\"?"))
}
