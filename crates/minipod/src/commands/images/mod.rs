//! `images`, `pull`, `load`, `save`, `rmi` and `image …`: the image store.

mod archives;
mod disk;
mod list;
mod progress;
mod pull;
mod remove;

use image_puller::{ImageSummary, Reference, Store};
use pod_runner::image_use::{self, ImageUser};

use super::places;
use crate::cli::PlaceArgs;
use crate::cli::images::ImageCommand;
use crate::failure::{Failure, Kind, near_match};

pub(crate) use archives::{load, save};
pub(crate) use list::list;
pub(crate) use progress::Board;
pub(crate) use pull::pull;
pub(crate) use remove::remove;

/// `image …`.
pub(crate) fn run(args: &PlaceArgs, command: &ImageCommand) -> Result<(), Failure> {
    match command {
        ImageCommand::Ls(one) => list(args, one),
        ImageCommand::Pull(one) => pull(args, one),
        ImageCommand::Rm(one) => remove(args, one),
        ImageCommand::Prune(one) => remove::prune(args, one),
        ImageCommand::Inspect(one) => list::inspect(args, one),
        ImageCommand::Load(one) => load(args, one),
        ImageCommand::Save(one) => save(args, one),
        ImageCommand::Df(one) => disk::usage(args, one),
    }
}

fn open(args: &PlaceArgs) -> Result<Store, Failure> {
    Store::open(&places(args).images())
        .map_err(|error| Failure::of(Kind::Failed, &error).maybe_hint(error.hint()))
}

fn parse(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|error| Failure::of(Kind::Usage, &error))
}

/// What somebody means by a name or an id.
struct Meant {
    image: ImageSummary,
    /// The name, where one was given.
    name: Option<Reference>,
}

/// Finds an image by its name, its id, the digest of its manifest or index, or by how an id
/// begins. Names come first.
fn find(store: &Store, text: &str) -> Result<Meant, Failure> {
    let images = store.list()?;
    let named = Reference::parse(text).ok();
    if let Some(reference) = named
        && let Some(found) = store.find(&reference)?
        && let Some(image) =
            images.iter().find(|image| image.manifest_digest == found.manifest_digest)
    {
        return Ok(Meant { image: image.clone(), name: Some(reference) });
    }
    let begin = text.strip_prefix("sha256:").unwrap_or(text);
    let is_id = begin.len() >= 4 && begin.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_it = |image: &&ImageSummary| {
        let digests = [&image.id, &image.manifest_digest].into_iter().chain(&image.index_digest);
        is_id && digests.into_iter().any(|digest| digest.hex().starts_with(begin))
    };
    let found: Vec<&ImageSummary> = images.iter().filter(has_it).collect();
    match found.as_slice() {
        [image] => Ok(Meant { image: (*image).clone(), name: None }),
        [] => Err(not_found(&images, text)),
        _ => Err(Failure::new(Kind::Usage, format!("{} images begin with {text:?}", found.len()))
            .hint("write more of the id")),
    }
}

fn not_found(images: &[ImageSummary], text: &str) -> Failure {
    let failure = Failure::new(Kind::NotFound, format!("there is no image {text:?} in the store"));
    match near_name(images, text) {
        Some(near) => failure.hint(format!("did you mean {near}?")),
        None => failure.hint("minipod images lists what there is; minipod pull brings more"),
    }
}

/// A name in the store that is nearly this one.
fn near_name(images: &[ImageSummary], text: &str) -> Option<String> {
    let full = Reference::parse(text).map_or_else(|_| text.to_owned(), |one| one.to_string());
    let short = |name: &str| Reference::parse(name).map_or(name.to_owned(), |one| one.familiar());
    let names: Vec<String> =
        images.iter().flat_map(|image| &image.names).map(|name| short(name)).collect();
    let wanted = short(&full);
    // The same image in another place, or of another tag, is nearer than any other name.
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
    let bare = |name: &str| last(name).split([':', '@']).next().unwrap_or_default().to_owned();
    let same_image = names.iter().find(|name| last(name) == last(&wanted));
    let same_name = || names.iter().find(|name| bare(name) == bare(&wanted));
    if let Some(near) = same_image.or_else(same_name) {
        return Some(near.clone());
    }
    near_match(&wanted, names.iter().map(String::as_str)).map(str::to_owned)
}

/// The pods that use an image.
fn users_of<'a>(users: &'a [ImageUser], image: &ImageSummary) -> Vec<&'a str> {
    let uses = |user: &&ImageUser| {
        let digests = [&image.id, &image.manifest_digest].into_iter().chain(&image.index_digest);
        digests.into_iter().any(|digest| user.images.contains(digest))
    };
    users.iter().filter(uses).map(|user| user.pod.as_str()).collect()
}

fn users(args: &PlaceArgs, store: &Store) -> Result<Vec<ImageUser>, Failure> {
    Ok(image_use::users(&places(args), store)?)
}
