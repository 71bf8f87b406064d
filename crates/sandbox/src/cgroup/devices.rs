//! Which devices a container may use: any may be made, few may be opened (runc's and docker's list).

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;

use super::Directory;
use crate::sys::cgroup_devices::{self, Instruction};

/// Character devices that may be read and written, by major and minor number; no minor number means
/// all of them: null, zero, full, random, urandom, tty, console, ptmx and the pseudo-terminals.
const USABLE: [(u32, Option<u32>); 9] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(1)),
    (5, Some(2)),
    (136, None),
];

/// The lines for `devices.allow` of cgroup v1.
pub(super) fn allowed() -> impl Iterator<Item = String> {
    let made = ["c *:* m", "b *:* m"].into_iter().map(str::to_owned);
    made.chain(USABLE.into_iter().map(|(major, minor)| {
        let minor = minor.map_or_else(|| "*".to_owned(), |minor| minor.to_string());
        format!("c {major}:{minor} rwm")
    }))
}

/// Whether the kernel holds a v1 cgroup to a list: without one, its file has a line for all.
pub(super) fn is_confined(directories: &[Directory]) -> bool {
    let has_devices = |one: &&Directory| one.controllers.iter().any(|name| name == "devices");
    let list = directories.iter().find(has_devices).map(|one| one.path.join("devices.list"));
    let list = list.and_then(|path| fs::read_to_string(path).ok());
    list.is_some_and(|list| !list.lines().any(|line| line.starts_with('a')))
}

/// Whether the kernel takes device filters from this process.
pub(super) fn are_filters_possible() -> io::Result<()> {
    cgroup_devices::load(&program()).map(drop)
}

/// The same as a program, for a cgroup v2 directory.
pub(super) fn confine(cgroup: BorrowedFd<'_>) -> io::Result<()> {
    cgroup_devices::attach(cgroup, &program())
}

// Instruction codes: linux/bpf_common.h, linux/bpf.h.
const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const MOVE: u8 = 0xb7; // BPF_ALU64 | BPF_MOV | BPF_K
const COPY: u8 = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
const AND: u8 = 0x57; // BPF_ALU64 | BPF_AND | BPF_K
const SHIFT_RIGHT: u8 = 0x77; // BPF_ALU64 | BPF_RSH | BPF_K
const JUMP_IF_EQUAL: u8 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const JUMP_IF_NOT_EQUAL: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const EXIT: u8 = 0x95;

const RESULT: u8 = 0;
const CONTEXT: u8 = 1; // struct bpf_cgroup_dev_ctx: access and kind, major, minor
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

const MAKE: i32 = 1; // BPF_DEVCG_ACC_MKNOD
const CHARACTER: i32 = 2; // BPF_DEVCG_DEV_CHAR

fn program() -> Vec<Instruction> {
    let mut program = vec![
        step(LOAD_WORD, KIND | CONTEXT << 4, 0, 0),
        step(COPY, ACCESS | KIND << 4, 0, 0),
        step(AND, KIND, 0, 0xffff),
        step(SHIFT_RIGHT, ACCESS, 0, 16),
        step(LOAD_WORD, MAJOR | CONTEXT << 4, 4, 0),
        step(LOAD_WORD, MINOR | CONTEXT << 4, 8, 0),
    ];
    let allow = [step(MOVE, RESULT, 0, 1), step(EXIT, 0, 0, 0)];
    let deny = [step(MOVE, RESULT, 0, 0), step(EXIT, 0, 0, 0)];
    program.push(step(JUMP_IF_NOT_EQUAL, ACCESS, 2, MAKE));
    program.extend(allow);
    program.push(step(JUMP_IF_EQUAL, KIND, 2, CHARACTER));
    program.extend(deny);
    for (major, minor) in USABLE {
        let tests = 1 + i16::from(minor.is_some());
        program.push(step(JUMP_IF_NOT_EQUAL, MAJOR, tests + 1, major.cast_signed()));
        if let Some(minor) = minor {
            program.push(step(JUMP_IF_NOT_EQUAL, MINOR, 2, minor.cast_signed()));
        }
        program.extend(allow);
    }
    program.extend(deny);
    program
}

fn step(code: u8, registers: u8, offset: i16, immediate: i32) -> Instruction {
    Instruction { code, registers, offset, immediate }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the program answers, by a machine that knows just its instructions.
    fn answer(kind: i32, access: i32, device: (i64, i64)) -> i64 {
        let context = [i64::from(access << 16 | kind), device.0, device.1];
        let (mut registers, mut at) = ([0_i64; 16], 0_usize);
        let program = program();
        loop {
            let one = program[at];
            let (to, from) = (usize::from(one.registers & 15), usize::from(one.registers >> 4));
            let immediate = i64::from(one.immediate);
            let jump = usize::try_from(one.offset).unwrap();
            at += 1;
            match one.code {
                LOAD_WORD => registers[to] = context[jump / 4],
                COPY => registers[to] = registers[from],
                MOVE => registers[to] = immediate,
                AND => registers[to] &= immediate,
                SHIFT_RIGHT => registers[to] >>= immediate,
                JUMP_IF_EQUAL if registers[to] == immediate => at += jump,
                JUMP_IF_NOT_EQUAL if registers[to] != immediate => at += jump,
                JUMP_IF_EQUAL | JUMP_IF_NOT_EQUAL => {}
                EXIT => return registers[0],
                code => panic!("unknown code {code:#x}"),
            }
        }
    }

    #[test]
    fn any_device_may_be_made_and_few_may_be_opened() {
        let (block, read, write) = (1, 2, 4);
        assert_eq!(answer(block, MAKE, (8, 0)), 1, "mknod of a disk");
        assert_eq!(answer(block, read, (8, 0)), 0, "reading a disk");
        assert_eq!(answer(CHARACTER, MAKE, (1, 1)), 1, "mknod of /dev/mem");
        assert_eq!(answer(CHARACTER, read | write, (1, 1)), 0, "opening /dev/mem");
        assert_eq!(answer(CHARACTER, read | write, (1, 3)), 1, "/dev/null");
        assert_eq!(answer(CHARACTER, read | write, (5, 2)), 1, "/dev/ptmx");
        assert_eq!(answer(CHARACTER, read | write, (136, 77)), 1, "a pseudo-terminal");
        assert_eq!(answer(block, read, (1, 3)), 0, "a disk with the numbers of /dev/null");
    }

    #[test]
    fn v1_gets_the_same_list() {
        let lines: Vec<String> = allowed().collect();
        assert_eq!(lines[0..3], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(lines.last().map(String::as_str), Some("c 136:* rwm"));
    }
}
