//! `images` and `image inspect`.

use image_puller::{ImageSummary, Reference};
use jiff::Timestamp;
use serde_json::Value;

use super::{find, open};
use crate::cli::PlaceArgs;
use crate::cli::images::{Format, ImagesArgs, InspectArgs};
use crate::failure::Failure;
use crate::screen;
use crate::views::images::{self, Columns};

pub(crate) fn list(args: &PlaceArgs, options: &ImagesArgs) -> Result<(), Failure> {
    let all = open(args)?.list()?;
    let is_empty = all.is_empty();
    let found = match &options.name {
        Some(name) => matching(all, name),
        None => all,
    };
    if options.output == Format::Json {
        let values: Vec<Value> = found.iter().map(images::json).collect();
        return screen::answer(&crate::views::output::json_text(&values.into()));
    }
    if options.quiet {
        let ids = found.iter().map(|image| images::id(&image.id, options.no_trunc) + "\n");
        return screen::answer(&ids.collect::<String>());
    }
    if is_empty {
        screen::narrate(
            "There are no images; minipod pull NAME or minipod load -i FILE brings one.\n",
        );
        return Ok(());
    }
    let columns = Columns { digests: options.digests, in_full: options.no_trunc };
    screen::answer(&images::table(&found, columns, Timestamp::now()))
}

/// The images of that name, each with the names that fit.
fn matching(images: Vec<ImageSummary>, name: &str) -> Vec<ImageSummary> {
    let wanted = Reference::parse(name).ok();
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
    let fits = |known: &String| {
        let Some(wanted) = &wanted else { return false };
        Reference::parse(known).is_ok_and(|known| {
            known == *wanted
                || known.to_string() == wanted.to_string()
                || (!has_tag && known.name() == wanted.name())
        })
    };
    let keep = |mut image: ImageSummary| {
        image.names.retain(fits);
        (!image.names.is_empty()).then_some(image)
    };
    images.into_iter().filter_map(keep).collect()
}

pub(super) fn inspect(args: &PlaceArgs, options: &InspectArgs) -> Result<(), Failure> {
    let store = open(args)?;
    let mut values = Vec::new();
    for text in &options.image {
        let meant = find(&store, text)?;
        values.extend(store.inspect(&meant.image.manifest_digest)?.as_ref().map(images::details));
    }
    screen::answer(&crate::views::output::json_text(&values.into()))
}
