//! `version`.

use crate::cli::VersionArgs;
use crate::failure::{Failure, Kind};
use crate::screen;
use crate::views::{output, version, yaml};

pub(crate) fn run(args: &VersionArgs) -> Result<(), Failure> {
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    let value = || version::document(VERSION, std::env::consts::ARCH);
    match args.output.as_deref() {
        None | Some("") => screen::answer(&format!("minipod {VERSION}\n")),
        Some("json") => screen::answer(&output::json_text(&value())),
        Some("yaml") => screen::answer(&yaml::text(&value())),
        Some(_) => Err(Failure::new(Kind::Usage, "--output must be 'yaml' or 'json'")),
    }
}
