//! `cp`: files between a container and this machine.

use std::path::{Path, PathBuf};

use pod_api::Pods;
use pod_api::control::{CopyRequest, Direction};
use pod_api::copy::{self, Copied, CopyError, Note, quoted};
use pod_api::pods::FoundPod;

use super::exec::require_unfinished;
use super::{places, require_root};
use crate::cli::{CopyArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::{printable, screen, selection};

/// One side of a copy.
#[derive(Debug, PartialEq, Eq)]
enum Side {
    Host(PathBuf),
    Pod { namespace: Option<String>, pod: String, path: String },
}

pub(crate) fn run(args: &PlaceArgs, copy: &CopyArgs) -> Result<(), Failure> {
    let usage = |text: &str| Failure::new(Kind::Usage, text);
    let [source, destination] = copy.files.as_slice() else {
        return Err(usage("source and destination are required"));
    };
    match (side(source).map_err(usage)?, side(destination).map_err(usage)?) {
        (Side::Pod { namespace, pod, path }, Side::Host(to)) => {
            let (found, container) = find(args, copy, (namespace, &pod))?;
            from_pod(
                &found,
                CopyRequest { container, path, direction: Direction::FromContainer },
                &to,
            )
        }
        (Side::Host(from), Side::Pod { namespace, pod, path }) => {
            if !from.exists() {
                let text = format!("{} doesn't exist in local filesystem", from.display());
                return Err(Failure::new(Kind::Failed, text));
            }
            let (found, container) = find(args, copy, (namespace, &pod))?;
            let direction =
                Direction::ToContainer { preserve: !copy.no_preserve, name: base_name(&from) };
            to_pod(&found, &CopyRequest { container, path, direction }, &from)
        }
        (Side::Host(_), Side::Host(_)) => {
            Err(usage("one of src or dest must be a remote file specification"))
        }
        (Side::Pod { .. }, Side::Pod { .. }) => {
            Err(usage("one of src or dest must be a local file specification"))
        }
    }
}

/// Reads `[[namespace/]pod:]path`. What begins with `/` or `.` is of this machine, whatever
/// colons are in it.
fn side(text: &str) -> Result<Side, &'static str> {
    if text == "-" {
        return Err(
            "standard input and output are not copied: use exec; a file of that name is ./-",
        );
    }
    let wrong = "filespec must match the canonical format: [[namespace/]pod:]file/path";
    let Some((pod, path)) = text.split_once(':').filter(|_| !text.starts_with(['/', '.'])) else {
        return if text.is_empty() {
            Err("filepath can not be empty")
        } else {
            Ok(Side::Host(text.into()))
        };
    };
    let (namespace, pod) = match pod.split('/').collect::<Vec<_>>().as_slice() {
        [""] => return Err(wrong),
        [pod] => (None, (*pod).to_owned()),
        [namespace, pod] => (Some((*namespace).to_owned()), (*pod).to_owned()),
        _ => return Err(wrong),
    };
    if path.is_empty() {
        return Err("filepath can not be empty");
    }
    Ok(Side::Pod { namespace, pod, path: path.to_owned() })
}

fn base_name(path: &Path) -> String {
    let real = path.file_name().is_none().then(|| path.canonicalize().ok()).flatten();
    let name = real.as_deref().unwrap_or(path).file_name();
    name.map_or_else(|| ".".to_owned(), |name| name.to_string_lossy().into_owned())
}

fn find(
    args: &PlaceArgs,
    copy: &CopyArgs,
    (namespace, pod): (Option<String>, &str),
) -> Result<(FoundPod, String), Failure> {
    require_root()?;
    let namespace = namespace.unwrap_or_else(|| args.namespace.clone());
    let found = selection::pod(&Pods::new(&places(args)), &namespace, pod)?;
    require_unfinished(&found.pod, "exec into")?;
    let (container, note) = selection::container(&found.pod, copy.container.as_deref())?;
    note.iter().for_each(|note| screen::narrate(note));
    Ok((found, container))
}

fn from_pod(found: &FoundPod, request: CopyRequest, to: &Path) -> Result<(), Failure> {
    let mut is_whole = true;
    let mut tell = |note: Note| {
        let (pod, namespace, path) = (found.name(), found.namespace(), &request.path);
        screen::narrate(&match note {
            Note::Link(link, target) => format!(
                "warning: skipping symlink: {} -> {} (consider using \
                 \"minipod exec -n {namespace:?} {pod:?} -- tar cf - {path:?} | tar xf -\")\n",
                quoted(&link),
                quoted(&target)
            ),
            Note::Skipped(name, why) => {
                format!("warning: file {} {why}, skipping\n", quoted(&name))
            }
            Note::Failed(name, why) => {
                is_whole = false;
                format!("error: cannot write {}: {why}\n", quoted(&name))
            }
        });
    };
    let copied = copy::from_container(&found.dir, &request, to, &mut tell)
        .map_err(|error| failure(error, found))?;
    judge(&copied, is_whole)
}

fn to_pod(found: &FoundPod, request: &CopyRequest, from: &Path) -> Result<(), Failure> {
    let mut is_whole = true;
    let mut tell = |note: Note| {
        screen::narrate(&match note {
            Note::Link(name, _) => format!("warning: skipping symlink: {}\n", quoted(&name)),
            Note::Skipped(name, why) => {
                format!("warning: file {} {why}, skipping\n", quoted(&name))
            }
            Note::Failed(name, why) => {
                is_whole = false;
                format!("error: cannot read {}: {why}\n", quoted(&name))
            }
        });
    };
    let copied = copy::to_container(&found.dir, request, from, &mut tell)
        .map_err(|error| failure(error, found))?;
    judge(&copied, is_whole)
}

/// What the container's end complains about is told as an error, since it was not copied.
fn judge(copied: &Copied, is_whole: bool) -> Result<(), Failure> {
    let (last, others) = match copied.complaints.split_last() {
        Some((last, others)) => (last.clone(), others),
        None if copied.is_whole && is_whole => return Ok(()),
        None if copied.is_whole => return Err(Failure::silent(Kind::Failed)),
        None => ("the container's end of the copy was ended".to_owned(), [].as_slice()),
    };
    others.iter().for_each(|line| screen::narrate(&format!("error: {}\n", printable::line(line))));
    Err(Failure::new(Kind::Failed, printable::line(&last)))
}

fn failure(error: CopyError, found: &FoundPod) -> Failure {
    let hint = match &error {
        CopyError::Client(_) => Some(format!("minipod describe pod {}", found.name())),
        CopyError::Host { .. } | CopyError::Stream(_) => None,
    };
    Failure::of(Kind::Failed, &error).maybe_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: Option<&str>, pod: &str, path: &str) -> Side {
        Side::Pod { namespace: namespace.map(str::to_owned), pod: pod.into(), path: path.into() }
    }

    #[test]
    fn sides_are_read_as_kubectl_reads_them() {
        assert_eq!(side("web:/a"), Ok(pod(None, "web", "/a")));
        assert_eq!(side("prod/web:a:b"), Ok(pod(Some("prod"), "web", "a:b")));
        assert_eq!(side("./a:b"), Ok(Side::Host("./a:b".into())));
        assert_eq!(side("a"), Ok(Side::Host("a".into())));
        for text in [":/a", "a/b/c:/d"] {
            assert!(side(text).unwrap_err().starts_with("filespec must match"), "{text}");
        }
        assert!(side("-").unwrap_err().contains("./-"));
        assert_eq!(side("web:"), Err("filepath can not be empty"));
    }
}
