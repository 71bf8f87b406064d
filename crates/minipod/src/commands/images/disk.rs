//! `image df`.

use image_puller::{Digest, ImageSummary};
use jiff::Timestamp;
use serde_json::json;

use super::{open, users, users_of};
use crate::cli::PlaceArgs;
use crate::cli::images::{DiskArgs, Format};
use crate::failure::Failure;
use crate::screen;
use crate::views::images::{self, DiskRow, DiskSummary};

pub(super) fn usage(args: &PlaceArgs, options: &DiskArgs) -> Result<(), Failure> {
    let store = open(args)?;
    let users = users(args, &store)?;
    let usage = store.usage()?;
    let active: Vec<Digest> = usage
        .images
        .iter()
        .filter(|image| !users_of(&users, image).is_empty())
        .map(|image| image.manifest_digest.clone())
        .collect();
    let summary = DiskSummary {
        total: usage.images.len(),
        active: active.len(),
        size: usage.total(),
        reclaimable: usage.reclaimable(&active),
    };
    let row = |image: &ImageSummary| {
        let (unique, shared) = usage.unique_and_shared(&image.manifest_digest);
        DiskRow { image: image.clone(), unique, shared, pods: users_of(&users, image).len() }
    };
    let rows: Vec<DiskRow> = usage.images.iter().map(row).collect();
    if options.output == Format::Json {
        let value = json!({
            "Total": summary.total, "Active": summary.active, "Size": summary.size,
            "Reclaimable": summary.reclaimable,
            "Images": rows.iter().map(images::disk_json).collect::<Vec<_>>(),
        });
        return screen::answer(&crate::views::output::json_text(&value));
    }
    let mut text = images::disk_table(&summary);
    if options.verbose && !rows.is_empty() {
        text += "\n";
        text += &images::disk_details(&rows, Timestamp::now());
    }
    screen::answer(&text)
}
