//! Rules become classic BPF.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::condition::{self, Condition};

/// One instruction of a filter (`struct sock_filter`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How far to jump when true.
    pub jt: u8,
    /// How far to jump when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// A filter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its instructions.
    pub instructions: Vec<Instruction>,
}

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// It is made.
    Allow,
    /// It fails with that error number.
    Errno(u32),
    /// It is made, and the audit log tells.
    Log,
    /// The process gets SIGSYS.
    Trap,
    /// A tracer is told, with that number.
    Trace(u16),
    /// The thread is killed.
    KillThread,
    /// The process is killed.
    KillProcess,
}

/// A rule for one system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Always the same.
    Always(Action),
    /// Allowed when none of the mask's bits is set in the low half of an argument.
    AllowUnless { argument: u32, mask: u32 },
    /// Allowed when the low half of the argument is one of these.
    AllowValues { argument: u32, values: Vec<u32> },
    /// Allowed unless the low half of the argument is one of these.
    DenyValues { argument: u32, values: Vec<u32> },
    /// The first case whose conditions all hold decides.
    Cases { cases: Vec<Case>, otherwise: Action },
}

/// Conditions, and what happens when all of them hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: Action,
}

/// The rules of one architecture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// `AUDIT_ARCH_…` (audit.h).
    pub(super) architecture: u32,
    pub(super) rules: BTreeMap<u32, Rule>,
    /// What happens to calls without a rule.
    pub(super) otherwise: Action,
    /// What happens to calls above the largest number that has a rule: they are newer than the
    /// profile.
    pub(super) newer: Action,
}

impl Table {
    /// A call without a rule fails with `EPERM`; a newer one with `ENOSYS`, so that libraries fall
    /// back to what they know.
    pub(super) fn denying(architecture: u32, rules: BTreeMap<u32, Rule>) -> Self {
        let [otherwise, newer] =
            [libc::EPERM, libc::ENOSYS].map(|errno| Action::Errno(errno.unsigned_abs()));
        Self { architecture, rules, otherwise, newer }
    }
}

pub(super) const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
pub(super) const EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
pub(super) const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
pub(super) const ABOVE: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
pub(super) const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const ANY_BIT: u16 = 0x45; // BPF_JMP | BPF_JSET | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
pub(super) const RETURN: u16 = 0x06; // BPF_RET | BPF_K

const NUMBER: u32 = 0; // offsetof(struct seccomp_data, nr)
const ARCHITECTURE: u32 = 4; // offsetof(struct seccomp_data, arch)
pub(super) const ARGUMENTS: u32 = 16; // offsetof(struct seccomp_data, args)

const RET_ALLOW: u32 = 0x7fff_0000;
const RET_ERRNO: u32 = 0x0005_0000;
const RET_KILL: u32 = 0x8000_0000;

#[cfg(target_arch = "x86_64")]
pub(super) const OWN_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
pub(super) const OWN_ARCHITECTURE: u32 = 0xc000_00b7;

/// `AUDIT_ARCH_I386`.
pub(super) const I386: u32 = 0x4000_0003;

impl Program {
    /// Compiles the rules of each architecture; calls of any other kill the process.
    pub(super) fn compile(tables: &[Table]) -> Self {
        let bodies: Vec<Vec<Instruction>> = tables.iter().map(body).collect();
        let mut code = vec![statement(LOAD, ARCHITECTURE)];
        let mut passed = 0; // how far this architecture's part is behind the last test
        let distance = |at: usize, passed: usize| {
            let tests_left = 2 * (tables.len() - 1 - at);
            u32::try_from(tests_left + 1 + passed).unwrap_or(u32::MAX)
        };
        for (at, (table, body)) in tables.iter().zip(&bodies).enumerate() {
            code.push(jump(EQUAL, table.architecture, 0, 1));
            code.push(statement(JUMP, distance(at, passed)));
            passed += body.len();
        }
        code.push(statement(RETURN, RET_KILL));
        code.extend(bodies.into_iter().flatten());
        Self { instructions: code }
    }
}

fn body(table: &Table) -> Vec<Instruction> {
    let mut code = vec![statement(LOAD, NUMBER)];
    code.extend(tree(&ranges(table)));
    code
}

impl Action {
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Allow => RET_ALLOW,
            Self::Errno(errno) => RET_ERRNO | errno & 0xffff,
            Self::Log => 0x7ffc_0000,
            Self::Trap => 0x0003_0000,
            Self::Trace(number) => 0x7ff0_0000 | u32::from(number),
            Self::KillThread => 0,
            Self::KillProcess => RET_KILL,
        }
    }
}

pub(super) fn statement(code: u16, k: u32) -> Instruction {
    Instruction { code, jt: 0, jf: 0, k }
}

