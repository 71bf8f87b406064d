//! `top pod`: what containers use.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use pod_api::control::ContainerUsage;
use pod_api::pods::FoundPod;
use pod_api::watch::Watcher;
use pod_api::{Pods, client};

use super::{places, require_root};
use crate::cli::{PlaceArgs, TopArgs};
use crate::failure::{Failure, Kind};
use crate::views::usage::{self, Usage};
use crate::{screen, selection};
use columns::age;
use pod_api::Resource;
use pod_api::selectors::LabelSelector;

/// Between two looks at the clock of the processors.
const SAMPLE: Duration = Duration::from_millis(300);

pub(crate) fn run(args: &PlaceArgs, top: &TopArgs) -> Result<(), Failure> {
    let sort = match top.sort_by.as_deref() {
        None => None,
        Some(field @ ("cpu" | "memory")) => Some(field),
        Some(_) => {
            let text = "--sort-by accepts only cpu or memory";
            return Err(Failure::new(Kind::Usage, text));
        }
    };
    let (found, is_named) = pods(args, top)?;
    require_root()?;
    let before: Vec<_> = found.iter().map(sample).collect();
    Watcher::new().wait(None, Some(Instant::now() + SAMPLE))?;
    let mut used = Vec::new();
    for (pod, before) in found.iter().zip(before) {
        match between(pod, before) {
            Some(containers) => used.extend(containers),
            None if is_named => return Err(not_available(pod)),
            None => {}
        }
    }
    if used.is_empty() {
        screen::narrate(&format!("No resources found in {} namespace.\n", args.namespace));
        return Ok(());
    }
    let columns = usage::Columns {
        namespace: top.all_namespaces,
        containers: top.containers,
        header: !top.no_headers,
        sum: top.sum,
    };
    screen::answer(&usage::table(used, columns, sort))
}

fn pods(args: &PlaceArgs, top: &TopArgs) -> Result<(Vec<FoundPod>, bool), Failure> {
    let named = selection::named(args, &top.what)?;
    if let Some(other) = named.iter().find(|one| one.resource != Resource::Pod) {
        let text = format!("minipod knows what pods use, not {}", other.resource.plural());
        return Err(Failure::new(Kind::Usage, text).hint("minipod top pod"));
    }
    let all = Pods::new(&places(args));
    let names: Vec<&String> = named.iter().flat_map(|one| &one.names).collect();
    if !names.is_empty() {
        let find = |name: &&String| selection::pod(&all, &args.namespace, name);
        return Ok((names.iter().map(find).collect::<Result<_, _>>()?, true));
    }
    let labels = LabelSelector::parse(top.selector.as_deref().unwrap_or_default())
        .map_err(|error| Failure::of(Kind::Usage, &error))?;
    let namespace = (!top.all_namespaces).then_some(args.namespace.as_str());
    Ok((selection::labelled(&all, namespace, &labels)?, false))
}

type Sample = (Instant, BTreeMap<String, ContainerUsage>);

/// What a pod has used so far; nothing of one that does not run.
fn sample(found: &FoundPod) -> Option<Sample> {
    let usage = client::usage(&found.dir).ok()?;
    Some((Instant::now(), usage))
}

fn between(found: &FoundPod, before: Option<Sample>) -> Option<Vec<Usage>> {
    let (then, before) = before?;
    let (now, after) = sample(found)?;
    let nanoseconds = now.duration_since(then).as_nanos().max(1);
    let used = |(name, after): (String, ContainerUsage)| {
        let before = before.get(&name).map_or(after.cpu_nanoseconds, |one| one.cpu_nanoseconds);
        let spent = u128::from(after.cpu_nanoseconds.saturating_sub(before));
        Usage {
            namespace: found.namespace().to_owned(),
            pod: found.name().to_owned(),
            container: name,
            cpu_thousandths: u64::try_from((spent * 1000).div_ceil(nanoseconds)).unwrap_or(0),
            memory_bytes: after.memory_bytes,
        }
    };
    let all: Vec<Usage> = after.into_iter().map(used).collect();
    (!all.is_empty()).then_some(all)
}

fn not_available(found: &FoundPod) -> Failure {
    let age = age::age(found.pod.metadata.creation_timestamp.as_ref(), Timestamp::now());
    let (namespace, name) = (found.namespace(), found.name());
    let text = format!("Metrics not available for pod {namespace}/{name}, age: {age}");
    Failure::new(Kind::Failed, text)
        .hint("it needs a running container and cgroups; minipod doctor tells of those")
}
