//! The rules of the workspace, checked: who may depend on whom, where `unsafe` may be, how long a
//! file may get, and that the documentation says the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e_tests::fixtures::workspace;

/// Each crate with those of ours that it may depend on.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("pod-model", &[]),
    ("pod-lifecycle", &["pod-model"]),
    ("confined", &[]),
    ("image-puller", &["confined"]),
    ("sandbox", &["confined"]),
    ("pod-api", &["pod-model", "confined"]),
    (
        "pod-runner",
        &["pod-model", "pod-lifecycle", "pod-api", "image-puller", "sandbox", "confined"],
    ),
    ("columns", &["pod-api"]),
    ("api-server", &["pod-model", "pod-api", "columns"]),
    ("minipod", &["pod-model", "pod-api", "pod-runner", "image-puller", "columns", "api-server"]),
];

/// Longer files are several files.
const LONGEST: usize = 500;

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(workspace())
        .output()
        .expect("cargo metadata runs");
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let normal = |package: &serde_json::Value| {
        let list = package["dependencies"].as_array().cloned().unwrap_or_default();
        list.iter().filter(|one| one["kind"].is_null()).map(|one| text(&one["name"])).collect()
    };
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    packages.iter().map(|package| (text(&package["name"]), normal(package))).collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") && !path.ends_with("build") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for part in ["crates", "tests", "rootfs-fixtures"] {
        sources(&workspace().join(part), &mut found);
    }
    found
}

#[test]
fn crates_depend_only_on_those_they_may() {
    let found = dependencies();
    let ours: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    for (name, allowed) in MAY_USE {
        let used: Vec<&String> =
            found[name].iter().filter(|one| ours.contains(one.as_str())).collect();
        for one in used {
            assert!(allowed.contains(&one.as_str()), "{name} must not depend on {one}");
        }
    }
}

#[test]
fn the_program_makes_no_system_calls_and_the_lifecycle_depends_on_nothing_else() {
    let found = dependencies();
    for name in ["nix", "libc", "rustix"] {
        assert!(!found["minipod"].contains(name), "minipod must not depend on {name}");
    }
    let only: BTreeSet<String> = ["pod-model".to_owned()].into();
    assert_eq!(found["pod-lifecycle"], only);
}

#[test]
fn unsafe_code_is_in_its_island_only() {
    for path in all_sources() {
        let is_island = path.to_string_lossy().contains("crates/sandbox/src/sys/");
        let text = std::fs::read_to_string(&path).unwrap();
        let mut code = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let word = ["un", "safe "].concat();
        assert!(is_island || !code.any(|line| line.contains(&word)), "{}", path.display());
    }
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    for path in all_sources() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines", path.display());
    }
}

#[test]
fn the_documented_crates_are_the_crates() {
    let text = std::fs::read_to_string(workspace().join("docs/architecture.md")).unwrap();
    for (name, allowed) in MAY_USE {
        let uses = if allowed.is_empty() { "–".to_owned() } else { allowed.join(", ") };
        let row = text.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("docs/architecture.md lacks {name}"));
        assert!(row.ends_with(&format!("| {uses} |")), "{row}");
    }
}

/// Files that handle paths which a container or an image can influence. In them everything goes by
/// descriptors: no call of the standard library that takes a path, which would follow any link.
const BY_DESCRIPTOR: [&str; 5] = [
    "crates/sandbox/src/mounts.rs",
    "crates/pod-runner/src/plan/identity.rs",
    "crates/pod-runner/src/plan/mounts.rs",
    "crates/pod-runner/src/volumes/payload.rs",
    "crates/pod-runner/src/volumes/tree.rs",
];

/// In these only paths of the host's own are given to such calls: `/dev`, `/proc/self`, and
/// directories that minipod made for itself.
const OF_THE_HOST: [(&str, &[&str]); 5] = [
    ("crates/sandbox/src/standard_mounts.rs", &["fs::read_dir(from)", "fs::symlink_metadata("]),
    ("crates/sandbox/src/mount_sources.rs", &["fs::create_dir_all(&path)"]),
    ("crates/sandbox/src/overlay.rs", &["fs::create_dir_all(place)"]),
    (
        "crates/sandbox/src/root.rs",
        &["fs::create_dir(place(name))", "top.map(fs::metadata)", "fs::set_permissions(upper,"],
    ),
    (
        "crates/sandbox/src/stage/become_process.rs",
        &[
            "fs::OpenOptions::new()",
            "fs::write(\"/proc/self/oom_score_adj\"",
            "fs::File::from(file)",
        ],
    ),
];

/// The lines of a file before its tests that call `std::fs`.
fn path_calls(path: &str) -> Vec<String> {
    let text = std::fs::read_to_string(workspace().join(path)).expect("a source file");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let calls = code.lines().map(str::trim).filter(|line| {
        let line = line.replace("rustix::fs::", "");
        !line.starts_with("//") && !line.starts_with("use ") && line.contains("fs::")
    });
    calls.map(str::to_owned).collect()
}

#[test]
fn paths_of_containers_are_resolved_by_descriptor() {
    for path in BY_DESCRIPTOR {
        assert_eq!(path_calls(path), [""; 0], "{path}");
    }
    for (path, known) in OF_THE_HOST {
        for call in path_calls(path) {
            assert!(known.iter().any(|one| call.contains(one)), "{path}: {call}");
        }
    }
}
