//! Prints as JSON what a process in a container sees.
//!
//! `probe` prints everything; `probe find TEXT DIR…` searches files and processes for a text;
//! `probe eat MIB` uses memory; `probe exit CODE` ends with a code.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["json"] => print(&everything().to_string()),
        ["find", text, directories @ ..] => return find(text, directories),
        ["eat", mebibytes] => eat(mebibytes.parse().unwrap_or(1)),
        ["exit", code] => return ExitCode::from(code.parse::<u8>().unwrap_or(1)),
        other => {
            print(&format!("unknown command {other:?}"));
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn print(text: &str) {
    let mut stdout = io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.write_all(b"\n"));
    if written.is_err() {
        std::process::abort(); // nobody can be told
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn everything() -> Value {
    json!({
        "argv": std::env::args().collect::<Vec<_>>(),
        "env": std::env::vars().collect::<BTreeMap<_, _>>(),
        "cwd": std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default(),
        "pid": std::process::id(),
        "hostname": read("/proc/sys/kernel/hostname").trim(),
        "namespaces": links("/proc/self/ns"),
        "descriptors": links("/proc/self/fd"),
        "mounts": mounts(),
        "status": status(),
        "cgroup": lines("/proc/self/cgroup"),
        "oom_score_adj": read("/proc/self/oom_score_adj").trim(),
        "limits": lines("/proc/self/limits"),
        "pids": pids(),
        "dev": devices(),
        "masked": masked(),
        "writable": writable(),
        "sysctls": sysctls(),
        "uid_map": read("/proc/self/uid_map").split_whitespace().collect::<Vec<_>>(),
        "cwd_owner": owner("."),
        "stdin": stdin(),
        "first_process": read("/proc/1/comm").trim(),
        "interfaces": lines("/proc/net/dev"),
        "routes": lines("/proc/net/route"),
        "hosts": read("/etc/hosts"),
        "resolv_conf": read("/etc/resolv.conf"),
        "etc_hostname": read("/etc/hostname"),
    })
}

/// Paths that a container must not see, with what is there instead: nothing, the null device, or
/// an empty directory.
fn masked() -> BTreeMap<&'static str, String> {
    let paths = [
        "/proc/acpi",
        "/proc/asound",
        "/proc/interrupts",
        "/proc/kcore",
        "/proc/keys",
        "/proc/latency_stats",
        "/proc/sched_debug",
        "/proc/scsi",
        "/proc/timer_list",
        "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ];
    paths.into_iter().map(|path| (path, kind_of(path))).collect()
}

fn kind_of(path: &str) -> String {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return "absent".into();
    };
    if metadata.file_type().is_char_device() {
        return format!("char {}:{}", metadata.rdev() >> 8 & 0xfff, metadata.rdev() & 0xff);
    }
    match fs::read_dir(path).map(Iterator::count) {
        Ok(0) => "empty".into(),
        Ok(count) => format!("{count} entries"),
        Err(_) => "file".into(),
    }
}

/// What becomes of opening kernel files for writing; nothing is written.
fn writable() -> BTreeMap<&'static str, String> {
    let paths = [
        "/proc/sys/kernel/hostname",
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/fs/cgroup/cgroup.procs",
        "/sys/fs/cgroup/memory/cgroup.procs",
        "/sys/fs/cgroup/memory/release_agent",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/resolv.conf",
        "/dev/termination-log",
    ];
    let opened = |path| match fs::OpenOptions::new().write(true).open(path) {
        Ok(_) => "yes".to_owned(),
        Err(error) => error.raw_os_error().map_or_else(String::new, |number| number.to_string()),
    };
    let made = |path: &str| match fs::File::create(path) {
        Ok(_) => fs::remove_file(path).map_or_else(|error| error.to_string(), |()| "yes".into()),
        Err(error) => error.raw_os_error().map_or_else(String::new, |number| number.to_string()),
    };
    let files = paths.into_iter().map(|path| (path, opened(path)));
    let directories = ["/new", "/tmp/new", "/dev/new", "/dev/shm/new", "/sys/fs/cgroup/new"];
    files.chain(directories.into_iter().map(|path| (path, made(path)))).collect()
}

