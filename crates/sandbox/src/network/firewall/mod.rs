//! minipod's own firewall tables: address translation, host ports, who may send what.
//!
//! It lives beside whatever firewall the machine has. Of another's tables it touches only the one
//! whose policy would drop every packet of a pod, which is what Docker leaves behind.

mod connections;
mod egress;
mod expression;
mod legacy;
mod others;
mod pins;
mod rules;
mod ruleset;
mod table;

use std::collections::HashSet;
use std::net::IpAddr;

use nix::errno::Errno;

use super::error::NetworkError;
use super::lease::{Lease, LeaseBook, Pods};
use super::netlink::{Family as Socket, NetlinkError, NetlinkSocket};
use super::route;
use super::settings::{HostPort, NetworkSettings, Protocol};
pub(super) use others::Refusal;
use ruleset::{Element, Family, Ruleset, Version};
use table::{Transaction, table_exists};

/// So many elements go to the kernel in one transaction.
const ELEMENTS_AT_ONCE: usize = 256;

/// Makes sure that the tables are there, and adds the elements of `new`. Should somebody have
/// removed a table, the elements of all pods are added again. `pods` is about others than `new`.
pub(super) fn publish(
    settings: &NetworkSettings,
    pods: Pods,
    book: &LeaseBook,
    new: &Lease,
) -> Result<(), NetworkError> {
    try_to_publish(settings, pods, book, new).map_err(|source| {
        if LACKING.contains(&source.errno()) {
            NetworkError::Firewall { source }
        } else {
            NetworkError::Netlink(source)
        }
    })
}

fn try_to_publish(
    settings: &NetworkSettings,
    pods: Pods,
    book: &LeaseBook,
    new: &Lease,
) -> Result<(), NetlinkError> {
    let (mut socket, all) = (NetlinkSocket::open(Socket::Netfilter)?, book.leases());
    let table = settings.table();
    let mut existing = Vec::new();
    for family in Family::ALL {
        if table_exists(&mut socket, family, &table)? {
            existing.push(family);
        }
    }
    let wanted = rulesets(settings, all);
    let complete =
        !book.is_damaged() && wanted.iter().all(|ruleset| existing.contains(&ruleset.family));
    let mut transaction = Transaction::on(&table);
    if complete && pods == Pods::Some {
        for element in elements(new) {
            transaction.add_element(&element);
        }
        return transaction.commit(&mut socket);
    }
    for family in existing {
        transaction.remove_table(family);
    }
    for ruleset in &wanted {
        transaction.add_table(ruleset);
    }
    let elements = all.iter().flat_map(elements).collect::<Vec<_>>();
    let mut parts = elements.chunks(ELEMENTS_AT_ONCE);
    for element in parts.next().into_iter().flatten() {
        transaction.add_element(element);
    }
    transaction.commit(&mut socket)?;
    for part in parts {
        let mut transaction = Transaction::on(&table);
        part.iter().for_each(|element| transaction.add_element(element));
        transaction.commit(&mut socket)?;
    }
    Ok(())
}

/// The tables that these pods need.
fn rulesets(settings: &NetworkSettings, pods: &[Lease]) -> Vec<Ruleset> {
    let mut rulesets = vec![rules::ruleset(Version::V4, settings), pins::ruleset(settings)];
    if pods.iter().any(|lease| lease.ipv6.is_some()) {
        rulesets.push(rules::ruleset(Version::V6, settings));
    }
    rulesets
}

/// Everything that the tables say about one pod.
fn elements(lease: &Lease) -> Vec<Element> {
    let of_version =
        |version| [rules::elements(version, lease), egress::elements(version, lease)].concat();
    [of_version(Version::V4), of_version(Version::V6), pins::elements(lease)].concat()
}

/// Removes what the tables say about a pod; what is not there is fine.
pub(super) fn unpublish(settings: &NetworkSettings, lease: &Lease) -> Result<(), NetworkError> {
    let Some(mut socket) = open_if_there()? else {
        return Ok(());
    };
    let elements = elements(lease);
    let remove = |socket: &mut NetlinkSocket, elements: &[Element]| {
        let mut transaction = Transaction::on(&settings.table());
        elements.iter().for_each(|element| transaction.remove_element(element));
        transaction.commit(socket)
    };
    match remove(&mut socket, &elements) {
        Err(error) if error.is(Errno::ENOENT) => {
            // Somebody removed a part of it, so each goes alone.
            for element in &elements {
                absent_is_fine(remove(&mut socket, std::slice::from_ref(element)))?;
            }
            Ok(())
        }
        result => absent_is_fine(result),
    }
}

