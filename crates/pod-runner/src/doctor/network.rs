//! Whether pods can have a network here: it is tried.

use crate::pod_network;
use sandbox::network;

use super::Finding;
use pod_api::settings::{Settings, is_root};
use pod_api::text::chain;

/// A pod's network is made and removed in a namespace of its own.
pub(super) fn pod_network() -> Finding {
    let name = "pod network";
    if !is_root() {
        return Finding::limited(name, "only root may try it", "sudo minipod doctor");
    }
    let directory = std::env::temp_dir().join(format!("minipod-doctor-{}", pod_api::random::uid()));
    match network::rehearse(&directory) {
        Ok(()) => Finding::ok(name, "tried: bridge, link, address translation, and a packet"),
        Err(error) => {
            let way_out = error.hint().unwrap_or_else(|| "hostNetwork: true".to_owned());
            Finding::missing(name, format!("tried, and failed: {}", chain(&error)), way_out)
        }
    }
}

/// Whether a range of pod addresses is free on this machine.
pub(super) fn pod_addresses(settings: &Settings) -> Finding {
    let name = "pod addresses";
    let found = pod_network::described(settings).map_err(|error| (chain(&error), None)).and_then(
        |network| network::free_range(&network).map_err(|error| (chain(&error), error.hint())),
    );
    match found {
        Ok(range) => {
            let ipv6 = range.ipv6.map_or("no IPv6".to_owned(), |ipv6| ipv6.to_string());
            Finding::ok(name, format!("{} and {ipv6}", range.cidr))
        }
        Err((problem, hint)) => {
            let way_out = hint.unwrap_or_else(|| "--pod-cidr 10.85.0.0/16".to_owned());
            Finding::missing(name, problem, way_out)
        }
    }
}

/// Whether another firewall of this machine is in the way. Where iptables drops what it does not
/// know, minipod makes way while there are pods.
pub(super) fn other_firewalls(settings: &Settings) -> Finding {
    let name = "firewalls";
    if !is_root() {
        return Finding::limited(name, "only root may ask", "sudo minipod doctor");
    }
    let asked = pod_network::described(settings).map_err(|error| chain(&error));
    let warnings = asked.and_then(|one| network::warnings(&one).map_err(|error| chain(&error)));
    let ours = |text: &String| text.contains("filter FORWARD") || text.contains("-legacy FORWARD");
    match warnings {
        Ok(all) => match all.iter().find(|text| !ours(text)) {
            None if all.is_empty() => Finding::ok(name, "none is in the way"),
            None => {
                Finding::ok(name, "iptables drops by policy; minipod adds rules for its bridge")
            }
            Some(text) => {
                let (detail, way_out) = text.split_once("; ").unwrap_or((text, ""));
                Finding::limited(name, detail, way_out.trim_start_matches("allow them with: "))
            }
        },
        Err(problem) => Finding::limited(
            name,
            format!("the kernel's firewall cannot be asked: {problem}"),
            "modprobe nf_tables; hostNetwork: true does without",
        ),
    }
}
