//! What a pod as a whole asks for and may use: its own `resources`, and those of its containers
//! together.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

use crate::quantity::Quantity;

/// Amounts by the name of their resource.
pub type Amounts = BTreeMap<String, Text>;

/// What the pod asks for: what it says itself, else what its containers ask for together.
pub fn effective_requests(spec: &PodSpec) -> Amounts {
    let mut amounts = requests_of_containers(spec);
    amounts.extend(spec.resources.iter().filter_map(|own| own.requests.clone()).flatten());
    amounts
}

/// What the pod may use at most: what it says itself, else what its containers may use together,
/// where each of them has a limit.
pub fn effective_limits(spec: &PodSpec) -> Amounts {
    let mut amounts = together(spec, |resources| resources.limits.as_ref());
    amounts.retain(|name, _| is_limited_everywhere(spec, name));
    amounts.extend(spec.resources.iter().filter_map(|own| own.limits.clone()).flatten());
    amounts
}

/// What the containers ask for together.
pub fn requests_of_containers(spec: &PodSpec) -> Amounts {
    together(spec, |resources| resources.requests.as_ref())
}

/// The pod's own resources, where it has any.
pub fn own(spec: &PodSpec) -> Option<&ResourceRequirements> {
    let own = spec.resources.as_ref()?;
    let names = [&own.requests, &own.limits].into_iter().flatten().flat_map(BTreeMap::keys);
    names.into_iter().any(|name| is_for_pods(name)).then_some(own)
}

/// Whether a resource can be given to a pod as a whole.
pub(crate) fn is_for_pods(name: &str) -> bool {
    is_shared(name) || name.starts_with("hugepages-")
}

/// Whether more of it can be promised than there is.
fn is_shared(name: &str) -> bool {
    matches!(name, "cpu" | "memory")
}

/// Fills in what a pod with resources of its own leaves out: requests are those of its containers,
/// else its limits; limits are those of its containers, if all have some.
pub(crate) fn complete(spec: &mut PodSpec) {
    let mut asked = requests_of_containers(spec);
    asked.retain(|name, _| is_shared(name));
    let mut allowed = effective_limits(spec);
    allowed.retain(|name, _| is_shared(name));
    let Some(own) = &mut spec.resources else {
        return;
    };
    let limits = own.limits.clone().unwrap_or_default();
    let has_requests = own.requests.as_ref().is_some_and(|requests| !requests.is_empty());
    if !limits.is_empty() {
        let limits = limits.into_iter().filter(|(name, _)| is_for_pods(name));
        let requests = own.requests.get_or_insert_default();
        for (name, amount) in asked.into_iter().chain(limits) {
            requests.entry(name).or_insert(amount);
        }
    } else if has_requests && !allowed.is_empty() {
        own.limits = Some(allowed);
    }
}

fn is_limited_everywhere(spec: &PodSpec, name: &str) -> bool {
    let is_limited = |one: &Container| {
        let limits = one.resources.as_ref().and_then(|resources| resources.limits.as_ref());
        let text = limits.and_then(|limits| limits.get(name));
        text.and_then(|text| Quantity::parse(&text.0).ok()).is_some_and(|limit| limit.milli() > 0)
    };
    spec.init_containers.iter().flatten().chain(&spec.containers).all(is_limited)
}

/// The most that is used at any time: main containers run beside all sidecars, each ordinary init
/// container beside the sidecars before it.
fn together(spec: &PodSpec, list: impl Fn(&ResourceRequirements) -> Option<&Amounts>) -> Amounts {
    let of = |one: &Container| one.resources.as_ref().and_then(&list).cloned().unwrap_or_default();
    let (mut sidecars, mut most) = (Amounts::new(), Amounts::new());
    for one in spec.init_containers.iter().flatten() {
        if one.restart_policy.as_deref() == Some("Always") {
            join(&mut sidecars, of(one), Quantity::plus);
        } else {
            let mut beside = sidecars.clone();
            join(&mut beside, of(one), Quantity::plus);
            join(&mut most, beside, Quantity::max);
        }
    }
    let mut running = sidecars;
    for one in &spec.containers {
        join(&mut running, of(one), Quantity::plus);
    }
    join(&mut running, most, Quantity::max);
    running
}

/// Joins amounts of the same resource; the first one's form stays.
fn join(left: &mut Amounts, right: Amounts, how: fn(Quantity, Quantity) -> Quantity) {
    for (name, text) in right {
        let Some(former) = left.get_mut(&name) else {
            left.insert(name, text);
            continue;
        };
        if let (Ok(a), Ok(b)) = (Quantity::parse(&former.0), Quantity::parse(&text.0)) {
            former.0 = how(a, b).like(&former.0);
        }
    }
}
