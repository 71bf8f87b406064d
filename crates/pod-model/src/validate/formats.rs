//! Formats of names and the like; each function returns what is wrong, in Kubernetes' words.

use std::net::IpAddr;

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters \
    or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', \
    regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_KEY: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
    and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex \
    used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const ENV_NAME: &str = "a valid environment variable name must consist only of printable ASCII \
    characters other than '='";
const CONFIG_KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or \
    '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
    '[-._a-zA-Z0-9]+')";
const HEADER: &str = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. \
    'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')";
const IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// A DNS label: names of containers and volumes, host names, namespaces.
pub(super) fn label(text: &str) -> Vec<String> {
    let mut wrong = longer(text, 63, "characters");
    if !is_label(text) {
        let dots = "must not contain dots";
        wrong.push(if is_subdomain(text) { dots } else { LABEL }.to_owned());
    }
    wrong
}

/// A DNS subdomain: names of objects.
pub(super) fn subdomain(text: &str) -> Vec<String> {
    let mut wrong = longer(text, 253, "characters");
    if !is_subdomain(text) {
        wrong.push(SUBDOMAIN.to_owned());
    }
    wrong
}

/// `prefix/name`, the prefix being optional: keys of labels and annotations, condition types.
/// What is returned is what is wrong with it, in Kubernetes' words.
pub fn label_key(text: &str) -> Vec<String> {
    let parts: Vec<&str> = text.split('/').collect();
    let (prefix, name) = match parts.as_slice() {
        [name] => (None, *name),
        [prefix, name] => (Some(*prefix), *name),
        _ => {
            let example = "with an optional DNS subdomain prefix and '/' (e.g. \
                'example.com/MyName')";
            return vec![format!("a valid label key {LABEL_KEY} {example}")];
        }
    };
    let mut wrong = match prefix {
        None => Vec::new(),
        Some("") => vec!["prefix part must be non-empty".to_owned()],
        Some(prefix) => {
            subdomain(prefix).into_iter().map(|one| format!("prefix part {one}")).collect()
        }
    };
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    }
    wrong.extend(longer(name, 63, "bytes").into_iter().map(|one| format!("name part {one}")));
    if !is_label_key(name) {
        wrong.push(format!("name part {LABEL_KEY}"));
    }
    wrong
}

/// The value of a label, in the same way.
pub fn label_value(text: &str) -> Vec<String> {
    let mut wrong = longer(text, 63, "bytes");
    if !text.is_empty() && !is_label_key(text) {
        wrong.push(LABEL_VALUE.to_owned());
    }
    wrong
}

/// The name of a port (RFC 6335).
pub(super) fn port_name(text: &str) -> Vec<String> {
    let mut wrong = longer(text, 15, "characters");
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    for (is_wrong, why) in [
        (
            text.is_empty() || !text.chars().all(is_allowed),
            "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        ),
        (
            !text.contains(|c: char| c.is_ascii_lowercase()),
            "must contain at least one letter (a-z)",
        ),
        (text.contains("--"), "must not contain consecutive hyphens"),
        (text.starts_with('-') || text.ends_with('-'), "must not begin or end with a hyphen"),
    ] {
        if is_wrong {
            wrong.push(why.to_owned());
        }
    }
    wrong
}

/// The name of an environment variable.
pub(super) fn env_name(text: &str) -> Vec<String> {
    let is_allowed = |c: char| matches!(c, ' '..='~') && c != '=';
    if text.chars().all(is_allowed) { Vec::new() } else { vec![ENV_NAME.to_owned()] }
}

/// A key of a ConfigMap or a Secret, which becomes a file's name.
pub(super) fn config_key(text: &str) -> Vec<String> {
    let mut wrong = longer(text, 253, "characters");
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if text.is_empty() || !text.chars().all(is_allowed) {
        wrong.push(CONFIG_KEY.to_owned());
    }
    match text {
        "." => wrong.push("must not be '.'".to_owned()),
        ".." => wrong.push("must not be '..'".to_owned()),
        _ if text.starts_with("..") => wrong.push("must not start with '..'".to_owned()),
        _ => {}
    }
    wrong
}

/// The name of an HTTP header.
pub(super) fn header_name(text: &str) -> Vec<String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_fine = !text.is_empty() && text.chars().all(is_allowed);
    if is_fine { Vec::new() } else { vec![HEADER.to_owned()] }
}

/// An IP address.
pub(super) fn ip(text: &str) -> Vec<String> {
    if text.parse::<IpAddr>().is_ok() { Vec::new() } else { vec![IP.to_owned()] }
}

/// A path that leads downwards from where it starts.
pub(super) fn descending_path(text: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    if text.starts_with('/') {
        wrong.push("must be a relative path".to_owned());
    }
    wrong.extend(no_backsteps(text));
    wrong
}

/// The same for a file in a volume, where names with two dots in front are Kubernetes' own.
pub(super) fn volume_path(text: &str) -> Vec<String> {
    let mut wrong = descending_path(text);
    if text.starts_with("..") && text != ".." && !text.starts_with("../") {
        wrong.push("must not start with '..'".to_owned());
    }
    wrong
}

/// A path without `..` in it.
pub(super) fn no_backsteps(text: &str) -> Vec<String> {
    let leads_up = text.split('/').any(|part| part == "..");
    if leads_up { vec!["must not contain '..'".to_owned()] } else { Vec::new() }
}

/// The name of a kernel parameter.
pub(super) fn sysctl_name(text: &str) -> Vec<String> {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_segment = |part: &str| {
        part.starts_with(is_allowed)
            && part.ends_with(is_allowed)
            && part.chars().all(|c| is_allowed(c) || matches!(c, '-' | '_'))
    };
    if text.len() <= 253 && text.split(['.', '/']).all(is_segment) {
        return Vec::new();
    }
    vec![
        "must have at most 253 characters and match regex \
         ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
            .to_owned(),
    ]
}

fn longer(text: &str, most: usize, unit: &str) -> Vec<String> {
    let is_longer = text.len() > most;
    if is_longer { vec![format!("must be no more than {most} {unit}")] } else { Vec::new() }
}

fn is_label(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text.chars().all(|c| is_edge(c) || c == '-')
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_label_key(text: &str) -> bool {
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(is_edge)
        && text.ends_with(is_edge)
        && text.chars().all(|c| is_edge(c) || matches!(c, '-' | '_' | '.'))
}
