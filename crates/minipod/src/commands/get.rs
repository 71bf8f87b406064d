//! `get`: tables, documents, and what changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pod_runner::follow::{PodChange, PodsFollower};
use pod_runner::objects::StoredObject;
use pod_runner::pods::{self, FoundPod};
use pod_runner::{Objects, Pods};
use serde::Serialize;
use serde_json::Value;

use super::places;
use crate::cli::{GetArgs, PlaceArgs};
use crate::failure::{Failure, Kind, near_match};
use crate::views::output::{self, Format};
use crate::views::pods::Columns;
use crate::views::{age, events, pods as pod_view, table};
use crate::{screen, selection};

pub(crate) fn run(args: &PlaceArgs, get: &GetArgs) -> Result<(), Failure> {
    let (kind, mut names) = match get.kind.split_once('/') {
        Some((kind, name)) => (kind, vec![name.to_owned()]),
        None => (get.kind.as_str(), Vec::new()),
    };
    names.extend(get.name.iter().cloned());
    let format = get.output.as_deref().map(output::format).transpose()?;
    match kind {
        "pod" | "pods" | "po" => Getter { args, get, names, format }.pods(),
        "event" | "events" | "ev" => Getter { args, get, names, format }.events(),
        "configmap" | "configmaps" | "cm" => {
            objects::<ConfigMap>(args, (&names, format.as_ref()), |map| &map.metadata)
        }
        "secret" | "secrets" => {
            objects::<Secret>(args, (&names, format.as_ref()), |secret| &secret.metadata)
        }
        "persistentvolumeclaim" | "persistentvolumeclaims" | "pvc" => {
            objects::<PersistentVolumeClaim>(args, (&names, format.as_ref()), |one| &one.metadata)
        }
        other => {
            let known = ["pods", "events", "configmaps", "secrets", "persistentvolumeclaims"];
            let near = near_match(other, known).map(|near| format!("did you mean {near}?"));
            let text = format!("minipod knows no kind {other:?}");
            Err(Failure::new(Kind::Usage, text).maybe_hint(near.or(Some(known.join(", ")))))
        }
    }
}

struct Getter<'a> {
    args: &'a PlaceArgs,
    get: &'a GetArgs,
    names: Vec<String>,
    format: Option<Format>,
}

