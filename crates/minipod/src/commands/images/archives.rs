//! `load` and `save`.

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use image_puller::{ArchiveFormat, Reference, SaveError, Store};

use super::{Board, find, open};
use crate::cli::PlaceArgs;
use crate::cli::images::{LoadArgs, SaveArgs, SaveFormat};
use crate::failure::{Failure, Kind};
use crate::screen;

pub(crate) fn load(args: &PlaceArgs, load: &LoadArgs) -> Result<(), Failure> {
    let standard_input = [PathBuf::from("-")];
    let inputs = match load.input.as_slice() {
        [] if io::stdin().is_terminal() => {
            return Err(Failure::new(Kind::Usage, "there is no archive to load")
                .hint("use -i PATH, or < FILE"));
        }
        [] => &standard_input,
        given => given,
    };
    let store = open(args)?;
    for input in inputs {
        let board = Board::new(load.quiet);
        let loaded = if input.as_os_str() == "-" {
            let name = Path::new("standard input");
            let stdin = io::stdin().as_fd().try_clone_to_owned()?;
            board.title(&format!("{}:", name.display()));
            store.load_archive(stdin.into(), name, &board)
        } else {
            board.title(&format!("{}:", input.display()));
            store.load(input, &board)
        };
        board.clear();
        let names =
            loaded.map_err(|error| Failure::of(Kind::Failed, &error).maybe_hint(error.hint()))?;
        for name in names.iter().filter(|_| !load.quiet) {
            screen::answer(&format!("Loaded image: {name}\n"))?;
        }
    }
    Ok(())
}

pub(crate) fn save(args: &PlaceArgs, save: &SaveArgs) -> Result<(), Failure> {
    let store = open(args)?;
    let references = save
        .image
        .iter()
        .map(|text| name_of(&store, text))
        .collect::<Result<Vec<Reference>, Failure>>()?;
    let archive = match save.format {
        SaveFormat::OciArchive => Some(ArchiveFormat::Oci),
        SaveFormat::DockerArchive => Some(ArchiveFormat::Docker),
        SaveFormat::OciDir => None,
    };
    let saved = match (archive, &save.output) {
        (Some(format), Some(path)) => store.save_archive_file(&references, format, path),
        (None, Some(path)) => store.save_directory(&references, path),
        (Some(format), None) => {
            require_pipe()?;
            store.save_archive(&references, format, &mut io::stdout().lock())
        }
        (None, None) => {
            return Err(Failure::new(Kind::Usage, "a directory cannot go to standard output")
                .hint("minipod save --format oci-dir -o DIRECTORY IMAGE"));
        }
    };
    saved.map_err(|error| failure(&error))
}

fn require_pipe() -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return Ok(());
    }
    Err(Failure::new(Kind::Usage, "an archive is nothing for a terminal")
        .hint("use -o FILE, or > FILE"))
}

fn failure(error: &SaveError) -> Failure {
    Failure::of(Kind::Failed, error).maybe_hint(error.hint())
}

/// The name under which an image is saved: the one that was given, or its first one.
fn name_of(store: &Store, text: &str) -> Result<Reference, Failure> {
    let meant = find(store, text)?;
    if let Some(name) = meant.name {
        return Ok(name);
    }
    let first = meant.image.names.first().and_then(|name| Reference::parse(name).ok());
    first.ok_or_else(|| {
        Failure::new(Kind::Failed, format!("the image {text} has no name to save it under"))
    })
}
