//! What on this machine will keep pods from being reached, although every step succeeds.

use super::error::NetworkError;
use super::firewall::{self, Refusal};
use super::settings::NetworkSettings;

/// What will get in the way of the pods' packets, one sentence each, with the way out.
///
/// # Errors
///
/// If the kernel's firewall cannot be asked.
pub fn warnings(settings: &NetworkSettings) -> Result<Vec<String>, NetworkError> {
    let matters = |refusal: &&Refusal| refusal.family != "ip6" || settings.ipv6.is_some();
    let found = firewall::refusals(settings)?;
    let tables = found.iter().filter(matters).map(|refusal| of_table(refusal, settings));
    let legacy = firewall::legacy_refusals(settings).into_iter();
    let legacy = legacy.filter(|program| !program.starts_with("ip6") || settings.ipv6.is_some());
    Ok(tables
        .chain(legacy.map(|program| of_iptables(&format!("{program} FORWARD"), program, settings)))
        .collect())
}

fn of_table(refusal: &Refusal, settings: &NetworkSettings) -> String {
    let Refusal { family, table, chain } = refusal;
    let bridge = &settings.bridge;
    let name = format!("{family} {table} {chain}");
    if refusal.is_of_iptables() {
        // what iptables made is best changed by iptables
        let program = if *family == "ip" { "iptables" } else { "ip6tables" };
        return of_iptables(&name, program, settings);
    }
    let way_out = if table == "firewalld" {
        format!("firewall-cmd --zone=trusted --add-source={}", settings.cidr)
    } else {
        format!(
            "nft insert rule {name} iifname {bridge} accept; \
             nft insert rule {name} oifname {bridge} accept"
        )
    };
    sentence(&name, &way_out)
}

fn of_iptables(name: &str, program: &str, settings: &NetworkSettings) -> String {
    let bridge = &settings.bridge;
    let way_out = format!(
        "{program} -I FORWARD -i {bridge} -j ACCEPT; {program} -I FORWARD -o {bridge} -j ACCEPT"
    );
    sentence(name, &way_out)
}

fn sentence(chain: &str, way_out: &str) -> String {
    format!(
        "the firewall chain {chain} drops forwarded packets, so pods may not reach the outside; \
         allow them with: {way_out}"
    )
}
