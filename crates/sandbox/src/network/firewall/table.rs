//! Carries the rules to the kernel: transactions of nfnetlink.

use nix::errno::Errno;

use super::expression::{DATA_VALUE, Expression};
use super::ruleset::{Chain, Element, Family, Ruleset, Set};
use crate::network::netlink::{Batch, Encoder, NetlinkError, NetlinkSocket};

/// Changes that take effect together or not at all.
#[derive(Debug)]
pub(super) struct Transaction {
    batch: Batch,
    table: String,
    sets: u32,
}

impl Transaction {
    /// Starts a transaction on the tables of this name.
    pub(super) fn on(table: &str) -> Self {
        let mut batch = Batch::default();
        batch.message(BATCH_BEGIN, 0, "begin a firewall transaction", batch_header);
        Self { batch, table: table.to_owned(), sets: 0 }
    }

    /// Makes the kernel carry it out.
    pub(super) fn commit(mut self, socket: &mut NetlinkSocket) -> Result<(), NetlinkError> {
        self.batch.message(BATCH_END, 0, "end a firewall transaction", batch_header);
        socket.execute(&self.batch)
    }

    /// A table with its sets, which are empty, and its chains.
    pub(super) fn add_table(&mut self, ruleset: &Ruleset) {
        let Ruleset { family, sets, chains } = ruleset;
        let doing = format!("create the firewall table {} {}", family.name(), self.table);
        let request = Request { kind: libc::NFT_MSG_NEWTABLE, flags: libc::NLM_F_CREATE, doing };
        self.request(*family, request, |message| message.network_number(TABLE_FLAGS, 0));
        for set in sets {
            self.add_set(*family, *set);
        }
        for chain in chains {
            self.add_chain(*family, chain);
        }
        for chain in chains {
            self.add_rules(*family, chain);
        }
    }

    /// Removes the table with all that is in it.
    pub(super) fn remove_table(&mut self, family: Family) {
        let doing = format!("remove the firewall table {} {}", family.name(), self.table);
        let request = Request { kind: libc::NFT_MSG_DELTABLE, flags: 0, doing };
        self.request(family, request, |_| {});
    }

    fn add_set(&mut self, family: Family, set: Set) {
        self.sets += 1; // tells the sets of one transaction apart
        let id = self.sets;
        let doing = self.doing("create the set", set.name);
        let request = Request { kind: libc::NFT_MSG_NEWSET, flags: libc::NLM_F_CREATE, doing };
        self.request(family, request, |message| {
            message.text(SET_NAME, set.name);
            let map_flag = u32::try_from(libc::NFT_SET_MAP).expect("it is 8");
            message.network_number(SET_FLAGS, set.value.map_or(0, |_| map_flag));
            message.network_number(SET_KEY_TYPE, set.key.kind);
            message.network_number(SET_KEY_LENGTH, set.key.length);
            if let Some(value) = set.value {
                message.network_number(SET_DATA_TYPE, value.kind);
                message.network_number(SET_DATA_LENGTH, value.length);
            }
            message.network_number(SET_ID, id);
        });
    }

    /// A chain without its rules.
    fn add_chain(&mut self, family: Family, chain: &Chain) {
        let doing = self.doing("create the chain", chain.name);
        let request = Request { kind: libc::NFT_MSG_NEWCHAIN, flags: libc::NLM_F_CREATE, doing };
        self.request(family, request, |message| {
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
    fn add_rules(&mut self, family: Family, chain: &Chain) {
        for rule in &chain.rules {
            let request = Request {
                kind: libc::NFT_MSG_NEWRULE,
                flags: libc::NLM_F_CREATE | libc::NLM_F_APPEND,
                doing: self.doing("add a rule to", chain.name),
            };
            self.request(family, request, |message| {
                message.text(RULE_CHAIN, chain.name);
                encode_rule(message, rule);
            });
        }
    }

    /// A new element of a set or map.
    pub(super) fn add_element(&mut self, element: &Element) {
        let (kind, flags) = (libc::NFT_MSG_NEWSETELEM, libc::NLM_F_CREATE);
        let doing = self.doing("add an element to", element.set);
        self.request(element.family, Request { kind, flags, doing }, |message| {
            encode_element(message, element, |one| {
                if let Some(value) = &element.value {
                    one.nested(ELEMENT_DATA, |data| data.attribute(DATA_VALUE, value));
                }
            });
        });
    }

    /// Removes an element of a set or map.
    pub(super) fn remove_element(&mut self, element: &Element) {
        let (kind, flags) = (libc::NFT_MSG_DELSETELEM, 0);
        let doing = self.doing("remove an element from", element.set);
        self.request(element.family, Request { kind, flags, doing }, |message| {
            encode_element(message, element, |_| {});
        });
    }

    /// A rule at the head of a chain in another's table, with data that [`Self::remove_foreign_rule`]
    /// can find it by.
    pub(super) fn insert_foreign_rule(
        &mut self,
        family: u8,
        chain: &str,
        rule: &[Expression],
        user_data: &[u8],
    ) {
        let doing = self.doing("add a rule to", chain);
        let request = Request { kind: libc::NFT_MSG_NEWRULE, flags: libc::NLM_F_CREATE, doing };
        self.request_in(family, request, |message| {
            message.text(RULE_CHAIN, chain);
            encode_rule(message, rule);
            message.attribute(RULE_USER_DATA, user_data);
        });
    }

    /// Removes a rule of another's table by its handle.
    pub(super) fn remove_foreign_rule(&mut self, family: u8, chain: &str, handle: &[u8]) {
        let doing = self.doing("remove a rule from", chain);
        let request = Request { kind: libc::NFT_MSG_DELRULE, flags: 0, doing };
        self.request_in(family, request, |message| {
            message.text(RULE_CHAIN, chain);
            message.attribute(RULE_HANDLE, handle);
        });
    }

    fn doing(&self, verb: &str, name: &str) -> String {
        format!("{verb} {name} in the firewall table {}", self.table)
    }

    /// A request about the table of this family. Only what goes wrong is answered: a transaction
    /// may have more requests than a socket has room for answers.
    fn request(&mut self, family: Family, request: Request, body: impl FnOnce(&mut Encoder)) {
        self.request_in(family.number(), request, body);
    }

    fn request_in(&mut self, family: u8, request: Request, body: impl FnOnce(&mut Encoder)) {
        let Request { kind, flags, doing } = request;
        let table = &self.table;
        self.batch.message(message_type(kind), flags, doing, |message| {
            message.raw(&[family, 0, 0, 0]); // struct nfgenmsg: version 0, resource 0
            message.text(TABLE, table);
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
fn encode_element(message: &mut Encoder, element: &Element, rest: impl FnOnce(&mut Encoder)) {
    message.text(ELEMENTS_SET, element.set);
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
    family: Family,
    table: &str,
) -> Result<bool, NetlinkError> {
    let mut batch = Batch::default();
    let kind = message_type(libc::NFT_MSG_GETTABLE);
    let doing = format!("look for the firewall table {table}");
    batch.message(kind, libc::NLM_F_ACK, doing, |message| {
        message.raw(&[family.number(), 0, 0, 0]);
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
const RULE_HANDLE: u16 = 3;
const RULE_EXPRESSIONS: u16 = 4;
const RULE_USER_DATA: u16 = 7;
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
