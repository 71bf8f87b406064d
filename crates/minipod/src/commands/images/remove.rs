//! `rmi` and `image prune`.

use image_puller::{Digest, Pruned, Reference, Store, Unwanted};

use super::{Meant, find, open, users, users_of};
use crate::cli::PlaceArgs;
use crate::cli::images::{PruneArgs, RmiArgs};
use crate::failure::{Failure, Kind};
use crate::screen;
use crate::views::images::size;

pub(crate) fn remove(args: &PlaceArgs, rmi: &RmiArgs) -> Result<(), Failure> {
    let store = open(args)?;
    for text in &rmi.image {
        let meant = find(&store, text)?;
        let users = users(args, &store)?;
        let names = names_to_take(&meant, text, rmi.force)?;
        let is_last = names.len() == meant.image.names.len();
        let pods = users_of(&users, &meant.image);
        if is_last && !pods.is_empty() && !rmi.force {
            return Err(used(text, &pods));
        }
        for name in names {
            store.remove(&name)?;
            screen::answer(&format!("Untagged: {name}\n"))?;
        }
        if is_last {
            let digest = meant.image.manifest_digest.clone();
            let pruned = clean_up(args, &store, &Unwanted::This(digest))?;
            // Another name may keep an image with another manifest and the same id.
            let is_kept = || store.list().map(|all| all.iter().any(|one| one.id == meant.image.id));
            if !pruned.images.is_empty() && !is_kept()? {
                screen::answer(&format!("Deleted: {}\n", meant.image.id))?;
            }
        }
    }
    Ok(())
}

/// The names that go: the given one, or all where the image was given by its id.
fn names_to_take(meant: &Meant, text: &str, force: bool) -> Result<Vec<Reference>, Failure> {
    if let Some(name) = &meant.name {
        return Ok(vec![name.clone()]);
    }
    let names = &meant.image.names;
    if names.len() > 1 && !force {
        let text = format!("the image {text} has several names: {}", names.join(", "));
        return Err(Failure::new(Kind::Failed, text).hint("name one of them, or --force for all"));
    }
    Ok(names.iter().filter_map(|name| Reference::parse(name).ok()).collect())
}

fn used(text: &str, pods: &[&str]) -> Failure {
    let quoted: Vec<String> = pods.iter().map(|pod| format!("\"{pod}\"")).collect();
    let what = if pods.len() == 1 { "pod" } else { "pods" };
    Failure::new(Kind::Failed, format!("the image {text} is used by {what} {}", quoted.join(", ")))
        .hint(format!(
            "minipod delete pod {}; --force takes the name away and leaves the pod its image",
            pods[0].rsplit('/').next().unwrap_or_default()
        ))
}

pub(super) fn prune(args: &PlaceArgs, options: &PruneArgs) -> Result<(), Failure> {
    let store = open(args)?;
    let unwanted = if options.all { Unwanted::All } else { Unwanted::Nameless };
    let pruned = clean_up(args, &store, &unwanted)?;
    let mut text = String::new();
    for name in &pruned.names {
        text += &format!("untagged: {name}\n");
    }
    for image in &pruned.images {
        text += &format!("deleted: {image}\n");
    }
    if !text.is_empty() {
        text = format!("Deleted Images:\n{text}\n");
    }
    screen::answer(&format!("{text}Total reclaimed space: {}\n", size(pruned.bytes)))
}

fn clean_up(args: &PlaceArgs, store: &Store, unwanted: &Unwanted) -> Result<Pruned, Failure> {
    if store.is_busy()? {
        screen::narrate("Waiting for a pull under way to end.\n");
    }
    let closed = store.close()?;
    let users = users(args, store)?;
    let in_use: Vec<Digest> = users.into_iter().flat_map(|user| user.images).collect();
    Ok(closed.prune(unwanted, &in_use)?)
}
