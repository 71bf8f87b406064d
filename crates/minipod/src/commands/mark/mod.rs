//! `label` and `annotate`: what objects are marked with changes, and nothing else of them.

mod changes;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pod_api::{Api, ApiError, Object, Selection};

use super::result::Printer;
use super::{api, require_root};
use crate::cli::{DryRun, MarkArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::{screen, selection};
use pod_api::Resource;
use pod_api::selectors::LabelSelector;

use changes::Changes;

/// What an object is marked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Label,
    Annotation,
}

impl Mark {
    fn noun(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Annotation => "annotation",
        }
    }

    fn of(self, metadata: &ObjectMeta) -> BTreeMap<String, String> {
        let marks = match self {
            Self::Label => &metadata.labels,
            Self::Annotation => &metadata.annotations,
        };
        marks.clone().unwrap_or_default()
    }

    fn set(self, metadata: &mut ObjectMeta, marks: BTreeMap<String, String>) {
        let place = match self {
            Self::Label => &mut metadata.labels,
            Self::Annotation => &mut metadata.annotations,
        };
        *place = (!marks.is_empty()).then_some(marks);
    }
}

pub(super) fn run(args: &PlaceArgs, what: &MarkArgs, mark: Mark) -> Result<(), Failure> {
    let (words, pairs) = changes::split(&what.what, mark)?;
    let changes = Changes::parse(&pairs, mark, what.overwrite)?;
    if changes.is_empty() && !what.list {
        let text = format!("at least one {} update is required", mark.noun());
        return Err(Failure::new(Kind::Usage, text).hint("KEY=VALUE, or KEY- to remove one"));
    }
    let mut printer = Printer::new(&what.result)?;
    let api = api(args);
    let (found, mut failures) = chosen(args, what, &words, &api)?;
    if what.list {
        list(&found, mark)?;
        return Failure::told_but_last(failures);
    }
    let dry_run = what.result.dry_run.mode;
    if !dry_run.is_dry() {
        require_root()?;
    }
    for object in found {
        match change(&api, object, &changes, dry_run) {
            Ok((object, verb)) => printer.print(object, verb, &api)?,
            Err(failure) => failures.push(failure),
        }
    }
    printer.finish()?;
    Failure::told_but_last(failures)
}

/// The objects that are meant, and a failure for each that is not there.
fn chosen(
    args: &PlaceArgs,
    what: &MarkArgs,
    words: &[String],
    api: &Api,
) -> Result<(Vec<Object>, Vec<Failure>), Failure> {
    let usage = |text: &str| Failure::new(Kind::Usage, text);
    if words.is_empty() && what.files.file.is_empty() {
        let text = "one or more resources must be specified as <resource> <name> or \
                    <resource>/<name>";
        return Err(usage(text).hint("pod/NAME"));
    }
    let selects = what.choice.is_made();
    let labels = LabelSelector::parse(what.choice.selector.as_deref().unwrap_or_default())
        .map_err(|error| Failure::of(Kind::Usage, &error))?;
    let (mut found, mut failures) = (Vec::new(), Vec::new());
    for one in selection::named_or_described(args, words, &what.files, "label")? {
        if one.resource == Resource::Event {
            return Err(usage("events are written once, and not changed"));
        }
        if one.names.is_empty() != selects {
            return Err(usage(if selects {
                "name cannot be provided when a selector is specified"
            } else {
                "resource(s) were provided, but no name was specified"
            }));
        }
        let namespace = one.namespace.as_deref().unwrap_or(&args.namespace);
        if selects {
            let namespace = what.choice.namespace(namespace);
            let meant = Selection { labels: labels.clone(), ..Selection::of(namespace) };
            found.extend(api.list(one.resource, &meant)?);
        }
        for name in &one.names {
            match api.find(one.resource, namespace, name)? {
                Some(object) => found.push(object),
                None => {
                    failures.push(selection::object_not_found(api, one.resource, namespace, name));
                }
            }
        }
    }
    if found.is_empty() && failures.is_empty() {
        screen::narrate("No resources found\n");
    }
    Ok((found, failures))
}

/// Each mark in a line; below a line for each object, when there are several.
fn list(found: &[Object], mark: Mark) -> Result<(), Failure> {
    let mut text = String::new();
    for object in found {
        let is_one = found.len() == 1;
        if !is_one {
            let (kind, name) = (object.resource().kind(), object.name());
            text.push_str(&format!("Listing {}s for {kind}./{name}:\n", mark.noun()));
        }
        for (key, value) in mark.of(object.metadata()) {
            text.push_str(&format!("{}{key}={value}\n", if is_one { "" } else { " " }));
        }
    }
    screen::answer(&text)
}

/// So often somebody else may change an object meanwhile.
const MOST_TRIES: usize = 20;

/// Changes an object, and says what became of it. Nothing of what others change meanwhile is lost.
fn change(
    api: &Api,
    mut object: Object,
    changes: &Changes,
    dry_run: DryRun,
) -> Result<(Object, &'static str), Failure> {
    let mark = changes.mark();
    let mut tries = 0;
    loop {
        let former = mark.of(object.metadata());
        let changed = changes.applied_to(&former);
        let verb = changes.verb(&former, &changed);
        changes.check(&former)?;
        mark.set(object.metadata_mut(), changed);
        tries += 1;
        match api.update(&object, dry_run.is_dry()) {
            Ok(_) => return Ok((object, verb)),
            Err(ApiError { reason: "Conflict", .. }) if tries < MOST_TRIES => {
                object = api.get(object.resource(), object.namespace(), object.name())?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
