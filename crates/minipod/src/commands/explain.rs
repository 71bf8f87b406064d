//! `explain`: the fields of a kind, from the table by which manifests are read.

use crate::cli::ExplainArgs;
use crate::failure::{Failure, Kind};
use crate::screen;
use crate::views::fields;
use pod_api::Resource;

pub(crate) fn run(args: &ExplainArgs) -> Result<(), Failure> {
    let mut words = args.path.split('.');
    let resource = crate::resource::of_word(words.next().unwrap_or_default())?;
    if resource == Resource::Event {
        let text = "minipod writes events, and reads no manifests of them";
        return Err(Failure::new(Kind::Usage, text).hint("minipod get events -o yaml"));
    }
    let path: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    screen::answer(&fields::explained(resource.kind(), &path, args.recursive)?)
}