impl Getter<'_> {
    fn columns(&self) -> Columns {
        Columns {
            namespace: self.get.all_namespaces,
            wide: self.format == Some(Format::Wide),
            labels: self.get.show_labels,
        }
    }

    fn is_wanted(&self, metadata: &ObjectMeta) -> bool {
        let name = metadata.name.as_deref().unwrap_or_default();
        let is_named = self.names.is_empty() || self.names.iter().any(|wanted| wanted == name);
        let is_here = self.get.all_namespaces
            || metadata.namespace.as_deref() == Some(self.args.namespace.as_str());
        is_named && is_here && self.has_labels(metadata.labels.as_ref())
    }

    /// `-l a=b,c!=d,e,!f`
    fn has_labels(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        let terms = self.get.selector.as_deref().unwrap_or_default().split(',');
        terms.map(str::trim).filter(|term| !term.is_empty()).all(|term| {
            if let Some((key, wanted)) = term.split_once("!=") {
                value(key.trim()) != Some(wanted.trim())
            } else if let Some((key, wanted)) = term.split_once('=') {
                value(key.trim()) == Some(wanted.trim_start_matches('=').trim())
            } else if let Some(key) = term.strip_prefix('!') {
                value(key.trim()).is_none()
            } else {
                value(term).is_some()
            }
        })
    }

    fn pods(&self) -> Result<(), Failure> {
        let pods = Pods::new(&places(self.args));
        if self.get.watch {
            return self.watch(&pods);
        }
        let found = pods.list()?;
        let wanted: Vec<&FoundPod> =
            found.iter().filter(|found| self.is_wanted(&found.pod.metadata)).collect();
        if let Some(missing) =
            self.names.iter().find(|name| !wanted.iter().any(|found| found.name() == name.as_str()))
        {
            return Err(selection::not_found(&pods, &self.args.namespace, missing));
        }
        match &self.format {
            None | Some(Format::Wide) => self.pod_table(&wanted),
            Some(format) => {
                let values = wanted.iter().map(|found| value("Pod", &found.pod)).collect();
                screen::answer(&document(values, self.names.len() == 1, format)?)
            }
        }
    }

    fn pod_table(&self, pods: &[&FoundPod]) -> Result<(), Failure> {
        if pods.is_empty() {
            let text = if self.get.all_namespaces {
                "No resources found\n".to_owned()
            } else {
                format!("No resources found in {} namespace.\n", self.args.namespace)
            };
            screen::narrate(&text);
            return Ok(());
        }
        let (columns, now) = (self.columns(), Timestamp::now());
        let header = pod_view::header(columns);
        let rows: Vec<Vec<String>> =
            pods.iter().map(|found| pod_view::row(&found.pod, columns, now)).collect();
        let header = (!self.get.no_headers).then_some(header.as_slice());
        screen::answer(&table::render(header, &rows))
    }

    /// Prints each version of each pod as it comes.
    fn watch(&self, pods: &Pods) -> Result<(), Failure> {
        let mut follower = PodsFollower::new(pods.clone())?;
        let columns = self.columns();
        let mut is_first = true;
        let mut widths = [12, 5, 15, 10, 3, 10, 10, 14, 15, 6].to_vec();
        if columns.namespace {
            widths.insert(0, 9);
        }
        loop {
            let mut latest: BTreeMap<String, Pod> = BTreeMap::new();
            let mut shown = Vec::new();
            for change in follower.changes()? {
                match change {
                    PodChange::Version(pod) if is_first => {
                        latest.insert(pod.metadata.uid.clone().unwrap_or_default(), *pod);
                    }
                    PodChange::Version(pod) | PodChange::Deleted(pod) => shown.push(*pod),
                    PodChange::Event(_) => {}
                }
            }
            for pod in latest.into_values().chain(shown) {
                if self.is_wanted(&pod.metadata) {
                    self.show_version(&pod, columns, &mut widths)?;
                }
            }
            is_first = false;
            follower.wait(None, None)?;
        }
    }

    fn show_version(
        &self,
        pod: &Pod,
        columns: Columns,
        widths: &mut [usize],
    ) -> Result<(), Failure> {
        // The first row decides how wide the columns are, and prints their names.
        static HEADER: std::sync::Once = std::sync::Once::new();
        if let Some(format) = self.format.as_ref().filter(|format| **format != Format::Wide) {
            return screen::answer(&document(vec![value("Pod", pod)], true, format)?);
        }
        let cells = pod_view::row(pod, columns, Timestamp::now());
        let header: Vec<String> =
            pod_view::header(columns).into_iter().map(str::to_owned).collect();
        let mut text = String::new();
        HEADER.call_once(|| {
            for (width, cell) in widths.iter_mut().zip(&cells) {
                *width = (*width).max(cell.chars().count());
            }
            if !self.get.no_headers {
                text.push_str(&table::line(&header, widths));
            }
        });
        text.push_str(&table::line(&cells, widths));
        screen::answer(&text)
    }

    fn events(&self) -> Result<(), Failure> {
        let pods = Pods::new(&places(self.args));
        if self.get.watch {
            return self.watch_events(&pods);
        }
        let mut all: Vec<Event> = Vec::new();
        for dir in pods.directories()? {
            all.extend(pods::events(&dir)?.into_iter().filter(|event| self.is_event_wanted(event)));
        }
        all.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
        if let Some(format) = self.format.as_ref().filter(|format| **format != Format::Wide) {
            let values = all.iter().map(|event| value("Event", event)).collect();
            return screen::answer(&document(values, false, format)?);
        }
        if all.is_empty() {
            screen::narrate(&format!("No resources found in {} namespace.\n", self.args.namespace));
            return Ok(());
        }
        let now = Timestamp::now();
        let rows: Vec<Vec<String>> = all.iter().map(|event| events::row(event, now)).collect();
        let header = (!self.get.no_headers).then_some(events::HEADER.as_slice());
        screen::answer(&table::render(header, &rows))
    }

    fn is_event_wanted(&self, event: &Event) -> bool {
        let is_here = self.get.all_namespaces
            || event.metadata.namespace.as_deref() == Some(self.args.namespace.as_str());
        let about = self.get.about.as_deref().map(|name| name.rsplit('/').next().unwrap_or(name));
        is_here && about.is_none_or(|name| events::is_about(event, name))
    }

    fn watch_events(&self, pods: &Pods) -> Result<(), Failure> {
        let mut follower = PodsFollower::new(pods.clone())?;
        let widths = [9, 7, 11, 20];
        let header: Vec<String> = events::HEADER.iter().map(|name| (*name).to_owned()).collect();
        if !self.get.no_headers {
            screen::answer(&table::line(&header, &widths))?;
        }
        loop {
            for change in follower.changes()? {
                if let PodChange::Event(event) = change
                    && self.is_event_wanted(&event)
                {
                    let cells = events::row(&event, Timestamp::now());
                    screen::answer(&table::line(&cells, &widths))?;
                }
            }
            follower.wait(None, None)?;
        }
    }
}

