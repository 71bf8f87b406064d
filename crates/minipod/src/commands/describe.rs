//! `describe`: everything about an object.

use jiff::Timestamp;
use pod_api::record::read_events;
use pod_api::{Api, Object, Pods, Selection};

use super::api;
use crate::cli::{DescribeArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::resource::Named;
use crate::{screen, selection, views};
use pod_api::Resource;
use pod_api::selectors::LabelSelector;

pub(crate) fn run(args: &PlaceArgs, describe: &DescribeArgs) -> Result<(), Failure> {
    let named = selection::named_or_described(args, &describe.what, &describe.files, "describe")?;
    check(describe, &named)?;
    let labels = LabelSelector::parse(describe.selector.as_deref().unwrap_or_default())
        .map_err(|error| Failure::of(Kind::Usage, &error))?;
    let api = api(args);
    let mut found = Vec::new();
    let mut failures = Vec::new();
    for one in &named {
        let namespace = one.namespace.as_deref().unwrap_or(&args.namespace);
        let namespace = (!describe.all_namespaces).then_some(namespace);
        let meant = Selection { labels: labels.clone(), ..Selection::of(namespace) };
        let all = api.list(one.resource, &meant)?;
        if one.names.is_empty() {
            found.extend(all);
            continue;
        }
        for name in &one.names {
            let meant = meant_by(name, &all);
            if meant.is_empty() {
                let place = namespace.unwrap_or_default();
                failures.push(selection::object_not_found(&api, one.resource, place, name));
            }
            found.extend(meant.into_iter().cloned());
        }
    }
    let pages = found.iter().map(|object| page(object, &api, describe.show_events));
    let pages = pages.collect::<Result<Vec<_>, _>>()?;
    if pages.is_empty() && failures.is_empty() {
        screen::narrate(&if describe.all_namespaces {
            "No resources found\n".to_owned()
        } else {
            format!("No resources found in {} namespace.\n", args.namespace)
        });
    }
    screen::answer(&pages.join("\n\n"))?;
    Failure::told_but_last(failures)
}

fn check(describe: &DescribeArgs, named: &[Named]) -> Result<(), Failure> {
    let usage = |text: &str| Failure::new(Kind::Usage, text);
    let has_names = named.iter().any(|one| !one.names.is_empty());
    if named.iter().any(|one| one.resource == Resource::Event) {
        return Err(usage("minipod describes no events").hint("minipod get events -o yaml"));
    }
    if has_names && describe.selector.is_some() {
        return Err(usage("name cannot be provided when a selector is specified"));
    }
    if has_names && describe.all_namespaces {
        let text = "a resource cannot be retrieved by name across all namespaces";
        return Err(usage(text).hint("-n NAMESPACE instead of -A"));
    }
    Ok(())
}

/// The object of that name; without one, those whose names begin with it.
fn meant_by<'a>(name: &str, all: &'a [Object]) -> Vec<&'a Object> {
    match all.iter().find(|object| object.name() == name) {
        Some(object) => vec![object],
        None => all.iter().filter(|object| object.name().starts_with(name)).collect(),
    }
}

fn page(object: &Object, api: &Api, shows_events: bool) -> Result<String, Failure> {
    Ok(match object {
        Object::Pod(pod) => {
            let dir = api.places().pod(object.namespace(), object.name());
            let events = if shows_events { Some(read_events(&dir)?) } else { None };
            views::describe::pod(pod, events.as_deref(), Timestamp::now())
        }
        Object::ConfigMap(map) => views::describe::config_map(map, shows_events),
        Object::Secret(secret) => views::describe::secret(secret),
        Object::Claim(claim) => {
            let pods: Vec<_> =
                Pods::new(api.places()).list()?.into_iter().map(|one| one.pod).collect();
            views::describe::claim(claim, &pods, shows_events)
        }
        Object::Event(_) => String::new(), // refused before
    })
}
