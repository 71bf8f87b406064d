//! `validate`: every problem at once, nothing created.

use crate::cli::{PlaceArgs, ValidateArgs};
use crate::failure::Failure;
use crate::{manifest, screen};

pub(crate) fn run(places: &PlaceArgs, args: &ValidateArgs) -> Result<(), Failure> {
    let objects = manifest::read(&args.file, places, args.manifest, manifest::NAMED)?;
    let noun = if objects.len() == 1 { "object is" } else { "objects are" };
    screen::answer(&format!("{} {noun} valid\n", objects.len()))
}