/// Makes clients of a pod's UDP ports be sent where they belong from now on: after the ports were
/// published, and after they were withdrawn.
pub(super) fn redirect_udp_clients(
    host: &mut NetlinkSocket,
    lease: &Lease,
) -> Result<(), NetworkError> {
    let is_udp = |port: &&HostPort| port.protocol == Protocol::Udp;
    let mut ports = lease.host_ports.iter().filter(is_udp).peekable();
    if ports.peek().is_none() {
        return Ok(());
    }
    let machine: HashSet<IpAddr> =
        route::addresses(host)?.into_iter().map(|address| address.ip).collect();
    let mut socket = NetlinkSocket::open(Socket::Netfilter)?;
    let versions = [Some(Version::V4), lease.ipv6.map(|_| Version::V6)];
    for port in ports {
        for version in versions.into_iter().flatten() {
            connections::forget_udp(&mut socket, version, port.host_port, &machine)?;
        }
    }
    Ok(())
}

/// Removes the tables; none is fine.
pub(super) fn remove(settings: &NetworkSettings) -> Result<(), NetworkError> {
    let Some(mut socket) = open_if_there()? else {
        return Ok(());
    };
    let mut transaction = Transaction::on(&settings.table());
    for family in Family::ALL {
        if exists_in(&mut socket, family, settings)? {
            transaction.remove_table(family);
        }
    }
    absent_is_fine(transaction.commit(&mut socket))
}

/// Whether a table is there for any kind of packets.
pub(super) fn exists(settings: &NetworkSettings) -> Result<bool, NetworkError> {
    let Some(mut socket) = open_if_there()? else {
        return Ok(false);
    };
    for family in Family::ALL {
        if exists_in(&mut socket, family, settings)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the table is there; a kernel without such tables has none.
fn exists_in(
    socket: &mut NetlinkSocket,
    family: Family,
    settings: &NetworkSettings,
) -> Result<bool, NetworkError> {
    match table_exists(socket, family, &settings.table()) {
        Err(error) if is_lacking(&error) => Ok(false),
        result => Ok(result?),
    }
}

/// What is not there need not be removed, nor what the kernel could not have had.
fn absent_is_fine(result: Result<(), NetlinkError>) -> Result<(), NetworkError> {
    match result {
        Err(error) if error.is(Errno::ENOENT) || is_lacking(&error) => Ok(()),
        result => Ok(result?),
    }
}

/// What a kernel says that lacks nfnetlink, `nf_tables`, a family of it or a kind of rule.
const LACKING: [Errno; 5] =
    [Errno::EPROTONOSUPPORT, Errno::EAFNOSUPPORT, Errno::EOPNOTSUPP, Errno::EINVAL, Errno::ENOENT];

/// The kernel has no such tables at all (nfnetlink says EINVAL to a question for a subsystem that
/// it does not have).
fn is_lacking(error: &NetlinkError) -> bool {
    error.errno() != Errno::ENOENT && LACKING.contains(&error.errno())
}

/// A socket, unless the kernel has no such thing, and so nothing of what would be asked for.
fn open_if_there() -> Result<Option<NetlinkSocket>, NetworkError> {
    match NetlinkSocket::open(Socket::Netfilter) {
        Err(error) if is_lacking(&error) => Ok(None),
        result => Ok(Some(result?)),
    }
}

/// Whether somebody else translates addresses on this machine. Where that cannot be found out,
/// nobody does.
pub(super) fn others_translate() -> bool {
    let ask = || -> Result<bool, NetworkError> {
        let Some(mut socket) = open_if_there()? else {
            return Ok(false);
        };
        Ok(others::others_translate(&mut socket)?)
    };
    ask().unwrap_or(false) || legacy::has_table("nat")
}

/// Lets the pods' packets pass where iptables drops what it does not know. What cannot be done is
/// found by [`refusals`].
pub(super) fn let_pass(settings: &NetworkSettings) {
    if let Ok(mut socket) = NetlinkSocket::open(Socket::Netfilter) {
        let _ = others::let_pass(&mut socket, settings);
    }
    legacy::let_pass(settings);
}

/// Takes the rules back that [`let_pass`] made.
pub(super) fn take_back(settings: &NetworkSettings) -> Result<(), NetworkError> {
    legacy::take_back(settings);
    let Some(mut socket) = open_if_there()? else {
        return Ok(());
    };
    absent_is_fine(others::take_back(&mut socket, settings))
}

/// The chains that keep the pods' packets from passing.
pub(super) fn refusals(settings: &NetworkSettings) -> Result<Vec<Refusal>, NetworkError> {
    Ok(others::refusals(&mut NetlinkSocket::open(Socket::Netfilter)?, settings)?)
}

/// The programs whose chains, which are not of nftables, do so.
pub(super) fn legacy_refusals(settings: &NetworkSettings) -> Vec<&'static str> {
    legacy::refusals(settings)
}
