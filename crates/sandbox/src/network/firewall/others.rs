//! What other firewalls of the machine do to pods. Only looks, never touches.

use std::collections::BTreeSet;

use crate::network::netlink::{Batch, Message, NetlinkError, NetlinkSocket, attributes, find};

use super::table::message_type;

/// A chain through which forwarded packets have to pass and which drops what it does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::network) struct ForwardDrop {
    /// `ip`, `ip6` or `inet`.
    pub(in crate::network) family: &'static str,
    pub(in crate::network) table: String,
    pub(in crate::network) chain: String,
}

/// The chains of other tables that drop forwarded packets by policy. nftables asks every table,
/// so minipod's own table cannot overrule them (nft(8), "Chains"). Rules made by `iptables-nft`
/// are such tables too; the older `iptables-legacy` is not seen.
pub(in crate::network) fn forward_drops(
    socket: &mut NetlinkSocket,
) -> Result<Vec<ForwardDrop>, NetlinkError> {
    let forward = u32::try_from(libc::NF_INET_FORWARD).ok();
    let drop = u32::try_from(libc::NF_DROP).ok();
    let drops = |chain: BaseChain| {
        let BaseChain { family, table, name, hook, policy, .. } = chain;
        let matters = Some(hook) == forward && policy.is_some() && policy == drop;
        matters.then_some(ForwardDrop { family, table, chain: name })
    };
    let found: BTreeSet<_> = base_chains(socket)?.into_iter().filter_map(drops).collect();
    Ok(found.into_iter().collect())
}

/// Whether a table other than this one translates addresses.
pub(super) fn others_translate(
    socket: &mut NetlinkSocket,
    own_table: &str,
) -> Result<bool, NetlinkError> {
    let is_other = |chain: &BaseChain| {
        chain.kind == "nat" && chain.table != own_table && !chain.table.starts_with("minipod")
    };
    Ok(base_chains(socket)?.iter().any(is_other))
}

/// A chain that the kernel sends packets through.
struct BaseChain {
    family: &'static str,
    table: String,
    name: String,
    /// "nat", "filter", "route".
    kind: String,
    /// `NF_INET_*`.
    hook: u32,
    /// `NF_ACCEPT` or `NF_DROP`.
    policy: Option<u32>,
}

fn base_chains(socket: &mut NetlinkSocket) -> Result<Vec<BaseChain>, NetlinkError> {
    let mut batch = Batch::default();
    let kind = message_type(libc::NFT_MSG_GETCHAIN);
    let flags = libc::NLM_F_ACK | libc::NLM_F_DUMP;
    batch.message(kind, flags, "list the firewall's chains", |message| message.raw(&[0; 4]));
    let mut found = Vec::new();
    socket.query(&batch, |message| found.extend(parse_chain(&message)))?;
    Ok(found)
}

fn parse_chain(message: &Message<'_>) -> Option<BaseChain> {
    let family = match message.payload.first()? {
        1 => "inet",
        2 => "ip",
        10 => "ip6",
        _ => return None,
    };
    let (mut table, mut name, mut kind, mut policy, mut hook) = (None, None, None, None, None);
    for attribute in attributes(message.payload.get(4..)?) {
        match attribute.kind {
            TABLE => table = Some(attribute.text()),
            NAME => name = Some(attribute.text()),
            TYPE => kind = Some(attribute.text()),
            POLICY => policy = attribute.network_number(),
            HOOK => hook = find(attribute.value, HOOK_NUMBER)?.network_number(),
            _ => {}
        }
    }
    Some(BaseChain { family, table: table?, name: name?, kind: kind?, hook: hook?, policy })
}

// linux/netfilter/nf_tables.h: NFTA_CHAIN_*, NFTA_HOOK_*
const TABLE: u16 = 1;
const NAME: u16 = 3;
const HOOK: u16 = 4;
const POLICY: u16 = 5;
const TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
