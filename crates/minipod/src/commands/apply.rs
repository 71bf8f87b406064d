//! `apply` and `create`: objects come into being.

use k8s_openapi::api::core::v1;
use pod_api::Api;
use pod_api::api::Existing;
use pod_model::{Object, Unnamed};

use super::result::Printer;
use super::run::wait_for_ports;
use super::{api, require_root};
use crate::cli::{ApplyArgs, DryRun, PlaceArgs};
use crate::failure::Failure;
use crate::manifest::{self, Described};

pub(crate) fn run(places: &PlaceArgs, args: &ApplyArgs, existing: Existing) -> Result<(), Failure> {
    let dry_run = args.result.dry_run.mode;
    let existing = or_ignore(existing, dry_run);
    let mut printer = Printer::new(&args.result)?;
    let files = manifest::files(&args.file, args.recursive)?;
    let unnamed = match existing {
        Existing::Update => Unnamed::Refuse("apply"),
        _ => manifest::NAMED,
    };
    let objects = manifest::read_with_files(&files, places, args.manifest, unnamed)?;
    if !dry_run.is_dry() {
        require_root()?;
    }
    let api = api(places);
    let mut failures = Vec::new();
    let mut created = Vec::new();
    for Described { object, file } in objects {
        match apply_object(&object, &api, (existing, dry_run), &mut created) {
            Ok(verb) => printer.print(object.into(), verb, &api)?,
            Err(failure) => failures.push(failure.when_creating(&file)),
        }
    }
    printer.finish()?;
    Failure::told_but_last(failures)
}

/// Nobody looks what there is who only wants to see what `create` would make of a manifest.
pub(super) fn or_ignore(existing: Existing, dry_run: DryRun) -> Existing {
    match (existing, dry_run) {
        (Existing::Refuse, DryRun::Client) => Existing::Ignore,
        (existing, _) => existing,
    }
}

/// What became of the object, in one word.
fn apply_object(
    object: &Object,
    api: &Api,
    (existing, dry_run): (Existing, DryRun),
    created: &mut Vec<v1::Pod>,
) -> Result<&'static str, Failure> {
    if let Object::Pod(pod) = object
        && !dry_run.is_dry()
    {
        wait_for_ports(pod, &created.iter().collect::<Vec<_>>(), api)?;
    }
    let applied = api.apply(object, existing, dry_run.is_dry())?;
    created.extend(applied.launched.map(|launched| launched.pod));
    Ok(applied.outcome.word())
}
