//! Namespaces by processes: who shares what.

use pod_api::namespaces::{KINDS, Member, Namespaces};

use super::table;

/// A row per process, a column per kind of namespace. `host` and `pod` say with whom a namespace
/// is shared; a number is the inode of one that the process has alone, or that it holds for the pod.
pub(crate) fn table(namespaces: &Namespaces) -> String {
    let kinds = KINDS.map(str::to_uppercase);
    let mut header = vec!["", "PROCESS"];
    header.extend(kinds.iter().map(String::as_str));
    let host = namespaces.host.iter().map(u64::to_string);
    let mut rows = vec![["host".to_owned(), "-".to_owned()].into_iter().chain(host).collect()];
    let holder = namespaces.members.iter().find(|one| one.container.is_none());
    for member in &namespaces.members {
        let name = member.container.clone().unwrap_or_else(|| "pod".to_owned());
        let cells = (0..KINDS.len()).map(|kind| cell(member, holder, namespaces, kind));
        let process = format!("{} {}", member.pid, member.command);
        rows.push([name, process].into_iter().chain(cells).collect());
    }
    table::render(Some(&header), &rows)
}

fn cell(member: &Member, holder: Option<&Member>, all: &Namespaces, kind: usize) -> String {
    let inode = member.namespaces[kind];
    let is_of = |other: Option<&Member>| other.is_some_and(|one| one.namespaces[kind] == inode);
    if all.host[kind] == inode {
        "host".to_owned()
    } else if member.container.is_some() && is_of(holder) {
        "pod".to_owned()
    } else {
        inode.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_with_the_pod_or_the_host_is_said_and_not_numbered() {
        let member = |container: Option<&str>, pid, namespaces| Member {
            container: container.map(str::to_owned),
            pid,
            command: "sh".into(),
            namespaces,
        };
        let namespaces = Namespaces {
            host: [1, 2, 3, 4, 5, 6, 7],
            members: vec![
                member(None, 70, [11, 12, 13, 4, 15, 6, 7]),
                member(Some("web"), 71, [11, 12, 13, 24, 25, 26, 7]),
            ],
        };
        insta::assert_snapshot!(table(&namespaces), @r"
               PROCESS   NET   IPC   UTS   PID    MNT   CGROUP   USER
        host   -         1     2     3     4      5     6        7
        pod    70 sh     11    12    13    host   15    host     host
        web    71 sh     pod   pod   pod   24     25    26       host
        ");
    }
}
