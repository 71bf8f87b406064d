//! Files with credentials: `~/.docker/config.json`, `auth.json`, and the `.dockercfg` of old.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Credentials;

/// The parts that matter here.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AuthFile {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    identitytoken: String,
    #[serde(default)]
    registrytoken: String,
}

impl AuthFile {
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        let known = ["auths", "credHelpers", "credsStore", "HttpHeaders"];
        let is_modern = known.iter().any(|key| value.get(key).is_some());
        let is_old = value.as_object().is_some_and(|object| {
            !is_modern && !object.is_empty() && object.values().all(serde_json::Value::is_object)
        });
        if is_old {
            return Ok(Self { auths: serde_json::from_value(value)?, ..Self::default() });
        }
        serde_json::from_value(value)
    }

    /// The helper that is asked about this host.
    pub(super) fn helper_for(&self, host: &str) -> Option<&str> {
        let own = self.helpers.iter().find(|(key, _)| normal(key) == host);
        own.map(|(_, helper)| helper).or(self.store.as_ref()).map(String::as_str)
    }

    /// The credentials for `host/repository`, those for the longest part of it first.
    pub(super) fn entries_for(&self, place: &str) -> Vec<Credentials> {
        let mut fitting: Vec<(usize, &Entry)> = self
            .auths
            .iter()
            .filter_map(|(key, entry)| Some((rank(&normal(key), place)?, entry)))
            .collect();
        fitting.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        fitting.into_iter().filter_map(|(_, entry)| entry.credentials()).collect()
    }
}

impl Entry {
    fn credentials(&self) -> Option<Credentials> {
        if !self.identitytoken.is_empty() {
            return Some(Credentials::Identity(self.identitytoken.clone()));
        }
        if !self.registrytoken.is_empty() {
            return Some(Credentials::Bearer(self.registrytoken.clone()));
        }
        if !self.username.is_empty() {
            let (name, password) = (self.username.clone(), self.password.clone());
            return Some(Credentials::Password { name, password });
        }
        let decoded = STANDARD.decode(self.auth.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (name, password) = text.split_once(':')?;
        // Docker pads what it writes with zeros.
        let password = password.trim_matches('\0').to_owned();
        Some(Credentials::Password { name: name.to_owned(), password })
    }
}

/// A key as `host[/path]`: keys may be URLs, and Docker Hub has an old one.
fn normal(key: &str) -> String {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let bare = bare.unwrap_or(key).trim_end_matches('/');
    let bare = bare.strip_suffix("/v1").or_else(|| bare.strip_suffix("/v2")).unwrap_or(bare);
    match bare.split_once('/') {
        None if matches!(bare, "index.docker.io" | "registry-1.docker.io") => "docker.io".into(),
        Some(("index.docker.io", path)) => format!("docker.io/{path}"),
        _ => bare.to_owned(),
    }
}

/// How well a key fits a place, if it does; more is better. The path must be the beginning of
/// the place's, in whole parts; in the host, `*` stands for one label (as in Kubernetes).
fn rank(key: &str, place: &str) -> Option<usize> {
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let (own_host, own_path) = place.split_once('/').unwrap_or((place, ""));
    let rest = own_path.strip_prefix(path)?;
    let is_whole = path.is_empty() || rest.is_empty() || rest.starts_with('/');
    let is_exact = host == own_host;
    (is_whole && (is_exact || is_below(host, own_host)))
        .then_some(2 * path.len() + usize::from(is_exact))
}

/// Whether a host with stars covers this one: label by label, with the same port.
fn is_below(pattern: &str, host: &str) -> bool {
    let split = |text: &str| {
        let (name, port) = text.split_once(':').unwrap_or((text, ""));
        (name.split('.').map(str::to_owned).collect::<Vec<_>>(), port.to_owned())
    };
    let ((pattern, port), (labels, own_port)) = (split(pattern), split(host));
    let covers = |pattern: &str, label: &str| match pattern.split_once('*') {
        None => pattern == label,
        Some((before, after)) => {
            label.len() >= before.len() + after.len()
                && label.starts_with(before)
                && label.ends_with(after)
        }
    };
    port == own_port
        && pattern.len() == labels.len()
        && pattern.iter().zip(&labels).all(|(pattern, label)| covers(pattern, label))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str, place: &str) -> Vec<String> {
        let found = AuthFile::parse(text).unwrap().entries_for(place);
        let name = |one| match one {
            Credentials::Password { name, .. } => name,
            Credentials::Identity(token) | Credentials::Bearer(token) => token,
        };
        found.into_iter().map(name).collect()
    }

    #[test]
    fn the_longest_key_that_fits_comes_first() {
        let text = r#"{"auths":{
            "https://index.docker.io/v1/": {"auth":"aHViOnA="},
            "a.example/team": {"username":"team","password":"p"},
            "a.example/team/app": {"username":"app","password":"p"},
            "a.example/tea": {"username":"tea","password":"p"},
            "a.example": {"username":"all","password":"p"},
            "*.example": {"username":"any","password":"p"},
            "b.example:5000": {"identitytoken":"identity"},
            "c.example": {"registrytoken":"bearer"},
            "d.example": {}
        }}"#;
        let rows: &[(&str, &[&str])] = &[
            ("docker.io/library/busybox", &["hub"]),
            ("a.example/team/app", &["app", "team", "all", "any"]),
            ("a.example/team/application", &["team", "all", "any"]),
            ("a.example/x", &["all", "any"]),
            ("b.example:5000/x", &["identity"]),
            ("b.example/x", &["any"]),
            ("b.example:5001/x", &[]),
            ("c.example/x", &["bearer", "any"]),
            ("d.example/x", &["any"]),
            ("x.a.example/x", &[]),
        ];
        for (place, expected) in rows {
            assert_eq!(names(text, place), *expected, "{place}");
        }
    }

    #[test]
    fn the_old_file_is_the_inner_part_alone() {
        let text = r#"{"https://a.example":{"auth":"bWU6cA==","email":"x"}}"#;
        assert_eq!(names(text, "a.example/x"), ["me"]);
        assert_eq!(names("{}", "a.example/x"), [] as [&str; 0]);
    }

    #[test]
    fn a_helper_for_one_registry_comes_before_the_store_for_all() {
        let text = r#"{"credsStore":"all","credHelpers":{"https://a.example":"one"}}"#;
        let file = AuthFile::parse(text).unwrap();
        assert_eq!(file.helper_for("a.example"), Some("one"));
        assert_eq!(file.helper_for("b.example"), Some("all"));
    }
}
