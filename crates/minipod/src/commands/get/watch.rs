//! `get -w`: rows as things change.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_api::Pods;
use pod_api::follow::{PodChange, PodsFollower};
use serde_json::json;

use super::query::Query;
use super::{Object, find, places};
use crate::failure::{Failure, Kind};
use crate::resource::{Named, Resource};
use crate::screen;
use crate::views::events;
use crate::views::output::{self, Format};
use crate::views::table::Table;

/// What an object went through, as the API tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Added,
    Modified,
    Deleted,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }
}

/// Prints each version of each object as it comes, until it is stopped.
pub(super) fn run(query: &Query<'_>) -> Result<(), Failure> {
    let [named] = query.named.as_slice() else {
        let text = "you may only specify a single resource type";
        return Err(Failure::new(Kind::Usage, text));
    };
    if !matches!(named.resource, Resource::Pod | Resource::Event) {
        let text = format!("minipod does not watch {}", named.resource.plural());
        return Err(Failure::new(Kind::Usage, text).hint("pods or events"));
    }
    if named.resource == Resource::Pod
        && let Some(failure) = find(query, named)?.1.pop()
    {
        return Err(failure);
    }
    let mut follower = PodsFollower::new(Pods::new(&places(query.args)))?;
    let mut watch = Watch::new(query, named);
    let first = watch.sort(follower.changes()?);
    let first = watch.current(first);
    if !query.get.watch_only {
        watch.show(first)?;
    }
    loop {
        follower.wait(None, None)?;
        let changes = watch.sort(follower.changes()?);
        watch.show(changes)?;
    }
}

struct Watch<'a> {
    query: &'a Query<'a>,
    named: &'a Named,
    known: BTreeSet<String>,
    /// What was shown last of each object.
    shown: BTreeMap<String, Vec<String>>,
    table: Table,
    is_first: bool,
}

impl<'a> Watch<'a> {
    fn new(query: &'a Query<'a>, named: &'a Named) -> Self {
        // Wide enough for what most pods go through, so that columns do not jump.
        let mut widths = match named.resource {
            Resource::Pod => vec![4, 5, 17, 10, 3],
            _ => vec![9, 7, 11, 10],
        };
        if query.get.all_namespaces {
            widths.insert(0, 9);
        }
        if query.get.output_watch_events {
            widths.insert(0, 8);
        }
        let table = Table::with_widths(&widths);
        Self { query, named, known: BTreeSet::new(), shown: BTreeMap::new(), table, is_first: true }
    }

    /// The changes of the objects that are watched.
    fn sort(&mut self, changes: Vec<PodChange>) -> Vec<(Change, Object)> {
        let mut sorted = Vec::new();
        for change in changes {
            let (change, object) = match (change, self.named.resource) {
                (PodChange::Version(pod), Resource::Pod) => (Change::Modified, Object::Pod(pod)),
                (PodChange::Deleted(pod), Resource::Pod) => (Change::Deleted, Object::Pod(pod)),
                (PodChange::Event(event), Resource::Event) => {
                    (Change::Modified, Object::Event(event))
                }
                _ => continue,
            };
            if !self.query.is_wanted(self.named, &object) {
                continue;
            }
            let is_new = self.known.insert(identity(&object));
            let change = if is_new && change == Change::Modified { Change::Added } else { change };
            sorted.push((change, object));
        }
        sorted
    }

    /// The last version of each object that is there at the beginning.
    fn current(&self, changes: Vec<(Change, Object)>) -> Vec<(Change, Object)> {
        let mut order = Vec::new();
        let mut latest: BTreeMap<String, Object> = BTreeMap::new();
        for (_, object) in changes {
            let identity = identity(&object);
            if latest.insert(identity.clone(), object).is_none() {
                order.push(identity);
            }
        }
        let mut current: Vec<Object> =
            order.iter().filter_map(|identity| latest.remove(identity)).collect();
        if self.named.resource == Resource::Pod {
            let key = |object: &Object| (object.namespace().to_owned(), object.name().to_owned());
            current.sort_by_key(key);
        }
        current.into_iter().map(|object| (Change::Added, object)).collect()
    }

    fn show(&mut self, changes: Vec<(Change, Object)>) -> Result<(), Failure> {
        if changes.is_empty() {
            return Ok(());
        }
        match &self.query.format {
            Format::Table { is_wide } => self.show_rows(&changes, *is_wide),
            format => {
                for (change, object) in &changes {
                    self.show_document(*change, object, format)?;
                }
                Ok(())
            }
        }
    }

    fn show_rows(&mut self, changes: &[(Change, Object)], is_wide: bool) -> Result<(), Failure> {
        let (query, resource) = (self.query, self.named.resource);
        let now = Timestamp::now();
        let marked = |mark: &str, mut cells: Vec<String>| {
            if query.get.output_watch_events {
                cells.insert(0, mark.to_owned());
            }
            cells
        };
        let mut rows = Vec::new();
        if self.is_first && !query.get.no_headers {
            rows.push(marked("EVENT", query.header(resource, is_wide)));
        }
        self.is_first = false;
        for (change, object) in changes {
            let row = query.row(resource, object, is_wide, now);
            let news = self.news(object, is_wide);
            let last = self.shown.insert(identity(object), news.clone());
            if *change != Change::Modified || last.as_ref() != Some(&news) {
                rows.push(marked(change.name(), row));
            }
        }
        screen::answer(&self.table.text(&rows))
    }

    /// What makes a version of an object worth a row: of a pod, a cell that is another one, and not
    /// only because time has passed; of an event, that it happened once more.
    fn news(&self, object: &Object, is_wide: bool) -> Vec<String> {
        match object {
            Object::Event(event) => {
                let last = events::last_seen(event).map(|time| time.0.to_string());
                vec![event.count.unwrap_or(1).to_string(), last.unwrap_or_default()]
            }
            _ => self.query.row(self.named.resource, object, is_wide, Timestamp::UNIX_EPOCH),
        }
    }

    fn show_document(
        &mut self,
        change: Change,
        object: &Object,
        format: &Format,
    ) -> Result<(), Failure> {
        let mut value = object.value();
        if self.query.get.output_watch_events && matches!(format, Format::Json | Format::Yaml) {
            value = json!({ "type": change.name(), "object": value });
        }
        let with_header = self.is_first && !self.query.get.no_headers;
        let text = output::document(vec![value], true, format, with_header)?;
        let separator = if !self.is_first && *format == Format::Yaml { "---\n" } else { "" };
        self.is_first = false;
        output::show(&format!("{separator}{text}"), format)
    }
}

/// What stays the same from one version of an object to the next.
fn identity(object: &Object) -> String {
    let metadata = object.metadata();
    let name = metadata.name.clone().unwrap_or_default();
    format!("{}/{name}/{}", object.namespace(), metadata.uid.clone().unwrap_or_default())
}
