//! `get -w`: rows as things change.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pod_api::follow::{Change, Follower};
use pod_api::journal::Verb;
use pod_api::object::last_seen;
use pod_api::{Object, Resource};
use serde_json::json;

use super::query::Query;
use super::{find, places};
use crate::failure::{Failure, Kind};
use crate::resource::Named;
use crate::screen;
use crate::views::output::{self, Format};
use crate::views::table::Table;

/// Prints each version of each object as it comes, until it is stopped.
pub(super) fn run(query: &Query<'_>) -> Result<(), Failure> {
    let [named] = query.named.as_slice() else {
        let text = "you may only specify a single resource type";
        return Err(Failure::new(Kind::Usage, text));
    };
    if named.resource != Resource::Event
        && let Some(failure) = find(query, named)?.1.pop()
    {
        return Err(failure);
    }
    let mut follower = Follower::new(&places(query.args), &[named.resource])?;
    let mut watch = Watch::new(query, named);
    let first = watch.wanted(follower.changes()?);
    if !query.get.watch_only {
        watch.show(first)?;
    }
    loop {
        follower.wait(None, None)?;
        let changes = watch.wanted(follower.changes()?);
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
            Resource::Event => vec![9, 7, 11, 10],
            _ => vec![4],
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

    /// The changes of the objects that are watched. One that is no longer selected is gone, and one
    /// that is selected from now on is new, as a watch of Kubernetes has it.
    fn wanted(&mut self, changes: Vec<Change>) -> Vec<Change> {
        let mut wanted = Vec::new();
        for Change { verb, object } in changes {
            let uid = object.uid().to_owned();
            let is_wanted = self.query.is_wanted(self.named, &object) && verb != Verb::Deleted;
            let verb = match (is_wanted, self.known.contains(&uid)) {
                (true, false) => Verb::Added,
                (true, true) => Verb::Modified,
                (false, true) => Verb::Deleted,
                (false, false) => continue,
            };
            if is_wanted {
                self.known.insert(uid);
            } else {
                self.known.remove(&uid);
            }
            wanted.push(Change { verb, object });
        }
        wanted
    }

    fn show(&mut self, changes: Vec<Change>) -> Result<(), Failure> {
        if changes.is_empty() {
            return Ok(());
        }
        match &self.query.format {
            Format::Table { is_wide } => self.show_rows(&changes, *is_wide),
            format => {
                for change in &changes {
                    self.show_document(change, format)?;
                }
                Ok(())
            }
        }
    }

    fn show_rows(&mut self, changes: &[Change], is_wide: bool) -> Result<(), Failure> {
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
        for Change { verb, object } in changes {
            let row = query.row(resource, object, is_wide, now);
            let news = self.news(object, is_wide);
            let last = self.shown.insert(object.uid().to_owned(), news.clone());
            if *verb != Verb::Modified || last.as_ref() != Some(&news) {
                rows.push(marked(verb.name(), row));
            }
        }
        screen::answer(&self.table.text(&rows))
    }

    /// What makes a version of an object worth a row: of a pod, a cell that is another one, and not
    /// only because time has passed; of an event, that it happened once more.
    fn news(&self, object: &Object, is_wide: bool) -> Vec<String> {
        match object {
            Object::Event(event) => {
                let last = last_seen(event).map(|time| time.0.to_string());
                vec![event.count.unwrap_or(1).to_string(), last.unwrap_or_default()]
            }
            _ => self.query.row(self.named.resource, object, is_wide, Timestamp::UNIX_EPOCH),
        }
    }

    fn show_document(
        &mut self,
        Change { verb, object }: &Change,
        format: &Format,
    ) -> Result<(), Failure> {
        let mut value = object.value();
        if self.query.get.output_watch_events && matches!(format, Format::Json | Format::Yaml) {
            value = json!({ "type": verb.name(), "object": value });
        }
        let with_header = self.is_first && !self.query.get.no_headers;
        let text = output::document(vec![value], true, format, with_header)?;
        let separator = if !self.is_first && *format == Format::Yaml { "---\n" } else { "" };
        self.is_first = false;
        output::show(&format!("{separator}{text}"), format)
    }
}
