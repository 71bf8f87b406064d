//! minipod's own firewall table: address translation for pods, and host ports.
//!
//! Touches no table but its own, so it lives beside whatever firewall the machine has.

mod connections;
mod expression;
mod others;
mod rules;
mod table;

use nix::errno::Errno;

use super::error::NetworkError;
use super::lease::{Lease, Pods};
use super::netlink::{Family, NetlinkSocket};
use super::route;
use super::settings::{HostPort, NetworkSettings, Protocol};
pub(super) use others::{ForwardDrop, forward_drops};
use rules::{Version, chains, elements, port_maps};
use table::{Transaction, table_exists};

/// Makes sure that the table is there, and publishes the ports of `new`. Should somebody have
/// removed the table, the ports of `all` pods are published again. `pods` is about others than
/// `new`.
pub(super) fn publish(
    settings: &NetworkSettings,
    pods: Pods,
    all: &[Lease],
    new: &Lease,
) -> Result<(), NetworkError> {
    let mut socket = NetlinkSocket::open(Family::Netfilter)?;
    let table = settings.table();
    for version in Version::all(settings) {
        let exists = table_exists(&mut socket, version, &table)?;
        let mut transaction = Transaction::on(&table);
        if exists && pods == Pods::Some {
            let added = elements(version, settings, new);
            if added.is_empty() {
                continue;
            }
            for element in &added {
                transaction.add_element(version, element);
            }
        } else {
            if exists {
                // left by a crash: nobody uses it
                transaction.remove_table(version);
            }
            create_table(&mut transaction, version, settings);
            for element in all.iter().flat_map(|lease| elements(version, settings, lease)) {
                transaction.add_element(version, &element);
            }
        }
        transaction.commit(&mut socket)?;
    }
    Ok(())
}

/// Withdraws a pod's ports; ports that are not published are fine.
pub(super) fn unpublish(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
    lease: &Lease,
) -> Result<(), NetworkError> {
    for version in Version::all(settings) {
        for element in elements(version, settings, lease) {
            let mut transaction = Transaction::on(&settings.table());
            transaction.remove_element(version, &element);
            absent_is_fine(transaction.commit(socket))?;
        }
    }
    Ok(())
}

/// Makes clients of a pod's UDP ports be sent where they belong from now on: after the ports were
/// published, and after they were withdrawn.
pub(super) fn redirect_udp_clients(
    host: &mut NetlinkSocket,
    settings: &NetworkSettings,
    lease: &Lease,
) -> Result<(), NetworkError> {
    let is_udp = |port: &&HostPort| port.protocol == Protocol::Udp;
    let mut ports = lease.host_ports.iter().filter(is_udp).peekable();
    if ports.peek().is_none() {
        return Ok(());
    }
    let machine = route::addresses(host)?.into_iter().map(|address| address.ip).collect();
    let mut socket = NetlinkSocket::open(Family::Netfilter)?;
    for port in ports {
        for version in Version::all(settings) {
            connections::forget_udp(&mut socket, version, port.host_port, &machine)?;
        }
    }
    Ok(())
}

/// Removes the table; none is fine.
pub(super) fn remove(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<(), NetworkError> {
    for version in Version::all(settings) {
        let mut transaction = Transaction::on(&settings.table());
        transaction.remove_table(version);
        absent_is_fine(transaction.commit(socket))?;
    }
    Ok(())
}

/// Whether the table is there for any version of IP.
pub(super) fn exists(settings: &NetworkSettings) -> Result<bool, NetworkError> {
    let mut socket = NetlinkSocket::open(Family::Netfilter)?;
    for version in Version::all(settings) {
        if table_exists(&mut socket, version, &settings.table())? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn create_table(transaction: &mut Transaction, version: Version, settings: &NetworkSettings) {
    transaction.add_table(version);
    for (map, id) in port_maps(version).into_iter().zip(1..) {
        transaction.add_map(version, map, id);
    }
    let chains = chains(version, settings);
    for chain in &chains {
        transaction.add_chain(version, chain);
    }
    for chain in &chains {
        transaction.add_rules(version, chain);
    }
}

fn absent_is_fine(result: Result<(), super::netlink::NetlinkError>) -> Result<(), NetworkError> {
    match result {
        Err(error) if error.is(Errno::ENOENT) => Ok(()),
        result => Ok(result?),
    }
}
