//! The firewall before nftables: rules that `iptables-legacy` made, and only it can change.
//!
//! Its program is run only where its table is in use, for the first pod and after the last.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::network::settings::NetworkSettings;

/// Lists the tables in use, the program, and where that is looked for.
const VERSIONS: [(&str, &str); 2] = [
    ("/proc/thread-self/net/ip_tables_names", "iptables-legacy"),
    ("/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy"),
];
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"];

/// Whether a table of this name is in use.
pub(super) fn has_table(table: &str) -> bool {
    VERSIONS.iter().any(|(list, _)| uses(list, table))
}

fn uses(list: &str, table: &str) -> bool {
    fs::read_to_string(list).is_ok_and(|names| names.lines().any(|name| name == table))
}

/// Lets the pods' packets pass where the policy of FORWARD is to drop them. What cannot be done is
/// told by [`refusals`].
pub(super) fn let_pass(settings: &NetworkSettings) {
    for program in refusals(settings) {
        for direction in ["-i", "-o"] {
            let rule = ["-I", "FORWARD", direction, &settings.bridge, "-j", "ACCEPT"];
            run(program, &rule);
        }
    }
}

/// Removes the rules that [`let_pass`] made.
pub(super) fn take_back(settings: &NetworkSettings) {
    for (list, program) in VERSIONS {
        if uses(list, "filter") && lists_bridge(program, settings) {
            for direction in ["-i", "-o"] {
                let rule = ["-D", "FORWARD", direction, &settings.bridge, "-j", "ACCEPT"];
                run(program, &rule);
            }
        }
    }
}

/// The programs whose FORWARD drops the pods' packets.
pub(super) fn refusals(settings: &NetworkSettings) -> Vec<&'static str> {
    let refuses = |(list, program): &(&str, &'static str)| {
        uses(list, "filter")
            && run(program, &["-S", "FORWARD"]).starts_with("-P FORWARD DROP")
            && !lists_bridge(program, settings)
    };
    VERSIONS.iter().filter(|version| refuses(version)).map(|(_, program)| *program).collect()
}

fn lists_bridge(program: &str, settings: &NetworkSettings) -> bool {
    run(program, &["-S", "FORWARD"]).split_whitespace().any(|word| word == settings.bridge)
}

/// What the program prints; nothing if it is not there or fails. It waits a second at most for
/// somebody else who changes rules.
fn run(program: &str, arguments: &[&str]) -> String {
    let paths = DIRECTORIES.iter().map(|directory| Path::new(directory).join(program));
    let Some(path) = paths.into_iter().find(|path| path.exists()) else {
        return String::new();
    };
    let mut command = Command::new(path);
    command.args(["-w", "1"]).args(arguments).stdin(Stdio::null()).stderr(Stdio::null());
    let output = command.output().ok().filter(|output| output.status.success());
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}