fn sysctls() -> BTreeMap<&'static str, String> {
    let names = [
        "net/ipv4/ip_unprivileged_port_start",
        "net/ipv4/ping_group_range",
        "net/ipv4/tcp_syncookies",
        "kernel/shm_rmid_forced",
    ];
    names.into_iter().map(|name| (name, read(&format!("/proc/sys/{name}")).trim().into())).collect()
}

fn owner(path: &str) -> String {
    fs::metadata(path).map_or_else(
        |error| error.to_string(),
        |it| format!("{}:{} {:o}", it.uid(), it.gid(), it.mode() & 0o7777),
    )
}

/// Whether standard input is the null device of this very `/dev`.
fn stdin() -> &'static str {
    let input = fs::metadata("/proc/self/fd/0");
    let null = fs::metadata("/dev/null");
    match (input, null) {
        (Ok(input), Ok(null)) if (input.dev(), input.ino()) == (null.dev(), null.ino()) => "null",
        _ => "other",
    }
}

fn lines(path: &str) -> Vec<String> {
    read(path).lines().map(str::to_owned).collect()
}

fn links(path: &str) -> BTreeMap<String, String> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let target = fs::read_link(entry.path()).ok()?;
            Some((entry.file_name().into_string().ok()?, target.display().to_string()))
        })
        .collect()
}

/// Capabilities, ids, signals, seccomp: `/proc/self/status` by its fields.
fn status() -> BTreeMap<String, String> {
    let text = read("/proc/self/status");
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn mounts() -> Vec<Value> {
    let text = read("/proc/self/mountinfo");
    text.lines()
        .filter_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let before: Vec<&str> = before.split(' ').collect();
            let after: Vec<&str> = after.split(' ').collect();
            Some(json!({
                "root": before.get(3)?,
                "target": before.get(4)?,
                "options": before.get(5)?,
                "propagation": before.get(6..)?,
                "type": after.first()?,
                "source": after.get(1)?,
                "super": after.get(2)?,
            }))
        })
        .collect()
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn devices() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/dev").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let metadata = fs::symlink_metadata(entry.path()).ok()?;
            let kind = metadata.file_type();
            let (major, minor) = ((metadata.rdev() >> 8) & 0xfff, metadata.rdev() & 0xff);
            let text = if kind.is_char_device() {
                format!("char {major}:{minor} {:o}", metadata.mode() & 0o7777)
            } else if kind.is_symlink() {
                "link".to_owned()
            } else {
                "other".to_owned()
            };
            Some((entry.file_name().into_string().ok()?, text))
        })
        .collect()
}

/// Searches below the directories and in every visible process; the code is 1 when nothing is
/// found.
fn find(text: &str, directories: &[&str]) -> ExitCode {
    let mut hits = Vec::new();
    for directory in directories {
        search(Path::new(directory), text.as_bytes(), &mut hits);
    }
    for pid in pids() {
        for name in ["environ", "cmdline"] {
            let path = format!("/proc/{pid}/{name}");
            if pid != std::process::id() && contains(Path::new(&path), text.as_bytes()) {
                hits.push(path);
            }
        }
    }
    hits.iter().for_each(|hit| print(hit));
    ExitCode::from(u8::from(hits.is_empty()))
}

fn search(directory: &Path, text: &[u8], hits: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() && !matches!(path.to_str(), Some("/proc" | "/sys" | "/dev")) {
            search(&path, text, hits);
        } else if kind.is_file() && contains(&path, text) {
            hits.push(path.display().to_string());
        }
    }
}

fn contains(path: &Path, text: &[u8]) -> bool {
    fs::read(path).is_ok_and(|content| content.windows(text.len()).any(|window| window == text))
}

/// Uses memory and keeps it.
fn eat(mebibytes: usize) {
    let mut eaten: Vec<Vec<u8>> = Vec::new();
    for _ in 0..mebibytes {
        eaten.push(vec![1; 1 << 20]);
    }
    print(&format!("ate {} MiB", eaten.len()));
}
