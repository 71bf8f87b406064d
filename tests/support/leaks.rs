//! What a pod could leave behind, and that it is not there.

use std::fs;
use std::path::Path;

/// Everything of that pod's uid, or below those directories, that is still on the machine.
pub fn left(uid: &str, directories: &[&Path]) -> Vec<String> {
    let mut left = Vec::new();
    for directory in directories {
        files_below(directory, uid, &mut left);
    }
    cgroups_below(Path::new("/sys/fs/cgroup"), uid, &mut left);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    left.extend(
        mounts.lines().filter(|line| line.contains(uid)).map(|line| format!("mount {line}")),
    );
    left.extend(processes(uid));
    left
}

/// Directories of pods that were put aside to be removed, and were not.
pub fn half_removed(state: &Path) -> Vec<String> {
    let names = fs::read_dir(state).into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("new-") || name.starts_with("removed-")).collect()
}

fn files_below(directory: &Path, uid: &str, left: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.display().to_string().contains(uid) {
            left.push(format!("file {}", path.display()));
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            files_below(&path, uid, left);
        }
    }
}

/// Cgroups may be anywhere: a version 1 controller has the pod below the creator's own.
fn cgroups_below(directory: &Path, uid: &str, left: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_name() == uid {
            left.push(format!("cgroup {}", entry.path().display()));
        } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            cgroups_below(&entry.path(), uid, left);
        }
    }
}

/// Processes that have the uid in their mounts: containers, and supervisors of the pod.
fn processes(uid: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(|entry| {
            let mounts = fs::read_to_string(entry.path().join("mountinfo")).unwrap_or_default();
            mounts.contains(uid)
        })
        .map(|entry| format!("process {}", entry.file_name().display()))
        .collect()
}

/// Processes that were started for a pod below that directory: supervisors, and what they have made
/// and not yet started afresh, such as the holder of a pod's namespaces.
pub fn processes_for(directory: &Path) -> Vec<String> {
    let directory = directory.display().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = entries.filter_map(|entry| {
        let line = fs::read_to_string(entry.path().join("cmdline")).ok()?;
        let is_one = line.contains("\0supervise\0") && line.contains(&directory);
        is_one
            .then(|| format!("process {} {}", entry.file_name().display(), line.replace('\0', " ")))
    });
    lines.collect()
}
