//! Names and passwords for registries, from where docker and podman keep them.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// What opens a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
struct HelperAnswer {
    #[serde(rename = "Username")]
    name: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// The credentials for a registry: those that the caller brings come first, then the files.
pub(crate) fn find(registry: &str, given: &[String]) -> Option<Credentials> {
    let files = files().into_iter().filter_map(|path| fs::read_to_string(path).ok());
    given.iter().cloned().chain(files).find_map(|text| {
        let config: Config = serde_json::from_str(&text).ok()?;
        in_config(&config, registry)
    })
}

fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from).into_iter().collect();
    if let Some(runtime) = env::var_os("XDG_RUNTIME_DIR") {
        files.push(PathBuf::from(runtime).join("containers/auth.json"));
    }
    if let Some(home) = env::var_os("HOME").map(PathBuf::from) {
        files.push(home.join(".config/containers/auth.json"));
        files.push(home.join(".docker/config.json"));
    }
    files
}

fn in_config(config: &Config, registry: &str) -> Option<Credentials> {
    let keys = keys(registry);
    let helper = keys.iter().find_map(|key| config.helpers.get(key)).or(config.store.as_ref());
    if let Some(found) = helper.and_then(|helper| ask(helper, &keys[0])) {
        return Some(found);
    }
    let entry = keys.iter().find_map(|key| config.auths.get(key))?;
    if let (Some(name), Some(password)) = (&entry.username, &entry.password) {
        return Some(Credentials { name: name.clone(), password: password.clone() });
    }
    let decoded = STANDARD.decode(entry.auth.as_ref()?).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (name, password) = text.split_once(':')?;
    Some(Credentials { name: name.to_owned(), password: password.to_owned() })
}

/// The names under which files list a registry; Docker Hub has an old one.
fn keys(registry: &str) -> Vec<String> {
    let mut keys = vec![registry.to_owned()];
    if registry == "docker.io" {
        keys.push("https://index.docker.io/v1/".to_owned());
        keys.push("index.docker.io".to_owned());
    }
    keys.push(format!("https://{registry}"));
    keys
}

/// Asks a credential helper (`docker-credential-NAME get`).
fn ask(helper: &str, registry: &str) -> Option<Credentials> {
    let mut child = Command::new(format!("docker-credential-{helper}"))
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(registry.as_bytes()).ok()?;
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    let answer: HelperAnswer = serde_json::from_slice(&output.stdout).ok()?;
    Some(Credentials { name: answer.name, password: answer.secret })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_as_docker_writes_them() {
        let auth = STANDARD.encode("me:secret");
        let text = format!(r#"{{"auths":{{"https://index.docker.io/v1/":{{"auth":"{auth}"}}}}}}"#);
        let config: Config = serde_json::from_str(&text).unwrap();
        let found = in_config(&config, "docker.io").unwrap();
        assert_eq!((found.name.as_str(), found.password.as_str()), ("me", "secret"));
        assert_eq!(in_config(&config, "quay.io"), None);
        assert!(!format!("{found:?}").contains("secret"));
    }
}
