//! Kubernetes' rules for a pod, with its sentences.

mod container;
mod metadata;
mod pod;
mod probe;
mod volume;

use k8s_openapi::api::core::v1::Pod;

pub(crate) use metadata::object_name;

/// What is wrong, and at which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) field: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<Finding>);

impl Findings {
    pub(crate) fn required(&mut self, field: &str, why: &str) {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        self.add(field, format!("Required value{why}"), None);
    }

    pub(crate) fn invalid(&mut self, field: &str, value: &str, why: &str) {
        self.add(field, format!("Invalid value: {value}: {why}"), None);
    }

    pub(crate) fn duplicate(&mut self, field: &str, value: &str) {
        self.add(field, format!("Duplicate value: \"{value}\""), None);
    }

    pub(crate) fn not_found(&mut self, field: &str, value: &str, known: &[&str]) {
        let near = crate::problem::near(value, known.iter().copied());
        let hint = near.map(|near| format!("did you mean \"{near}\"?"));
        self.add(field, format!("Not found: \"{value}\""), hint);
    }

    pub(crate) fn forbidden(&mut self, field: &str, why: &str) {
        self.add(field, format!("Forbidden: {why}"), None);
    }

    /// One of a few words.
    pub(crate) fn one_of(&mut self, field: &str, value: Option<&str>, words: &[&str]) {
        let Some(value) = value else {
            return;
        };
        if words.contains(&value) {
            return;
        }
        let list: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let near = crate::problem::near(value, words.iter().copied());
        let hint = near.map(|near| format!("did you mean \"{near}\"?"));
        let message =
            format!("Unsupported value: \"{value}\": supported values: {}", list.join(", "));
        self.add(field, message, hint);
    }

    /// Not less than zero.
    pub(crate) fn not_negative(&mut self, field: &str, value: Option<i64>) {
        if let Some(value) = value.filter(|value| *value < 0) {
            self.invalid(field, &value.to_string(), "must be greater than or equal to 0");
        }
    }

    /// More than zero.
    pub(crate) fn positive(&mut self, field: &str, value: Option<i64>) {
        if let Some(value) = value.filter(|value| *value < 1) {
            self.invalid(field, &value.to_string(), "must be greater than 0");
        }
    }

    fn add(&mut self, field: &str, message: String, hint: Option<String>) {
        self.0.push(Finding { field: field.to_owned(), message, hint });
    }
}

/// Everything that is wrong with the pod.
pub(crate) fn check(pod: &Pod) -> Vec<Finding> {
    let mut findings = Findings::default();
    metadata::check(&pod.metadata, &mut findings);
    match &pod.spec {
        Some(spec) => pod::check(spec, &mut findings),
        None => findings.required("spec", ""),
    }
    findings.0
}
