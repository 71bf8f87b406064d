//! Programs that keep credentials: `docker-credential-NAME get`.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde::Deserialize;

use super::Credentials;

/// A helper may ask somebody to unlock something, but not for ever.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a helper says when it has nothing for a registry.
const NOT_FOUND: &str = "credentials not found";
/// The name that goes with an identity token.
const TOKEN: &str = "<token>";

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    name: Option<String>,
    #[serde(rename = "Secret")]
    secret: Option<String>,
}

/// Asks the helper of that name; a failure is a sentence.
pub(super) fn ask(name: &str, host: &str) -> Result<Option<Credentials>, String> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || !name.bytes().all(is_name) {
        return Err(format!("{name:?} is not the name of a credential helper"));
    }
    ask_program(format!("docker-credential-{name}"), host)
}

pub(super) fn ask_program(
    program: impl AsRef<OsStr>,
    host: &str,
) -> Result<Option<Credentials>, String> {
    let program = program.as_ref();
    // Docker Hub is known by its old address.
    let names: &[&str] =
        if host == "docker.io" { &["https://index.docker.io/v1/", host] } else { &[host] };
    for name in names {
        let told = |why: &dyn std::fmt::Display| {
            format!("the credential helper {} does not answer: {why}", program.to_string_lossy())
        };
        let (is_success, output) = run(program, name).map_err(|error| told(&error))?;
        if is_success {
            let answer: Answer = serde_json::from_slice(&output)
                .map_err(|_| told(&"its answer cannot be understood"))?;
            return Ok(answer.credentials());
        }
        let output = String::from_utf8_lossy(&output);
        if !output.contains(NOT_FOUND) {
            return Err(told(&output.trim().chars().take(200).collect::<String>().escape_debug()));
        }
    }
    Ok(None)
}

impl Answer {
    /// Some helpers answer with nothing for what they do not know.
    fn credentials(self) -> Option<Credentials> {
        let (name, secret) = (self.name.unwrap_or_default(), self.secret.unwrap_or_default());
        match (name.as_str(), secret.as_str()) {
            ("", "") => None,
            (TOKEN, _) => Some(Credentials::Identity(secret)),
            _ => Some(Credentials::Password { name, password: secret }),
        }
    }
}

/// Whether it ended well, and what it said.
fn run(program: &OsStr, question: &str) -> io::Result<(bool, Vec<u8>)> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let asked = child.stdin.take().map(|mut stdin| stdin.write_all(question.as_bytes()));
    match asked {
        // Who does not read the question may answer nevertheless.
        Some(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        _ => {}
    }
    let answer = answer_of(&mut child);
    if answer.is_err() {
        let _ = child.kill(); // it may have ended
    }
    let status = child.wait()?;
    Ok((status.success(), answer?))
}

fn answer_of(child: &mut Child) -> io::Result<Vec<u8>> {
    let Some(stdout) = child.stdout.take() else { return Ok(Vec::new()) };
    let (sender, receiver) = channel();
    let _ = thread::spawn(move || {
        let mut answer = Vec::new();
        let read = stdout.take(1 << 20).read_to_end(&mut answer);
        sender.send(read.map(|_| answer)) // nobody waits for it after the time is over
    });
    receiver.recv_timeout(PATIENCE).map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
