//! A store with something beside it that no image may touch, and trees as lists of text.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use image_puller::{Image, Rule, Unwanted};

use crate::image::{Layer, TestImage};
use crate::registry::Registry;
use crate::store::{Scratch, told};

/// A store, and a directory outside of it.
pub(crate) struct Field {
    pub(crate) scratch: Scratch,
    before: Vec<String>,
}

impl Field {
    pub(crate) fn new() -> Self {
        Self::around(Scratch::new())
    }

    pub(crate) fn around(scratch: Scratch) -> Self {
        let canary = scratch.path().join("canary");
        fs::create_dir_all(canary.join("d")).expect("it is empty so far");
        fs::write(canary.join("f"), "untouched").expect("it is empty so far");
        fs::set_permissions(&canary, fs::Permissions::from_mode(0o711)).expect("it is ours");
        let before = detailed(&canary);
        Self { scratch, before }
    }

    /// The directory outside, as links in layers would name it.
    pub(crate) fn canary(&self) -> String {
        self.scratch.path().join("canary").display().to_string()
    }

    /// Pulls an image of these layers; whatever comes of it, nothing outside has changed.
    pub(crate) fn pull(&self, layers: Vec<Layer>) -> Result<Image, String> {
        self.pull_image(&TestImage::of(layers))
    }

    pub(crate) fn pull_image(&self, image: &TestImage) -> Result<Image, String> {
        let registry = Registry::serving(image, |_, answer| answer);
        let pulled = self.scratch.pull(&registry.host());
        assert_eq!(detailed(Path::new(&self.canary())), self.before, "the outside has changed");
        let beside = fs::read_dir(self.scratch.path()).expect("it is there").count();
        assert_eq!(beside, 2, "there is something beside the store and the canary");
        assert_eq!(self.scratch.names_in("tmp"), [] as [String; 0]);
        pulled.map(|pulled| pulled.image).map_err(|error| told(&error))
    }

    /// The tree of an image of one uncompressed layer.
    pub(crate) fn unpack(&self, archive: &[u8]) -> Result<Vec<String>, String> {
        self.pull(vec![Layer::plain(archive.to_vec())]).map(|image| tree(&image.layers[0]))
    }

    /// An image of one layer that is refused: the failure names layer, entry and rule, and leaves
    /// nothing.
    pub(crate) fn refuse(&self, what: &str, archive: &[u8], entry: &str, rule: Rule) {
        let layer = Layer::plain(archive.to_vec());
        let digest = layer.digest().to_string();
        let told = match self.pull(vec![layer]) {
            Ok(image) => panic!("{what} is accepted: {:?}", tree(&image.layers[0])),
            Err(told) => told,
        };
        for part in [&*digest, entry, &rule.to_string()] {
            assert!(told.contains(part), "{what}: no {part:?} in {told}");
        }
        assert!(!told.chars().any(char::is_control), "{what}: {told:?}");
        if rule == Rule::HardLinkMissing {
            // Found out only when the layers below are known; the blob itself is whole and may be
            // another image's, too.
            self.scratch.store().prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up");
        }
        self.scratch.assert_empty(what);
    }
}

/// Everything in a tree, sorted: kind, path, and what makes it special. Regular files are `-`,
/// directories `d`, opaque ones `D`, whiteouts `w`.
pub(crate) fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::new()];
    while let Some(path) = pending.pop() {
        for entry in fs::read_dir(root.join(&path)).expect("directories can be listed") {
            let name = path.join(entry.expect("directories can be listed").file_name());
            found.push(line(root, &name));
            if fs::symlink_metadata(root.join(&name)).is_ok_and(|metadata| metadata.is_dir()) {
                pending.push(name);
            }
        }
    }
    found.sort_by(|a, b| a[2..].cmp(&b[2..]));
    found
}

fn line(root: &Path, name: &Path) -> String {
    let path = root.join(name);
    let metadata = fs::symlink_metadata(&path).expect("it was just listed");
    let kind = metadata.file_type();
    let shown = name.as_os_str().as_bytes().escape_ascii();
    let device = metadata.rdev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    if kind.is_symlink() {
        let target = fs::read_link(&path).expect("it is a link");
        format!("l {shown} -> {}", target.as_os_str().as_bytes().escape_ascii())
    } else if kind.is_dir() {
        let opaque = attribute(&path, "trusted.overlay.opaque").is_some();
        format!("{} {shown}", if opaque { 'D' } else { 'd' })
    } else if kind.is_char_device() && device == 0 {
        format!("w {shown}")
    } else if kind.is_char_device() {
        format!("c {shown} {major}:{minor}")
    } else if kind.is_block_device() {
        format!("b {shown} {major}:{minor}")
    } else if kind.is_fifo() {
        format!("p {shown}")
    } else {
        format!("- {shown}")
    }
}

/// An extended attribute of something that is no link.
pub(crate) fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 65536];
    let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

fn detailed(root: &Path) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    lines.extend(tree(root).iter().map(|line| line[2..].to_owned()));
    let describe = |name: &String| {
        let path = root.join(name);
        let metadata = fs::symlink_metadata(&path).expect("it was just listed");
        let content =
            if metadata.is_file() { fs::read(&path).expect("it is ours") } else { vec![] };
        format!(
            "{name} {:o} {}:{} {}.{} {} {content:?}",
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.nlink(),
        )
    };
    lines.iter().map(describe).collect()
}
