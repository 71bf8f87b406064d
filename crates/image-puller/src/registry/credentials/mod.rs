//! What opens a registry, from where docker, podman and Kubernetes keep it.

mod file;
mod helper;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use file::AuthFile;

/// What opens a registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// A name and a password.
    Password { name: String, password: String },
    /// An identity token: it is exchanged for tokens (OAuth 2, `refresh_token`).
    Identity(String),
    /// A token that is used as it is.
    Bearer(String),
}

/// What there is for one place, in the order in which it is tried, and what could not be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) credentials: Vec<Credentials>,
    pub(crate) problems: Vec<String>,
}

impl Credentials {
    /// The header for Basic authentication, if there is a password.
    pub(super) fn basic(&self) -> Option<String> {
        match self {
            Self::Password { name, password } => {
                Some(format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))))
            }
            Self::Identity(_) | Self::Bearer(_) => None,
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Identity(_) => "Identity",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// The credentials for `host/repository`: all that the caller brings and that fit, the most
/// specific first, and then those of the first file that has some. Only this machine's own files
/// may name credential helpers, for these are programs that are run.
pub(crate) fn find(place: &str, given: &[String], files: &[PathBuf]) -> Found {
    let mut found = Found::default();
    for text in given {
        match AuthFile::parse(text) {
            Ok(file) => found.credentials.extend(file.entries_for(place)),
            Err(_) => found.problems.push("an image pull secret cannot be understood".to_owned()),
        }
    }
    for path in files {
        match in_file(path, place) {
            Ok(credentials) if credentials.is_empty() => {}
            Ok(credentials) => {
                let new = credentials.into_iter().filter(|one| !found.credentials.contains(one));
                let new: Vec<Credentials> = new.collect();
                found.credentials.extend(new);
                break;
            }
            Err(problem) => found.problems.push(problem),
        }
    }
    found
}

fn in_file(path: &Path, place: &str) -> Result<Vec<Credentials>, String> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| format!("{} cannot be read: {error}", path.display()))?,
    };
    let file = AuthFile::parse(&text)
        .map_err(|error| format!("{} cannot be understood: {error}", path.display()))?;
    let host = place.split('/').next().unwrap_or(place);
    match file.helper_for(host) {
        Some(helper) => match helper::ask(helper, host)? {
            Some(credentials) => Ok(vec![credentials]),
            None => Ok(file.entries_for(place)),
        },
        None => Ok(file.entries_for(place)),
    }
}

/// The files of this machine, in the order in which they are read (containers-auth.json(5)).
/// A file that `REGISTRY_AUTH_FILE` names is the only one.
pub(crate) fn files() -> Vec<PathBuf> {
    let path = |name: &str| env::var_os(name).map(PathBuf::from);
    if let Some(only) = path("REGISTRY_AUTH_FILE") {
        return vec![only];
    }
    let mut files = Vec::new();
    files.extend(path("XDG_RUNTIME_DIR").map(|runtime| runtime.join("containers/auth.json")));
    let user = rustix::process::geteuid().as_raw();
    files.push(format!("/run/containers/{user}/auth.json").into());
    let home = path("HOME");
    let config = path("XDG_CONFIG_HOME").or(home.as_ref().map(|home| home.join(".config")));
    files.extend(config.map(|config| config.join("containers/auth.json")));
    let docker = path("DOCKER_CONFIG").or(home.as_ref().map(|home| home.join(".docker")));
    files.extend(docker.map(|docker| docker.join("config.json")));
    files.extend(home.map(|home| home.join(".dockercfg")));
    files
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn password(text: &str) -> Credentials {
        Credentials::Password { name: "me".to_owned(), password: text.to_owned() }
    }

    fn auth(text: &str) -> String {
        STANDARD.encode(format!("me:{text}"))
    }

    #[test]
    fn every_secret_that_fits_is_tried_before_the_first_file_that_fits() {
        let scratch = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = scratch.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let files = [
            scratch.path().join("not there"),
            file("broken", "{"),
            file("other", r#"{"auths":{"b.example":{"auth":"bWU6eA=="}}}"#),
            file("first", &format!(r#"{{"auths":{{"a.example":{{"auth":"{}"}}}}}}"#, auth("f"))),
            file("second", &format!(r#"{{"auths":{{"a.example":{{"auth":"{}"}}}}}}"#, auth("g"))),
        ];
        let secret = |key: &str, text: &str| {
            format!(r#"{{"auths":{{"{key}":{{"auth":"{}"}}}}}}"#, auth(text))
        };
        let given =
            [secret("a.example", "s"), secret("b.example", "t"), secret("*.example/x", "u")];
        let found = find("a.example/x", &given, &files);
        assert_eq!(found.credentials, [password("s"), password("u"), password("f")]);
        assert_eq!(found.problems.len(), 1, "{found:?}");
        assert!(!format!("{found:?}").contains("me"), "credentials are not shown");
    }

    #[test]
    fn a_secret_cannot_have_a_program_run() {
        let given = [r#"{"credsStore":"../../../bin/sh","credHelpers":{"a.example":"x"}}"#];
        assert_eq!(find("a.example/x", &given.map(str::to_owned), &[]), Found::default());
    }

    #[test]
    fn a_helper_that_is_missing_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("config.json");
        fs::write(&path, r#"{"credsStore":"minipod-test-none"}"#).unwrap();
        let found = find("a.example/x", &[], std::slice::from_ref(&path));
        assert_eq!(found.credentials, []);
        assert!(found.problems[0].contains("docker-credential-minipod-test-none"), "{found:?}");
    }

    #[test]
    fn a_helper_answers_with_a_password_or_an_identity_token() {
        let scratch = tempfile::tempdir().unwrap();
        let script = scratch.path().join("docker-credential-x");
        let text = "#!/bin/sh\nread host\ncase $host in\n\
             a.example) echo '{\"Username\":\"me\",\"Secret\":\"p\"}';;\n\
             https://index.docker.io/v1/) echo '{\"Username\":\"<token>\",\"Secret\":\"t\"}';;\n\
             b.example) echo 'credentials not found in native keychain'; exit 1;;\n\
             *) echo 'the keychain is locked'; exit 1;;\nesac\n";
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let ask = |host| helper::ask_program(&script, host);
        assert_eq!(ask("a.example"), Ok(Some(password("p"))));
        assert_eq!(ask("docker.io"), Ok(Some(Credentials::Identity("t".to_owned()))));
        assert_eq!(ask("b.example"), Ok(None));
        assert!(ask("c.example").unwrap_err().contains("the keychain is locked"));
    }
}
