//! `hostPath`: a path of the host, checked as its type says.

use std::fs::{self, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use k8s_openapi::api::core::v1::{HostPathVolumeSource, Volume};

use super::VolumeError;

/// Checks the path, and creates it where the type says so.
pub(super) fn check(volume: &Volume, source: &HostPathVolumeSource) -> Result<(), VolumeError> {
    let path = Path::new(&source.path);
    let create = |verb, result: std::io::Result<()>| {
        result.map_err(|error| VolumeError::file(volume, verb, path, error))
    };
    match source.type_.as_deref().unwrap_or_default() {
        // A runtime creates what is missing and not typed.
        "" if !path.exists() => create("create", fs::create_dir_all(path)),
        "DirectoryOrCreate" if !path.exists() => create("create", fs::create_dir_all(path)),
        "FileOrCreate" if !path.exists() => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
            create("create", file.map(drop))
        }
        "Directory" | "DirectoryOrCreate" => require(volume, path, "a directory", Metadata::is_dir),
        "File" | "FileOrCreate" => require(volume, path, "a file", Metadata::is_file),
        "Socket" => require(volume, path, "a socket file", |it| it.file_type().is_socket()),
        "CharDevice" => {
            require(volume, path, "a character device", |it| it.file_type().is_char_device())
        }
        "BlockDevice" => {
            require(volume, path, "a block device", |it| it.file_type().is_block_device())
        }
        _ => Ok(()),
    }
}

fn require(
    volume: &Volume,
    path: &Path,
    what: &str,
    is: impl Fn(&Metadata) -> bool,
) -> Result<(), VolumeError> {
    if fs::metadata(path).is_ok_and(|metadata| is(&metadata)) {
        return Ok(());
    }
    let message = format!("hostPath type check failed: {} is not {what}", path.display());
    Err(VolumeError::source_of(volume, message))
}
