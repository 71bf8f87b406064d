//! `events`: what happened, in time order.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use pod_api::follow::{Change, Follower};
use pod_api::object::last_seen;
use pod_api::{Object, Resource};
use serde_json::Value;

use super::places;
use crate::cli::{EventsArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::screen;
use crate::views::output::{self, Format};
use crate::views::table::Table;
use columns::events as view;

pub(crate) fn run(args: &PlaceArgs, events: &EventsArgs) -> Result<(), Failure> {
    let query = Query::new(args, events)?;
    let mut follower = Follower::new(&places(args), &[Resource::Event])?;
    let mut all = query.wanted(follower.changes()?);
    all.sort_by_key(|event| last_seen(event).map(|time| time.0));
    if all.is_empty() && !events.watch {
        screen::narrate(&if events.all_namespaces {
            "No events found.\n".to_owned()
        } else {
            format!("No events found in {} namespace.\n", args.namespace)
        });
        return Ok(());
    }
    let mut table = Table::with_widths(if events.watch { &[9, 7, 11, 10] } else { &[] });
    let mut with_header = !events.no_headers;
    query.show(&all, &mut table, with_header)?;
    if !events.watch {
        return Ok(());
    }
    loop {
        with_header = with_header && all.is_empty();
        follower.wait(None, None)?;
        all = query.wanted(follower.changes()?);
        query.show(&all, &mut table, with_header)?;
    }
}

struct Query<'a> {
    args: &'a PlaceArgs,
    events: &'a EventsArgs,
    about: Option<String>,
    format: Format,
}

impl<'a> Query<'a> {
    fn new(args: &'a PlaceArgs, events: &'a EventsArgs) -> Result<Self, Failure> {
        for kind in &events.types {
            if !["normal", "warning"].contains(&kind.to_lowercase().as_str()) {
                return Err(Failure::new(Kind::Usage, "valid --types are Normal or Warning"));
            }
        }
        let about = match events.about.as_deref().map(|about| about.split_once('/')) {
            None => None,
            Some(Some((kind, name))) => {
                crate::resource::of_word(kind)?;
                Some(name.to_owned())
            }
            Some(None) => {
                let text = "--for must be in resource/name form";
                return Err(Failure::new(Kind::Usage, text).hint("--for pod/NAME"));
            }
        };
        let format =
            output::format(events.output.as_deref(), |path| Ok(std::fs::read_to_string(path)?))?;
        Ok(Self { args, events, about, format })
    }

    fn wanted(&self, changes: Vec<Change>) -> Vec<Event> {
        let events = changes.into_iter().filter_map(|change| match change.object {
            Object::Event(event) => Some(*event),
            _ => None,
        });
        events.filter(|event| self.is_wanted(event)).collect()
    }

    fn is_wanted(&self, event: &Event) -> bool {
        let is_here = self.events.all_namespaces
            || event.metadata.namespace.as_deref() == Some(self.args.namespace.as_str());
        let about = event.involved_object.name.as_deref();
        let is_about = self.about.as_deref().is_none_or(|name| about == Some(name));
        let kind = event.type_.as_deref().unwrap_or_default();
        let types = &self.events.types;
        let is_type = types.is_empty() || types.iter().any(|one| one.eq_ignore_ascii_case(kind));
        is_here && is_about && is_type
    }

    fn show(&self, events: &[Event], table: &mut Table, with_header: bool) -> Result<(), Failure> {
        if !matches!(self.format, Format::Table { .. }) {
            let values: Vec<Value> =
                events.iter().filter_map(|event| serde_json::to_value(event).ok()).collect();
            if values.is_empty() {
                return Ok(());
            }
            let text = output::document(values, false, &self.format, with_header)?;
            return output::show(&text, &self.format);
        }
        if events.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        let cells = |namespace: &str, mut row: Vec<String>| {
            if self.events.all_namespaces {
                row.insert(0, namespace.to_owned());
            }
            row
        };
        let header = view::header(false).into_iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        if with_header {
            rows.push(cells("NAMESPACE", header));
        }
        rows.extend(events.iter().map(|event| {
            let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
            cells(namespace, view::interval_row(event, now))
        }));
        screen::answer(&table.text(&rows))
    }
}
