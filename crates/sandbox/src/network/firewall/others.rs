//! What other firewalls of the machine do to pods' packets, and what minipod may do about it.
//!
//! nftables asks every table, so minipod's own cannot overrule another's refusal (nft(8),
//! "Chains"). Rules that `iptables-nft` made are such tables too.

use nix::errno::Errno;

use super::expression::{Expression, FIRST};
use super::ruleset::link_name;
use super::table::{Transaction, message_type};
use crate::network::netlink::{Batch, Message, NetlinkError, NetlinkSocket, attributes, find};
use crate::network::settings::NetworkSettings;

/// A chain through which forwarded packets have to pass and which lets none of the pods' pass.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::network) struct Refusal {
    /// `ip`, `ip6` or `inet`.
    pub(in crate::network) family: &'static str,
    pub(in crate::network) table: String,
    pub(in crate::network) chain: String,
}

impl Refusal {
    /// Whether it is the chain that `iptables` calls FORWARD.
    pub(in crate::network) fn is_of_iptables(&self) -> bool {
        self.family != "inet" && self.table == "filter" && self.chain == "FORWARD"
    }
}

/// The chains of other tables that refuse forwarded packets, by policy or by their last rule, and
/// in whose table nothing is said about the pods' bridge or addresses.
pub(in crate::network) fn refusals(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<Vec<Refusal>, NetlinkError> {
    let forward = u32::try_from(libc::NF_INET_FORWARD).ok();
    let drop = u32::try_from(libc::NF_DROP).ok();
    let mut found = Vec::new();
    for chain in base_chains(socket)? {
        let BaseChain { family, table, name, hook, policy, .. } = chain;
        if Some(hook) != forward || is_minipods(&table) {
            continue;
        }
        let rules = rules(socket, family, &table)?;
        let last = rules.iter().rfind(|rule| rule.chain == name);
        let is_refusing = policy == drop || last.is_some_and(Rule::refuses_everything);
        if is_refusing && !rules.iter().any(|rule| rule.mentions(settings)) {
            found.push(Refusal { family: name_of(family), table, chain: name });
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Lets the pods' packets pass the chain that `iptables -P FORWARD DROP` made, as whoever runs
/// containers beside Docker has to. Tables of other makers are theirs: [`refusals`] tells of them.
pub(super) fn let_pass(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<(), NetlinkError> {
    for refusal in refusals(socket, settings)?.iter().filter(|one| one.is_of_iptables()) {
        let Refusal { family, table, chain } = refusal;
        let mut transaction = Transaction::on(table);
        for key in [libc::NFT_META_IIFNAME, libc::NFT_META_OIFNAME] {
            let rule = [
                Expression::LoadMeta { key, into: FIRST },
                Expression::Is { register: FIRST, value: link_name(&settings.bridge) },
                Expression::Accept,
            ];
            let family = number_of(family);
            transaction.insert_foreign_rule(family, chain, &rule, &comment(settings));
        }
        transaction.commit(socket)?;
    }
    Ok(())
}

/// Removes the rules that [`let_pass`] made.
pub(super) fn take_back(
    socket: &mut NetlinkSocket,
    settings: &NetworkSettings,
) -> Result<(), NetlinkError> {
    let comment = comment(settings);
    for family in [FAMILY_V4, FAMILY_V6] {
        let ours = rules(socket, family, "filter")?;
        let ours = ours.into_iter().filter(|rule| rule.user_data == comment);
        let mut transaction = Transaction::on("filter");
        let mut count = 0;
        for rule in ours {
            transaction.remove_foreign_rule(family, &rule.chain, &rule.handle);
            count += 1;
        }
        if count > 0 {
            transaction.commit(socket)?;
        }
    }
    Ok(())
}

/// Whether a table other than minipod's translates addresses.
pub(super) fn others_translate(socket: &mut NetlinkSocket) -> Result<bool, NetlinkError> {
    let is_other = |chain: &BaseChain| chain.kind == "nat" && !is_minipods(&chain.table);
    Ok(base_chains(socket)?.iter().any(is_other))
}

fn is_minipods(table: &str) -> bool {
    table == "minipod" || table.starts_with("minipod_")
}

/// By which a rule is known to be of this network: `nft list` shows it as a comment.
fn comment(settings: &NetworkSettings) -> Vec<u8> {
    let text = format!("{}\0", settings.table());
    let length = u8::try_from(text.len()).expect("names of links are short");
    [&[RULE_COMMENT, length], text.as_bytes()].concat()
}

/// A chain that the kernel sends packets through.
struct BaseChain {
    family: u8,
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
    let family = *message.payload.first()?;
    if ![FAMILY_INET, FAMILY_V4, FAMILY_V6].contains(&family) {
        return None;
    }
    let (mut table, mut name, mut kind, mut policy, mut hook) = (None, None, None, None, None);
    for attribute in attributes(message.payload.get(4..)?) {
        match attribute.kind {
            CHAIN_TABLE => table = Some(attribute.text()),
            CHAIN_NAME => name = Some(attribute.text()),
            CHAIN_TYPE => kind = Some(attribute.text()),
            CHAIN_POLICY => policy = attribute.network_number(),
            CHAIN_HOOK => hook = find(attribute.value, HOOK_NUMBER)?.network_number(),
            _ => {}
        }
    }
    Some(BaseChain { family, table: table?, name: name?, kind: kind?, hook: hook?, policy })
}

/// A rule of somebody's.
struct Rule {
    chain: String,
    /// `NFTA_RULE_HANDLE`: eight bytes in network byte order.
    handle: Vec<u8>,
    /// `NFTA_RULE_EXPRESSIONS` as the kernel wrote it.
    expressions: Vec<u8>,
    user_data: Vec<u8>,
}

impl Rule {
    /// Whether the rule is about no packet in particular, and refuses it.
    fn refuses_everything(&self) -> bool {
        let mut refuses = false;
        for element in attributes(&self.expressions) {
            let name = find(element.value, EXPRESSION_NAME).map(|name| name.text());
            match name.as_deref() {
                Some("reject") => refuses = true,
                Some("immediate") => refuses |= is_drop(element.value),
                Some("counter" | "log") => {}
                _ => return false, // it asks something
            }
        }
        refuses
    }

    /// Whether the rule says something about the pods' bridge or the network of their addresses.
    fn mentions(&self, settings: &NetworkSettings) -> bool {
        let has = |bytes: &[u8]| self.expressions.windows(bytes.len()).any(|part| part == bytes);
        has(settings.bridge.as_bytes()) || has(&settings.cidr.network().octets())
    }
}

/// Whether an `immediate` expression has the verdict drop.
fn is_drop(element: &[u8]) -> bool {
    let verdict = find(element, EXPRESSION_DATA)
        .and_then(|data| find(data.value, IMMEDIATE_DATA))
        .and_then(|data| find(data.value, DATA_VERDICT))
        .and_then(|verdict| find(verdict.value, VERDICT_CODE));
    verdict.is_some_and(|code| code.value == libc::NF_DROP.to_be_bytes())
}

/// The rules of a table; none of a table that is not there.
fn rules(socket: &mut NetlinkSocket, family: u8, table: &str) -> Result<Vec<Rule>, NetlinkError> {
    let mut batch = Batch::default();
    let kind = message_type(libc::NFT_MSG_GETRULE);
    let flags = libc::NLM_F_ACK | libc::NLM_F_DUMP;
    let doing = format!("list the rules of the firewall table {table}");
    batch.message(kind, flags, doing, |message| {
        message.raw(&[family, 0, 0, 0]);
        message.text(RULE_TABLE, table);
    });
    let mut found = Vec::new();
    match socket.query(&batch, |message| found.extend(parse_rule(&message))) {
        Err(error) if error.is(Errno::ENOENT) => Ok(Vec::new()),
        result => result.map(|()| found),
    }
}

fn parse_rule(message: &Message<'_>) -> Option<Rule> {
    let rule = message.payload.get(4..)?;
    let bytes = |kind| find(rule, kind).map(|found| found.value.to_vec());
    Some(Rule {
        chain: find(rule, RULE_CHAIN)?.text(),
        handle: bytes(RULE_HANDLE)?,
        expressions: bytes(RULE_EXPRESSIONS).unwrap_or_default(),
        user_data: bytes(RULE_USER_DATA).unwrap_or_default(),
    })
}

fn name_of(family: u8) -> &'static str {
    match family {
        FAMILY_V4 => "ip",
        FAMILY_V6 => "ip6",
        _ => "inet",
    }
}

fn number_of(family: &str) -> u8 {
    match family {
        "ip" => FAMILY_V4,
        "ip6" => FAMILY_V6,
        _ => FAMILY_INET,
    }
}

const FAMILY_INET: u8 = 1;
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 10;
// linux/netfilter/nf_tables.h: NFTA_CHAIN_*, NFTA_HOOK_*, NFTA_RULE_*, NFTA_EXPR_*, …
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USER_DATA: u16 = 7;
const EXPRESSION_NAME: u16 = 1;
const EXPRESSION_DATA: u16 = 2;
const IMMEDIATE_DATA: u16 = 2;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
/// `NFTNL_UDATA_RULE_COMMENT`: what nft(8) calls a comment in a rule's user data.
const RULE_COMMENT: u8 = 0;
