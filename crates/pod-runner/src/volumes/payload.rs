//! Files that change all at once (Kubernetes: the atomic writer of ConfigMap volumes).
//!
//! The real files are in a directory named after the date; `..data` points to it, and each name
//! a container sees points through `..data`. Renaming a new link over `..data` changes them all.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use jiff::Timestamp;

use super::tree::{GroupAccess, Tree};
use pod_api::random;

/// The files of a volume by their path in it.
pub(super) type Payload = BTreeMap<String, PayloadFile>;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PayloadFile {
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
}

/// Writes the files into the volume's directory, replacing what was written before.
pub(super) fn write(
    volume: &Tree,
    payload: &Payload,
    group: Option<GroupAccess>,
) -> io::Result<()> {
    payload.keys().try_for_each(|path| check_path(path))?;
    let former = volume.link("..data").filter(|name| is_version_name(name));
    if former.as_deref().is_some_and(|former| is_unchanged(volume, former, payload)) {
        return Ok(());
    }
    let version = version_name();
    let dir = volume.make_directory(&version, 0o755)?;
    for (path, file) in payload {
        write_file(&dir, path, file)?;
    }
    if let Some(access) = group {
        dir.give(access)?;
        volume.give_top(access)?;
    }
    volume.remove("..data_tmp")?; // left by a supervisor that was killed here
    volume.make_link("..data_tmp", &version)?;
    volume.rename("..data_tmp", "..data")?;
    link_names(volume, payload)?;
    remove_old(volume, payload, &version)
}

/// `..2026_01_02_15_04_05.123456789`
fn version_name() -> String {
    let mut bytes = [0_u8; 4];
    random::fill(&mut bytes);
    let number = u32::from_le_bytes(bytes);
    let date = Timestamp::now().to_string();
    let date = date.get(..19).unwrap_or_default().replace(['-', 'T', ':'], "_");
    format!("..{date}.{number}")
}

/// Only a name that was made here is ever removed: a container may have changed the link.
fn is_version_name(name: &str) -> bool {
    let is_ours = |character: char| character.is_ascii_digit() || matches!(character, '_' | '.');
    name.strip_prefix("..").is_some_and(|date| {
        date.len() > 20
            && date.starts_with(|first: char| first.is_ascii_digit())
            && date.chars().all(is_ours)
    })
}

/// A key is a path inside the volume, and none of the names the volume itself is made of.
fn check_path(path: &str) -> io::Result<()> {
    let mut parts = Path::new(path).components();
    let is_plain = parts.clone().count() > 0
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && !path.starts_with("..");
    if is_plain { Ok(()) } else { Err(io::Error::other(format!("invalid path {path:?}"))) }
}

fn write_file(dir: &Tree, path: &str, file: &PayloadFile) -> io::Result<()> {
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut below: Option<Tree> = None;
    for part in parents.split('/').filter(|part| !part.is_empty()) {
        let at = below.as_ref().unwrap_or(dir);
        let next = match at.make_directory(part, 0o755) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => at.directory(part)?,
            made => made?,
        };
        below = Some(next);
    }
    below.as_ref().unwrap_or(dir).make_file(name, &file.content, file.mode)
}

/// The names that a container sees: the first parts of the paths.
fn top_names(payload: &Payload) -> BTreeSet<&str> {
    payload.keys().filter_map(|path| path.split('/').next()).collect()
}

fn link_names(volume: &Tree, payload: &Payload) -> io::Result<()> {
    let mut names = top_names(payload).into_iter();
    names.try_for_each(|name| volume.make_link(name, &format!("..data/{name}")))
}

/// Removes names that are no longer there, and every version but the newest. Each name that was
/// made here is a link; what else there is are mount points of containers, and removing those
/// would unmount what is there.
fn remove_old(volume: &Tree, payload: &Payload, newest: &str) -> io::Result<()> {
    let top = top_names(payload);
    for name in volume.names()? {
        let name = name.to_string_lossy();
        let is_old = if name.starts_with("..") {
            is_version_name(&name) && name != newest
        } else {
            !top.contains(name.as_ref()) && volume.link(&name).is_some()
        };
        if is_old {
            volume.remove(&name)?;
        }
    }
    Ok(())
}

fn is_unchanged(volume: &Tree, version: &str, payload: &Payload) -> bool {
    let Ok(dir) = volume.directory(version) else {
        return false;
    };
    let same = |path: &String, file: &PayloadFile| {
        dir.read(path).is_ok_and(|content| content == file.content)
    };
    payload.iter().all(|(path, file)| same(path, file))
        && dir.count_files().is_ok_and(|count| count == payload.len())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |content: &str| PayloadFile { content: content.into(), mode: 0o640 };
        files.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect()
    }

    fn put(volume: &Path, files: &[(&str, &str)]) {
        write(&Tree::open(volume).unwrap(), &payload(files), None).unwrap();
    }

    #[test]
    fn files_change_all_at_once_and_old_ones_go() {
        let volume = tempfile::tempdir().unwrap();
        put(volume.path(), &[("a", "1"), ("sub/b", "2")]);
        assert_eq!(fs::read_to_string(volume.path().join("a")).unwrap(), "1");
        assert_eq!(fs::read_to_string(volume.path().join("sub/b")).unwrap(), "2");
        assert_eq!(fs::read_link(volume.path().join("sub")).unwrap(), Path::new("..data/sub"));
        let first = fs::read_link(volume.path().join("..data")).unwrap();
        assert!(is_version_name(first.to_str().unwrap()), "{}", first.display());
        put(volume.path(), &[("a", "1"), ("sub/b", "2")]);
        assert_eq!(fs::read_link(volume.path().join("..data")).unwrap(), first);
        put(volume.path(), &[("a", "3")]);
        assert_eq!(fs::read_to_string(volume.path().join("a")).unwrap(), "3");
        assert!(!volume.path().join("sub").exists());
        assert!(!volume.path().join(first).exists());
        let mode = fs::metadata(volume.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }

    #[test]
    fn links_that_a_container_planted_are_neither_followed_nor_emptied() {
        let canary = tempfile::tempdir().unwrap();
        fs::write(canary.path().join("file"), "untouched").unwrap();
        let volume = tempfile::tempdir().unwrap();
        put(volume.path(), &[("key", "1"), ("sub/b", "2")]);
        let version = fs::read_link(volume.path().join("..data")).unwrap();
        for (name, target) in [
            ("key", canary.path().join("file")),
            ("..data", canary.path().to_owned()),
            ("..data_tmp", canary.path().join("file")),
            ("stray", canary.path().to_owned()),
        ] {
            let _ = fs::remove_file(volume.path().join(name));
            symlink(target, volume.path().join(name)).unwrap();
        }
        put(volume.path(), &[("key", "2")]);
        assert_eq!(fs::read_to_string(volume.path().join("key")).unwrap(), "2");
        assert_eq!(fs::read_to_string(canary.path().join("file")).unwrap(), "untouched");
        assert_eq!(fs::read_dir(canary.path()).unwrap().count(), 1);
        assert!(!volume.path().join("stray").exists());
        assert!(!volume.path().join(version).exists());
    }

    #[test]
    fn a_path_that_leads_out_of_the_volume_is_refused() {
        let volume = tempfile::tempdir().unwrap();
        let tree = Tree::open(volume.path()).unwrap();
        for path in ["../x", "/x", "a/../../x", "..data", "..", "", "."] {
            assert!(write(&tree, &payload(&[(path, "x")]), None).is_err(), "{path:?}");
        }
        assert_eq!(fs::read_dir(volume.path()).unwrap().count(), 0);
    }
}
