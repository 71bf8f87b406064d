//! Reads manifests from files, directories and standard input.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pod_model::{Object, ParseOptions, Source};

use crate::cli::{ManifestArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::screen;

/// A manifest larger than this is none (the API server takes 3 MiB).
const LARGEST: u64 = 3 << 20;

/// Everything that the files describe, in their order. Problems of all files are printed
/// together, and then nothing is returned.
pub(crate) fn read(
    files: &[PathBuf],
    places: &PlaceArgs,
    args: ManifestArgs,
) -> Result<Vec<Object>, Failure> {
    let options = ParseOptions {
        namespace: Some(places.namespace.clone()),
        ignore_unsupported: args.ignore_unsupported,
    };
    let mut objects = Vec::new();
    let mut problems = String::new();
    let mut count = 0;
    for file in expand(files)? {
        let (name, text) = read_text(&file)?;
        let source = Source { name: &name, text: &text };
        match pod_model::parse(&source, &options) {
            Ok(manifest) => {
                for warning in &manifest.warnings {
                    screen::narrate(&warning.render(&source));
                }
                objects.extend(manifest.objects);
            }
            Err(found) => {
                count += found.errors();
                problems.push_str(&found.render(&source));
            }
        }
    }
    if problems.is_empty() {
        return Ok(objects);
    }
    screen::narrate(&problems);
    let noun = if count == 1 { "problem" } else { "problems" };
    Err(Failure::new(
        Kind::Manifest,
        format!("{count} {noun} in the manifest; nothing was created"),
    ))
}

/// A directory stands for the manifests in it.
fn expand(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut expanded = Vec::new();
    for file in files {
        if !file.is_dir() {
            expanded.push(file.clone());
            continue;
        }
        let entries = fs::read_dir(file).map_err(|error| cannot_read(file, &error))?;
        let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        inside.retain(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("yaml" | "yml" | "json"))
        });
        inside.sort();
        expanded.extend(inside);
    }
    Ok(expanded)
}

fn read_text(file: &Path) -> Result<(String, String), Failure> {
    let mut bytes = Vec::new();
    let name = if file == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)?;
        "<stdin>".to_owned()
    } else {
        let opened = fs::File::open(file).map_err(|error| cannot_read(file, &error))?;
        opened
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot_read(file, &error))?;
        file.display().to_string()
    };
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::new(Kind::Manifest, format!("{name} is larger than 3 MiB")));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((name, text)),
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            let text = format!("{name} is not UTF-8 text: byte {} is wrong", at + 1);
            Err(Failure::new(Kind::Manifest, text))
        }
    }
}

fn cannot_read(file: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(Kind::Failed, format!("cannot read {}: {error}", file.display()));
    if error.kind() == io::ErrorKind::NotFound {
        let near = file.parent().and_then(|parent| near_file(parent, file));
        return failure.maybe_hint(near.map(|near| format!("did you mean {near}?")));
    }
    failure
}

/// The file beside it with the most similar name.
fn near_file(parent: &Path, file: &Path) -> Option<String> {
    let dir = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let entries = fs::read_dir(dir).ok()?.flatten();
    let names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let wrong = file.file_name()?.to_str()?;
    let near = crate::failure::near_match(wrong, names.iter().map(String::as_str))?;
    Some(parent.join(near).display().to_string())
}
