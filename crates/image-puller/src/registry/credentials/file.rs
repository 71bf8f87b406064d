//! Files with credentials: `~/.docker/config.json`, `auth.json`, and the `.dockercfg` of old.

use std::collections::BTreeMap;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine, alphabet};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Credentials;

/// The padding of these files is often cut off.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The parts that matter here. As in Go's types, keys are known in any case, and `null` means that
/// there is nothing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct AuthFile {
    #[serde(default, deserialize_with = "nothing")]
    auths: BTreeMap<String, Option<Entry>>,
    #[serde(default, rename = "credhelpers", deserialize_with = "nothing")]
    helpers: BTreeMap<String, Option<String>>,
    #[serde(default, rename = "credsstore")]
    store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

/// Reads `null` as the default.
fn nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// An object with its keys in lower case; anything else as it is.
fn lower(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            fields.into_iter().map(|(key, value)| (key.to_ascii_lowercase(), value)).collect()
        }
        other => other,
    }
}

impl AuthFile {
    pub(super) fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let text = text.trim_start_matches('\u{feff}');
        let whole: Value = serde_json::from_str(text)?;
        let mut value = lower(whole.clone());
        let known = ["auths", "credhelpers", "credsstore", "httpheaders"];
        let is_modern = known.iter().any(|key| value.get(key).is_some());
        let is_old = value.as_object().is_some_and(|object| {
            !is_modern && !object.is_empty() && object.values().all(Value::is_object)
        });
        if is_old {
            value = serde_json::json!({ "auths": whole });
        }
        if let Some(Value::Object(auths)) = value.get_mut("auths") {
            auths.values_mut().for_each(|entry| *entry = lower(entry.take()));
        }
        serde_json::from_value(value)
    }

    /// The helper that is asked about this host. An empty name means that none is.
    pub(super) fn helper_for(&self, host: &str) -> Option<&str> {
        let own = self.helpers.iter().find(|(key, _)| normal(key) == host);
        let helper = own.map_or(&self.store, |(_, helper)| helper);
        helper.as_deref().filter(|helper| !helper.is_empty())
    }

    /// The credentials for `host/repository`, those for the longest part of it first.
    pub(super) fn entries_for(&self, place: &str) -> Vec<Credentials> {
        let mut fitting: Vec<(usize, &Entry)> = self
            .auths
            .iter()
            .filter_map(|(key, entry)| Some((rank(&normal(key), place)?, entry.as_ref()?)))
            .collect();
        fitting.sort_by_key(|(rank, _)| std::cmp::Reverse(*rank));
        fitting.into_iter().filter_map(|(_, entry)| entry.credentials()).collect()
    }
}

impl Entry {
    fn credentials(&self) -> Option<Credentials> {
        let text = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = text(&self.identitytoken) {
            return Some(Credentials::Identity(token));
        }
        if let Some(token) = text(&self.registrytoken) {
            return Some(Credentials::Bearer(token));
        }
        // Docker looks at the others only where there is no `auth`.
        let encoded = self.auth.as_deref().and_then(decoded);
        let (name, password) = match encoded {
            Some(both) => both,
            None => (text(&self.username)?, text(&self.password).unwrap_or_default()),
        };
        Some(Credentials::Password { name, password })
    }
}

/// Name and password of an `auth` field. Line breaks in it do not count.
fn decoded(auth: &str) -> Option<(String, String)> {
    let auth: String = auth.split_whitespace().collect();
    let text = String::from_utf8(BASE64.decode(auth).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    // Docker pads what it writes with zeros.
    Some((name.to_owned(), password.trim_matches('\0').to_owned()))
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
    fn files_are_read_as_docker_reads_them() {
        // `me:pass`, in several ways; the others say `other`.
        let rows = [
            ("without padding", r#"{"auth":"bWU6cGFzcw"}"#),
            ("in lines", r#"{"auth":"bWU6\r\ncGFz\n cw==\n"}"#),
            ("besides a name", r#"{"auth":"bWU6cGFzcw==","username":"other"}"#),
            ("besides a password", r#"{"auth":"bWU6cGFzcw==","username":"o","password":"o"}"#),
            ("besides nothing", r#"{"auth":"bWU6cGFzcw==","username":"","identitytoken":null}"#),
            ("not encoded", r#"{"auth":"","username":"me","password":"pass","email":null}"#),
            ("encoded wrongly", r#"{"auth":"*","username":"me","password":"pass"}"#),
            ("in other letters", r#"{"Auth":"bWU6cGFzcw=="}"#),
        ];
        for (what, entry) in rows {
            for text in [
                format!(r#"{{"auths":{{"a.example":{entry},"b.example":null}}}}"#),
                format!(
                    r#"{{"Auths":{{"a.example":{entry}}},"credsStore":null,"credHelpers":null}}"#
                ),
                format!("\u{feff}{{\"https://a.example/v1/\":{entry}}}"),
            ] {
                let found = AuthFile::parse(&text).unwrap().entries_for("a.example/x");
                let (name, password) = ("me".to_owned(), "pass".to_owned());
                assert_eq!(found, [Credentials::Password { name, password }], "{what}: {text}");
            }
        }
        for text in [
            r#"{"auths":null}"#,
            r#"{"auths":{"a.example":{}}}"#,
            r#"{"auths":{"a.example":{"auth":null}}}"#,
        ] {
            assert_eq!(names(text, "a.example/x"), [] as [&str; 0], "{text}");
        }
    }

    #[test]
    fn an_empty_name_means_no_helper() {
        let text = r#"{"credsStore":"all","credHelpers":{"a.example":"","b.example":null}}"#;
        let file = AuthFile::parse(text).unwrap();
        assert_eq!(file.helper_for("a.example"), None);
        assert_eq!(file.helper_for("b.example"), None);
        assert_eq!(file.helper_for("c.example"), Some("all"));
        assert_eq!(AuthFile::parse(r#"{"credsStore":""}"#).unwrap().helper_for("c"), None);
    }

    #[test]
    fn a_helper_for_one_registry_comes_before_the_store_for_all() {
        let text = r#"{"credsStore":"all","credHelpers":{"https://a.example":"one"}}"#;
        let file = AuthFile::parse(text).unwrap();
        assert_eq!(file.helper_for("a.example"), Some("one"));
        assert_eq!(file.helper_for("b.example"), Some("all"));
    }
}
