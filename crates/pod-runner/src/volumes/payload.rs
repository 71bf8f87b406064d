//! Files that change all at once (Kubernetes: the atomic writer of ConfigMap volumes).
//!
//! The real files are in a directory named after the date; `..data` points to it, and each name
//! a container sees points through `..data`. Renaming a new link over `..data` changes them all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Component, Path};

use jiff::Timestamp;

use crate::random;

/// The files of a volume by their path in it.
pub(super) type Payload = BTreeMap<String, PayloadFile>;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PayloadFile {
    pub(super) content: Vec<u8>,
    pub(super) mode: u32,
}

/// Writes the files into the volume's directory, replacing what was written before.
pub(super) fn write(volume: &Path, payload: &Payload) -> io::Result<()> {
    let former = fs::read_link(volume.join("..data")).ok();
    if former.is_some() && is_unchanged(&volume.join("..data"), payload) {
        return Ok(());
    }
    let version = version_name();
    let dir = volume.join(&version);
    DirBuilder::new().mode(0o755).create(&dir)?;
    for (path, file) in payload {
        write_file(&dir, path, file)?;
    }
    let aside = volume.join("..data_tmp");
    let _ = fs::remove_file(&aside); // left by a supervisor that was killed here
    symlink(&version, &aside)?;
    fs::rename(&aside, volume.join("..data"))?;
    link_names(volume, payload)?;
    match former {
        Some(former) => fs::remove_dir_all(volume.join(former)),
        None => Ok(()),
    }
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

fn write_file(dir: &Path, path: &str, file: &PayloadFile) -> io::Result<()> {
    let target = dir.join(path);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(&target, &file.content)?;
    fs::set_permissions(&target, fs::Permissions::from_mode(file.mode))
}

/// Makes the names that a container sees, and removes those that are no longer there.
fn link_names(volume: &Path, payload: &Payload) -> io::Result<()> {
    let names: BTreeSet<&str> = payload.keys().filter_map(|path| first_part(path)).collect();
    for name in &names {
        match symlink(Path::new("..data").join(name), volume.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    for entry in fs::read_dir(volume)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if !name.starts_with("..") && !names.contains(name.as_ref()) {
            fs::remove_file(volume.join(name.as_ref()))?;
        }
    }
    Ok(())
}

fn first_part(path: &str) -> Option<&str> {
    Path::new(path).components().find_map(|part| match part {
        Component::Normal(name) => name.to_str(),
        _ => None,
    })
}

fn is_unchanged(dir: &Path, payload: &Payload) -> bool {
    let same = |path: &String, file: &PayloadFile| {
        fs::read(dir.join(path)).is_ok_and(|content| content == file.content)
    };
    payload.iter().all(|(path, file)| same(path, file)) && files_below(dir) == payload.len()
}

fn files_below(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path()),
            _ => 1,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |content: &str| PayloadFile { content: content.into(), mode: 0o640 };
        files.iter().map(|(path, content)| ((*path).to_owned(), file(content))).collect()
    }

    #[test]
    fn files_change_all_at_once_and_old_ones_go() {
        let volume = tempfile::tempdir().unwrap();
        write(volume.path(), &payload(&[("a", "1"), ("sub/b", "2")])).unwrap();
        assert_eq!(fs::read_to_string(volume.path().join("a")).unwrap(), "1");
        assert_eq!(fs::read_to_string(volume.path().join("sub/b")).unwrap(), "2");
        let first = fs::read_link(volume.path().join("..data")).unwrap();
        write(volume.path(), &payload(&[("a", "1"), ("sub/b", "2")])).unwrap();
        assert_eq!(fs::read_link(volume.path().join("..data")).unwrap(), first);
        write(volume.path(), &payload(&[("a", "3")])).unwrap();
        assert_eq!(fs::read_to_string(volume.path().join("a")).unwrap(), "3");
        assert!(!volume.path().join("sub").exists());
        assert!(!volume.path().join(first).exists());
        let mode = fs::metadata(volume.path().join("a")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    }
}
