//! What on this machine will keep pods from being reached, although every step succeeds.

use super::error::NetworkError;
use super::firewall::{ForwardDrop, forward_drops};
use super::netlink::{Family, NetlinkSocket};
use super::settings::NetworkSettings;

/// What will get in the way of the pods' packets, one sentence each, with the way out.
///
/// # Errors
///
/// If the kernel's firewall cannot be asked.
pub fn warnings(settings: &NetworkSettings) -> Result<Vec<String>, NetworkError> {
    let mut socket = NetlinkSocket::open(Family::Netfilter)?;
    let drops = forward_drops(&mut socket)?;
    let matters = |drop: &&ForwardDrop| drop.family != "ip6" || settings.ipv6.is_some();
    Ok(drops.iter().filter(matters).map(|drop| forward_warning(drop, &settings.bridge)).collect())
}

fn forward_warning(drop: &ForwardDrop, bridge: &str) -> String {
    let ForwardDrop { family, table, chain } = drop;
    let way_out = match (table.as_str(), chain.as_str(), *family) {
        // what iptables made is best changed by iptables
        ("filter", "FORWARD", "ip" | "ip6") => {
            let program = if *family == "ip" { "iptables" } else { "ip6tables" };
            format!(
                "allow them with: {program} -I FORWARD -i {bridge} -j ACCEPT; \
                 {program} -I FORWARD -o {bridge} -j ACCEPT"
            )
        }
        _ => format!(
            "allow them with: nft insert rule {family} {table} {chain} iifname {bridge} accept; \
             nft insert rule {family} {table} {chain} oifname {bridge} accept"
        ),
    };
    format!(
        "the firewall chain {family} {table} {chain} drops forwarded packets, so pods may not \
         reach the outside; {way_out}"
    )
}
