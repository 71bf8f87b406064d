//! Which namespaces the processes of a running pod are in (`namespaces(7)`).

use std::fs;
use std::io;

use serde::Serialize;

use crate::client::{self, ClientError};
use crate::control::{Reply, Request};
use crate::places::PodDir;

/// The kinds of namespaces, by their names in `/proc/<pid>/ns`, in the order in which views show
/// them: what a pod shares comes first.
pub const KINDS: [&str; 7] = ["net", "ipc", "uts", "pid", "mnt", "cgroup", "user"];

/// A process, and the namespaces that it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Member {
    /// The container's name, or nothing for the pod's holder.
    pub container: Option<String>,
    /// Its number on this machine.
    pub pid: i32,
    /// Its name (`/proc/<pid>/comm`).
    pub command: String,
    /// The inode of its namespace of each of the [`KINDS`].
    pub namespaces: [u64; KINDS.len()],
}

/// The namespaces of a pod's processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Namespaces {
    /// The ones of whoever asks: the host's.
    pub host: [u64; KINDS.len()],
    /// The pod's holder first, then the running containers.
    pub members: Vec<Member>,
}

/// Asks the pod's supervisor for the processes and the kernel for their namespaces. A process that
/// ends meanwhile is left out.
pub fn of_pod(dir: &PodDir) -> Result<Namespaces, ClientError> {
    let Reply::Processes { holder, containers } = client::ask(dir, &Request::Processes)? else {
        return Err(ClientError::NoAnswer);
    };
    let containers = containers.into_iter().map(|(name, pid)| (Some(name), pid));
    let processes = holder.map(|pid| (None, pid)).into_iter().chain(containers);
    let members = processes.filter_map(|(container, pid)| member(container, pid).ok()).collect();
    Ok(Namespaces { host: namespaces("self")?, members })
}

fn member(container: Option<String>, pid: i32) -> io::Result<Member> {
    let command = fs::read_to_string(format!("/proc/{pid}/comm"))?.trim_end().to_owned();
    Ok(Member { container, pid, command, namespaces: namespaces(&pid.to_string())? })
}

fn namespaces(process: &str) -> io::Result<[u64; KINDS.len()]> {
    let mut found = [0; KINDS.len()];
    for (inode, kind) in found.iter_mut().zip(KINDS) {
        let link = fs::read_link(format!("/proc/{process}/ns/{kind}"))?;
        *inode = inode_of(&link.to_string_lossy())
            .ok_or_else(|| io::Error::other(format!("{} is no namespace", link.display())))?;
    }
    Ok(found)
}

/// The number in `net:[4026531833]`.
fn inode_of(link: &str) -> Option<u64> {
    link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_known_by_the_number_in_its_link() {
        assert_eq!(inode_of("net:[4026531833]"), Some(4_026_531_833));
        assert_eq!(inode_of("net:4026531833"), None);
    }
}