pub(super) fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
    Instruction { code, jt, jf, k }
}

/// Numbers from this one on, up to the next range, share a rule.
type Range = (u32, Rule);

fn ranges(table: &Table) -> Vec<Range> {
    let otherwise = Rule::Always(table.otherwise);
    let mut ranges: Vec<Range> = vec![(0, otherwise.clone())];
    let mut push = |from: u32, rule: Rule| {
        if ranges.last().is_some_and(|last| last.0 == from) {
            ranges.pop();
        }
        if ranges.last().is_none_or(|last| last.1 != rule) {
            ranges.push((from, rule));
        }
    };
    let mut next = 0;
    for (number, rule) in &table.rules {
        if *number != next {
            push(next, otherwise.clone());
        }
        push(*number, rule.clone());
        next = number + 1;
    }
    push(next, Rule::Always(table.newer));
    ranges
}

/// A search tree over the ranges: each inner node asks "at least the middle one?".
fn tree(ranges: &[Range]) -> Vec<Instruction> {
    if let [(_, rule)] = ranges {
        return leaf(rule);
    }
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let below = tree(below);
    let above_code = tree(above);
    let mut code = Vec::with_capacity(below.len() + above_code.len() + 2);
    if let Ok(distance) = u8::try_from(below.len()) {
        code.push(jump(AT_LEAST, above[0].0, distance, 0));
    } else {
        // Conditional jumps reach 255 instructions, unconditional ones any.
        let distance = u32::try_from(below.len()).unwrap_or(u32::MAX);
        code.push(jump(AT_LEAST, above[0].0, 0, 1));
        code.push(statement(JUMP, distance));
    }
    code.extend(below);
    code.extend(above_code);
    code
}

fn leaf(rule: &Rule) -> Vec<Instruction> {
    let eperm = Action::Errno(libc::EPERM.unsigned_abs()).code();
    let low_half = |argument: u32| statement(LOAD, ARGUMENTS + 8 * argument);
    match rule {
        Rule::Always(action) => vec![statement(RETURN, action.code())],
        Rule::AllowUnless { argument, mask } => vec![
            low_half(*argument),
            jump(ANY_BIT, *mask, 1, 0),
            statement(RETURN, RET_ALLOW),
            statement(RETURN, eperm),
        ],
        Rule::AllowValues { argument, values } => {
            one_of(low_half(*argument), values, RET_ALLOW, eperm)
        }
        Rule::DenyValues { argument, values } => {
            one_of(low_half(*argument), values, eperm, RET_ALLOW)
        }
        Rule::Cases { cases, otherwise } => {
            let mut code: Vec<Instruction> = cases
                .iter()
                .flat_map(|case| condition::case(&case.conditions, case.action))
                .collect();
            code.push(statement(RETURN, otherwise.code()));
            code
        }
    }
}

fn one_of(load: Instruction, values: &[u32], then: u32, otherwise: u32) -> Vec<Instruction> {
    let mut code = vec![load];
    for value in values {
        code.push(jump(EQUAL, *value, 0, 1));
        code.push(statement(RETURN, then));
    }
    code.push(statement(RETURN, otherwise));
    code
}

#[cfg(test)]
pub(super) mod interpreter {
    use super::{
        ABOVE, AND, ANY_BIT, ARCHITECTURE, ARGUMENTS, AT_LEAST, EQUAL, JUMP, LOAD, NUMBER,
        OWN_ARCHITECTURE, Program, RETURN,
    };

    /// What the filter answers to a call, as the kernel would compute it.
    pub(in super::super) fn verdict(program: &Program, number: u32, arguments: [u32; 3]) -> u32 {
        verdict_on(program, OWN_ARCHITECTURE, number, arguments)
    }

    pub(in super::super) fn verdict_on(
        program: &Program,
        architecture: u32,
        number: u32,
        arguments: [u32; 3],
    ) -> u32 {
        let (mut at, mut accumulator) = (0, 0);
        loop {
            let one = program.instructions[at];
            at += 1;
            let is_true = match one.code {
                EQUAL => accumulator == one.k,
                AT_LEAST => accumulator >= one.k,
                ABOVE => accumulator > one.k,
                AND => {
                    accumulator &= one.k;
                    continue;
                }
                ANY_BIT => accumulator & one.k != 0,
                LOAD => {
                    accumulator = match one.k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        offset if offset % 8 == 4 => 0, // the upper half
                        offset => arguments[((offset - ARGUMENTS) / 8) as usize],
                    };
                    continue;
                }
                JUMP => {
                    at += one.k as usize;
                    continue;
                }
                RETURN => return one.k,
                other => panic!("no such operation: {other:#x}"),
            };
            at += usize::from(if is_true { one.jt } else { one.jf });
        }
    }
}
