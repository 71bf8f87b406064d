//! `get`: tables, documents, and what changes.

mod query;
mod watch;

use jiff::Timestamp;
use pod_api::{Object, Selection};

use super::{api, places};
use crate::cli::{GetArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::resource::Named;
use crate::views::output::{self, Format};
use crate::views::table::Table;
use crate::views::{jsonpath, sort};
use crate::{screen, selection};
use columns::pods::is_abandoned;
use pod_api::Resource;

use query::Query;

pub(crate) fn run(args: &PlaceArgs, get: &GetArgs) -> Result<(), Failure> {
    let query = Query::new(args, get)?;
    if get.watch || get.watch_only {
        return watch::run(&query);
    }
    let mut missing = Vec::new();
    let mut groups = Vec::new();
    for named in &query.named {
        let (found, lacking) = find(&query, named)?;
        missing.extend(lacking);
        groups.push((named.resource, found));
    }
    warn_of_abandoned(&groups);
    match &query.format {
        Format::Table { is_wide } => show_tables(&query, &groups, *is_wide)?,
        format => {
            let values = groups.iter().flat_map(|(_, found)| found).map(Object::value).collect();
            // When nothing of what was named is there, the error is the whole answer.
            if missing.is_empty() || groups.iter().any(|(_, found)| !found.is_empty()) {
                let is_single = query.names_one_object();
                let text = output::document(values, is_single, format, !get.no_headers)?;
                output::show(&text, format)?;
            }
        }
    }
    Failure::told_but_last(missing)
}

/// The objects that are asked for, and a failure for each name that none has.
fn find(query: &Query<'_>, named: &Named) -> Result<(Vec<Object>, Vec<Failure>), Failure> {
    let api = api(query.args);
    let mut found = api.list(named.resource, &Selection::default())?;
    found.retain(|object| query.is_wanted(named, object));
    if let Some(path) = &query.get.sort_by {
        let template = jsonpath::Template::parse_relaxed(path)
            .map_err(|error| Failure::of(Kind::Usage, &error))?;
        found = sort::by_field(found, &template, Object::value)?.ok_or_else(|| {
            let text =
                format!("couldn't find any field with path \"{path}\" in the list of objects");
            Failure::new(Kind::Usage, text)
        })?;
    }
    let is_missing = |name: &&String| !found.iter().any(|object| object.name() == name.as_str());
    let missing = named.names.iter().filter(is_missing);
    let missing = missing.filter(|_| !query.get.ignore_not_found);
    let namespace = query.namespace_of(named);
    let failure =
        |name: &String| selection::object_not_found(&api, named.resource, namespace, name);
    let failures = missing.map(failure).collect();
    Ok((found, failures))
}

fn show_tables(
    query: &Query<'_>,
    groups: &[(Resource, Vec<Object>)],
    is_wide: bool,
) -> Result<(), Failure> {
    let now = Timestamp::now();
    let mut texts = Vec::new();
    for (resource, found) in groups.iter().filter(|(_, found)| !found.is_empty()) {
        let header = (!query.get.no_headers).then(|| query.header(*resource, is_wide));
        let rows = found.iter().map(|object| query.row(*resource, object, is_wide, now));
        let all: Vec<Vec<String>> = header.into_iter().chain(rows).collect();
        texts.push(Table::default().text(&all));
    }
    let names_something = query.named.iter().any(|named| !named.names.is_empty());
    if texts.is_empty() && !names_something {
        screen::narrate(&query.nothing_found());
        return Ok(());
    }
    screen::answer(&texts.join("\n"))
}

/// Tells of pods that nobody looks after any more.
fn warn_of_abandoned(groups: &[(Resource, Vec<Object>)]) {
    for object in groups.iter().flat_map(|(_, found)| found) {
        if let Object::Pod(pod) = object
            && is_abandoned(pod)
        {
            let name = object.name();
            screen::narrate(&format!(
                "Warning: the supervisor of pod \"{name}\" died; what is shown is its last word. \
                 minipod delete pod {name} removes what is left.\n"
            ));
        }
    }
}
