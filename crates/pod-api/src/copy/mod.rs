//! Files copied between a container and the host.
//!
//! A stream of tar entries connects two walkers: one on the host, and one that sees the container's
//! files as the container does ([`serve`]). Neither trusts the other side's names, neither follows
//! a link below the place that the user named, and nothing of the container is run.

mod client;
mod receive;
mod send;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, ResolveFlags};

pub use client::{Copied, CopyError, from_container, to_container};

use crate::control::{CopyRequest, Direction};

/// Something that was not copied, and why. Copying goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A symbolic link, with its target.
    Link(PathBuf, PathBuf),
    /// Something with a name that leads elsewhere, or of a kind that is not copied.
    Skipped(PathBuf, &'static str),
    /// Something that could not be read or written.
    Failed(PathBuf, String),
}

/// The name that the first entry of a stream has; every other one is below it.
const TOP: &str = "top";

/// A place for what is copied: a name in an open directory.
#[derive(Debug)]
struct Place {
    dir: OwnedFd,
    name: OsString,
}

/// The container's end of a copy, which is asked for in JSON; its streams are this process's.
/// Returns an exit code.
pub fn serve(request: &str) -> i32 {
    serde_json::from_str(request).map_or(1, |request| carry_out(&request))
}

fn carry_out(request: &CopyRequest) -> i32 {
    let mut is_whole = true;
    let mut tell = |note: Note| {
        is_whole = false;
        let text = match note {
            Note::Link(path, _) => format!("{}: is a link", quoted(&path)),
            Note::Skipped(path, why) => format!("{}: {why}", quoted(&path)),
            Note::Failed(path, why) => format!("{}: {why}", quoted(&path)),
        };
        let _ = writeln!(io::stderr(), "{text}"); // whoever copies may be gone
    };
    let path = Path::new(&request.path);
    let done = match &request.direction {
        Direction::FromContainer => find(path)
            .and_then(|place| send::send(&place, stream(rustix::stdio::stdout())?, &mut tell)),
        Direction::ToContainer { preserve, name } => {
            let rules = receive::Rules::in_container(*preserve);
            destination(path, OsStr::new(name)).and_then(|place| {
                receive::receive(|_| Ok(place), stream(rustix::stdio::stdin())?, rules, &mut tell)
            })
        }
    };
    if let Err(error) = done {
        tell(Note::Failed(path.to_owned(), reason(&error)));
    }
    i32::from(!is_whole)
}

/// A path in quotes, whose odd characters cannot do harm on a terminal.
pub fn quoted(path: &Path) -> String {
    format!("{:?}", path.to_string_lossy())
}

/// One of this process's streams, without the buffers that are kept for text.
fn stream(file: BorrowedFd<'_>) -> io::Result<File> {
    Ok(File::from(file.try_clone_to_owned()?))
}

/// What a user names: links on the way are followed, the last one is not.
fn find(path: &Path) -> io::Result<Place> {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            Ok(Place { dir: open_directory(or_here(parent))?, name: name.to_owned() })
        }
        _ => Ok(Place { dir: open_directory(path)?, name: ".".into() }),
    }
}

/// Where something of that name goes in a container: into a directory that exists, else beside
/// others under its new name.
fn destination(path: &Path, name: &OsStr) -> io::Result<Place> {
    match open_directory(path) {
        Ok(dir) => Ok(Place { dir, name: name.to_owned() }),
        Err(error) if path.as_os_str().as_encoded_bytes().ends_with(b"/") => Err(error),
        Err(_) => find(path),
    }
}

fn or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(confined::open(CWD, path, flags, ResolveFlags::NO_MAGICLINKS)?)
}

/// An error in the kernel's words.
fn reason(error: &io::Error) -> String {
    let errno = error.raw_os_error().map(nix::errno::Errno::from_raw);
    errno.map_or_else(|| error.to_string(), |errno| errno.desc().to_owned())
}

#[cfg(test)]
mod tests;
