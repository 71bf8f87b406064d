//! What is there of a pod network, for whoever wants to know that nothing was left behind.

use super::error::NetworkError;
use super::firewall;
use super::lease::LeaseBook;
use super::netlink::{Family, NetlinkSocket};
use super::route::find_link;
use super::settings::NetworkSettings;

/// Everything on this machine that belongs to a pod network, one sentence each; nothing after the
/// last pod was detached.
///
/// # Errors
///
/// If the kernel or the lease directory cannot be asked.
pub fn traces(settings: &NetworkSettings) -> Result<Vec<String>, NetworkError> {
    let mut traces = Vec::new();
    if let Some(book) = LeaseBook::open_existing(&settings.lease_dir)? {
        for lease in book.leases() {
            traces.push(format!("{} is leased to pod {}", lease.ip, lease.pod_uid));
        }
    }
    let mut socket = NetlinkSocket::open(Family::Route)?;
    if find_link(&mut socket, &settings.bridge)?.is_some() {
        traces.push(format!("the bridge {} exists", settings.bridge));
    }
    if firewall::exists(settings)? {
        traces.push(format!("the firewall table {} exists", settings.table()));
    }
    Ok(traces)
}
