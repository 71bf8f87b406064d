//! Carries the rules to the kernel: transactions of nfnetlink.

use nix::errno::Errno;

use super::expression::{DATA_VALUE, Expression};
use super::rules::{Chain, Element, PortMap, Version};
use crate::network::netlink::{Batch, Encoder, NetlinkError, NetlinkSocket};

/// Changes that take effect together or not at all.
#[derive(Debug)]
pub(super) struct Transaction {
    batch: Batch,
    table: String,
}

impl Transaction {
    /// Starts a transaction on the tables of this name.
    pub(super) fn on(table: &str) -> Self {
        let mut batch = Batch::default();
        batch.message(BATCH_BEGIN, 0, "begin a firewall transaction", batch_header);
        Self { batch, table: table.to_owned() }
    }

    /// Makes the kernel carry it out.
    pub(super) fn commit(mut self, socket: &mut NetlinkSocket) -> Result<(), NetlinkError> {
        self.batch.message(BATCH_END, 0, "end a firewall transaction", batch_header);
        socket.execute(&self.batch)
    }

    /// An empty table.
    pub(super) fn add_table(&mut self, version: Version) {
        let table = self.table.clone();
        let doing = format!("create the firewall table {table}");
        let request = Request { kind: libc::NFT_MSG_NEWTABLE, flags: libc::NLM_F_CREATE, doing };
        self.request(version, request, |message| {
            message.text(TABLE, &table);
            message.network_number(TABLE_FLAGS, 0);
        });
    }

    /// Removes the table with all that is in it.
    pub(super) fn remove_table(&mut self, version: Version) {
        let table = self.table.clone();
        let doing = format!("remove the firewall table {table}");
        let request = Request { kind: libc::NFT_MSG_DELTABLE, flags: 0, doing };
        self.request(version, request, |message| {
            message.text(TABLE, &table);
        });
    }

    /// An empty map. `id` tells the maps of one transaction apart.
    pub(super) fn add_map(&mut self, version: Version, map: PortMap, id: u32) {
        let table = self.table.clone();
        let doing = format!("create the map {} in the firewall table {table}", map.name);
        let request = Request { kind: libc::NFT_MSG_NEWSET, flags: libc::NLM_F_CREATE, doing };
        self.request(version, request, |message| {
            message.text(TABLE, &table);
            message.text(SET_NAME, map.name);
            let map_flag = u32::try_from(libc::NFT_SET_MAP).expect("it is 8");
            for (kind, value) in [
                (SET_FLAGS, map_flag),
                (SET_KEY_TYPE, map.key_type),
                (SET_KEY_LENGTH, map.key_length),
                (SET_DATA_TYPE, map.value_type),
                (SET_DATA_LENGTH, map.value_length),
                (SET_ID, id),
            ] {
                message.network_number(kind, value);
            }
        });
    }

    /// A chain without its rules.
    pub(super) fn add_chain(&mut self, version: Version, chain: &Chain) {
        let table = self.table.clone();
        let doing = format!("create the chain {} in the firewall table {table}", chain.name);
        let request = Request { kind: libc::NFT_MSG_NEWCHAIN, flags: libc::NLM_F_CREATE, doing };
        self.request(version, request, |message| {
            message.text(TABLE, &table);
            message.text(CHAIN_NAME, chain.name);
            let Some(hook) = chain.hook else { return };
            message.nested(CHAIN_HOOK, |place| {
                place.attribute(HOOK_NUMBER, &hook.number.to_be_bytes());
                place.attribute(HOOK_PRIORITY, &hook.priority.to_be_bytes());
            });
            message.attribute(CHAIN_POLICY, &libc::NF_ACCEPT.to_be_bytes());
            message.text(CHAIN_TYPE, hook.kind);
        });
    }

    /// A chain's rules, in order.
    pub(super) fn add_rules(&mut self, version: Version, chain: &Chain) {
        for rule in &chain.rules {
            let table = self.table.clone();
            let request = Request {
                kind: libc::NFT_MSG_NEWRULE,
                flags: libc::NLM_F_CREATE | libc::NLM_F_APPEND,
                doing: format!("add a rule to {} in the firewall table {table}", chain.name),
            };
            self.request(version, request, |message| {
                message.text(TABLE, &table);
                message.text(RULE_CHAIN, chain.name);
                encode_rule(message, rule);
            });
        }
    }

