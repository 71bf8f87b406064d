//! `hostPath`: a path of the host, checked as its type says.
//!
//! What is checked here decides whether the pod can start; the sandbox checks the kind once more
//! on the descriptor that it mounts, so that nobody can exchange the path in between.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Volume};
use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use sandbox::PathKind;

use super::VolumeError;

/// The kind that the type of a host path asks for.
pub(crate) fn kind(source: &HostPathVolumeSource) -> PathKind {
    match source.type_.as_deref().unwrap_or_default() {
        "Directory" | "DirectoryOrCreate" => PathKind::Directory,
        "File" | "FileOrCreate" => PathKind::File,
        "Socket" => PathKind::Socket,
        "CharDevice" => PathKind::CharacterDevice,
        "BlockDevice" => PathKind::BlockDevice,
        _ => PathKind::Any,
    }
}

/// Checks the path, and creates it where the type says so.
pub(super) fn check(volume: &Volume, source: &HostPathVolumeSource) -> Result<(), VolumeError> {
    let path = Path::new(&source.path);
    let create = |result: std::io::Result<()>| {
        result.map_err(|error| VolumeError::file(volume, "create", path, error))
    };
    match source.type_.as_deref().unwrap_or_default() {
        // A runtime creates what is missing and not typed.
        "" | "DirectoryOrCreate" if !path.exists() => create(fs::create_dir_all(path))?,
        "FileOrCreate" if !path.exists() => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
            create(file.map(drop))?;
        }
        _ => {}
    }
    let kind = kind(source);
    let found = openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .and_then(|file| fstat(&file));
    if found.is_ok_and(|status| kind.is(status.st_mode)) {
        return Ok(());
    }
    let message = match kind {
        PathKind::Any => format!("cannot open {}", path.display()),
        kind => format!("hostPath type check failed: {} is not {kind}", path.display()),
    };
    Err(VolumeError::source_of(volume, message))
}
