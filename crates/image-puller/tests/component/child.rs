//! Pulls in processes of their own: with the environment that a test gives them.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use image_puller::{PullOptions, Puller, Reference, Store};

use crate::store::{Scratch, told};

const CHILD: &str = "child::a_pull_in_a_process_of_its_own";
const PULLED: &str = "pulled bytes: ";
const FAILED: &str = "failed: ";

/// Not a test: what the tests start.
#[test]
#[ignore = "other tests start it"]
fn a_pull_in_a_process_of_its_own() {
    let (Ok(data), Ok(name)) = (std::env::var("PULL_INTO"), std::env::var("PULL_NAME")) else {
        return;
    };
    let store = Store::open(data.as_ref()).expect("a store can be made here");
    let options = PullOptions::from_environment().expect("the configuration can be read");
    let reference = Reference::parse(&name).expect("this is a reference");
    let said = match Puller::new(store, options).pull(&reference, &()) {
        Ok(pulled) => format!("{PULLED}{}", pulled.bytes),
        Err(error) => format!("{FAILED}{}; {}", told(&error), error.hint().unwrap_or_default()),
    };
    fs::write(std::env::var("PULL_SAYS").expect("it is given"), said).expect("it is ours");
}

/// The program that pulls this into the store of `scratch`; its home is there, too.
pub(crate) fn command(scratch: &Scratch, reference: &Reference) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this is running"));
    command
        .args(["--exact", CHILD, "--ignored"])
        .env_clear()
        .env("HOME", scratch.path().join("home"))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("CONTAINERS_REGISTRIES_CONF", scratch.path().join("registries.conf"))
        .env("PULL_INTO", scratch.path().join("data"))
        .env("PULL_NAME", reference.to_string())
        .env("PULL_SAYS", scratch.path().join("says"))
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The same program, where names have the addresses of that file.
pub(crate) fn with_hosts(command: &Command, hosts: &Path) -> Command {
    let mut within = Command::new("unshare");
    within
        .args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/hosts && exec \"$@\""])
        .arg(hosts)
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    within
}

/// Pulls with these variables set: the bytes that were fetched, or all that is said of a failure.
pub(crate) fn pull(
    scratch: &Scratch,
    name: &str,
    variables: &[(&str, &str)],
) -> Result<u64, String> {
    let reference = Reference::parse(name).expect("this is a reference");
    let mut command = command(scratch, &reference);
    command.envs(variables.iter().copied());
    say(scratch, command)
}

/// What comes of a pull.
pub(crate) fn say(scratch: &Scratch, mut command: Command) -> Result<u64, String> {
    let output = command.output().expect("it can be started");
    let said = fs::read_to_string(scratch.path().join("says"));
    let said = said.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stdout)));
    match said.strip_prefix(PULLED) {
        Some(bytes) => Ok(bytes.parse().expect("it is a number")),
        None => Err(said.trim_start_matches(FAILED).to_owned()),
    }
}