    /// A published port.
    pub(super) fn add_element(&mut self, version: Version, element: &Element) {
        let table = self.table.clone();
        let (kind, flags) = (libc::NFT_MSG_NEWSETELEM, libc::NLM_F_CREATE);
        let request = Request { kind, flags, doing: "publish a host port".to_owned() };
        self.request(version, request, |message| {
            encode_element(message, &table, element, |one| {
                one.nested(ELEMENT_DATA, |data| data.attribute(DATA_VALUE, &element.value));
            });
        });
    }

    /// A port that is no longer published.
    pub(super) fn remove_element(&mut self, version: Version, element: &Element) {
        let table = self.table.clone();
        let (kind, flags) = (libc::NFT_MSG_DELSETELEM, 0);
        let request = Request { kind, flags, doing: "withdraw a host port".to_owned() };
        self.request(version, request, |message| {
            encode_element(message, &table, element, |_| {});
        });
    }

    fn request(&mut self, version: Version, request: Request, body: impl FnOnce(&mut Encoder)) {
        let Request { kind, flags, doing } = request;
        self.batch.message(message_type(kind), flags | libc::NLM_F_ACK, doing, |message| {
            message.raw(&family_header(version));
            body(message);
        });
    }
}

/// What a message asks for, `NFT_MSG_*` and `NLM_F_*`, and the words for its refusal.
struct Request {
    kind: i32,
    flags: i32,
    doing: String,
}

fn encode_rule(message: &mut Encoder, rule: &[Expression]) {
    message.nested(RULE_EXPRESSIONS, |list| {
        for expression in rule {
            expression.encode(list);
        }
    });
}

/// One element of a map: its key, and what `rest` adds.
fn encode_element(
    message: &mut Encoder,
    table: &str,
    element: &Element,
    rest: impl FnOnce(&mut Encoder),
) {
    message.text(TABLE, table);
    message.text(ELEMENTS_SET, element.map);
    message.nested(ELEMENTS, |list| {
        list.nested(1, |one| {
            one.nested(ELEMENT_KEY, |key| key.attribute(DATA_VALUE, &element.key));
            rest(one);
        });
    });
}

/// Whether the table is there.
pub(super) fn table_exists(
    socket: &mut NetlinkSocket,
    version: Version,
    table: &str,
) -> Result<bool, NetlinkError> {
    let mut batch = Batch::default();
    let kind = message_type(libc::NFT_MSG_GETTABLE);
    let doing = format!("look for the firewall table {table}");
    batch.message(kind, libc::NLM_F_ACK, doing, |message| {
        message.raw(&family_header(version));
        message.text(TABLE, table);
    });
    match socket.execute(&batch) {
        Ok(()) => Ok(true),
        Err(error) if error.is(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// `nlmsg_type` of an nftables message: the subsystem and the message.
pub(super) fn message_type(kind: i32) -> u16 {
    let kind = u16::try_from(kind).expect("nftables has a few dozen messages");
    NFTABLES << 8 | kind
}

/// `struct nfgenmsg`: family, version 0, resource 0.
fn family_header(version: Version) -> [u8; 4] {
    [version.family(), 0, 0, 0]
}

/// `struct nfgenmsg` around a transaction: the resource is the subsystem, in network byte order.
fn batch_header(message: &mut Encoder) {
    message.raw(&[0, 0]);
    message.raw(&NFTABLES.to_be_bytes());
}

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const NFTABLES: u16 = 10; // NFNL_SUBSYS_NFTABLES
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const TABLE: u16 = 1; // the table's name, in the messages about tables and all that is in them
const TABLE_FLAGS: u16 = 2;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_POLICY: u16 = 5;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;
const SET_NAME: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LENGTH: u16 = 5;
const SET_DATA_TYPE: u16 = 6;
const SET_DATA_LENGTH: u16 = 7;
const SET_ID: u16 = 10;
const ELEMENTS_SET: u16 = 2;
const ELEMENTS: u16 = 3;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
