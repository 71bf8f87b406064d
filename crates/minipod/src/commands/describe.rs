//! `describe`: everything about a pod.

use jiff::Timestamp;
use pod_runner::pods::FoundPod;
use pod_runner::{Pods, pods};

use super::places;
use crate::cli::{DescribeArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::labels::LabelSelector;
use crate::resource::Resource;
use crate::{screen, selection, views};

pub(crate) fn run(args: &PlaceArgs, describe: &DescribeArgs) -> Result<(), Failure> {
    let named = selection::named(args, &describe.what)?;
    if let Some(other) = named.iter().find(|one| one.resource != Resource::Pod) {
        let text = format!("minipod describes pods, not {}", other.resource.plural());
        let kind = other.resource.singular();
        return Err(Failure::new(Kind::Usage, text).hint(format!("minipod get {kind} -o yaml")));
    }
    let all = Pods::new(&places(args));
    let names: Vec<&String> = named.iter().flat_map(|one| &one.names).collect();
    let found = if names.is_empty() {
        several(args, describe, &all)?
    } else {
        let find = |name: &&String| selection::pod(&all, &args.namespace, name);
        names.iter().map(find).collect::<Result<_, _>>()?
    };
    let mut pages = Vec::new();
    for one in &found {
        let events = if describe.show_events { Some(pods::events(&one.dir)?) } else { None };
        pages.push(views::describe::pod(&one.pod, events.as_deref(), Timestamp::now()));
    }
    if pages.is_empty() {
        screen::narrate(&if describe.all_namespaces {
            "No resources found\n".to_owned()
        } else {
            format!("No resources found in {} namespace.\n", args.namespace)
        });
    }
    screen::answer(&pages.join("\n\n"))
}

fn several(
    args: &PlaceArgs,
    describe: &DescribeArgs,
    all: &Pods,
) -> Result<Vec<FoundPod>, Failure> {
    let labels = LabelSelector::parse(describe.selector.as_deref().unwrap_or_default())
        .map_err(|error| Failure::of(Kind::Usage, &error))?;
    let namespace = (!describe.all_namespaces).then_some(args.namespace.as_str());
    selection::labelled(all, namespace, &labels)
}