/// An object as a value with its kind.
fn value(kind: &str, object: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if let Value::Object(map) = &mut value {
        map.insert("apiVersion".into(), "v1".into());
        map.insert("kind".into(), kind.into());
    }
    value
}

fn document(values: Vec<Value>, is_single: bool, format: &Format) -> Result<String, Failure> {
    if *format == Format::Name {
        let name = |value: &Value| {
            let kind = value["kind"].as_str().unwrap_or_default().to_lowercase();
            format!("{kind}/{}\n", value["metadata"]["name"].as_str().unwrap_or_default())
        };
        return Ok(values.iter().map(name).collect());
    }
    let whole = output::whole(values, is_single);
    match format {
        Format::Json => Ok(output::json_text(&whole)),
        Format::JsonPath(template) => output::jsonpath(&whole, template),
        _ => Ok(output::yaml_text(&whole)),
    }
}

fn objects<T: StoredObject>(
    args: &PlaceArgs,
    (names, format): (&[String], Option<&Format>),
    metadata: fn(&T) -> &ObjectMeta,
) -> Result<(), Failure> {
    let mut all = Objects::new(&places(args)).list::<T>()?;
    all.retain(|one| {
        let metadata = metadata(one);
        let name = metadata.name.clone().unwrap_or_default();
        metadata.namespace.as_deref() == Some(args.namespace.as_str())
            && (names.is_empty() || names.contains(&name))
    });
    if all.is_empty() && !names.is_empty() {
        let text = format!("{} \"{}\" not found", T::PLURAL, names.join(", "));
        return Err(Failure::new(Kind::NotFound, text));
    }
    if let Some(format) = format.filter(|format| **format != Format::Wide) {
        let values = all.iter().map(|one| value(T::KIND, one)).collect();
        return screen::answer(&document(values, names.len() == 1, format)?);
    }
    if all.is_empty() {
        screen::narrate(&format!("No resources found in {} namespace.\n", args.namespace));
        return Ok(());
    }
    let now = Timestamp::now();
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|one| {
            let count = one.count().to_string();
            let metadata = metadata(one);
            let name = metadata.name.clone().unwrap_or_default();
            vec![name, count, age::age(metadata.creation_timestamp.as_ref(), now)]
        })
        .collect();
    screen::answer(&table::render(Some(&["NAME", "DATA", "AGE"]), &rows))
}
