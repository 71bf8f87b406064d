//! What the default profile answers.

use super::super::program::interpreter::{verdict, verdict_on};
use super::*;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0x8000_0000;

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap()
}

#[test]
fn every_call_gets_the_verdict_of_its_rule() {
    let rules = rules(crate::capabilities::DEFAULT);
    let program = Program::compile(&[Table::denying(OWN_ARCHITECTURE, rules.clone())]);
    let last = *rules.keys().max().unwrap();
    for call in 0..last + 50 {
        let expected = match rules.get(&call) {
            Some(Rule::Always(Action::Allow)) => ALLOW,
            Some(Rule::Always(Action::Errno(errno))) => 0x0005_0000 | errno,
            Some(_) => continue,
            None if call > last => ENOSYS,
            None => EPERM,
        };
        assert_eq!(verdict(&program, call, [0; 3]), expected, "call {call}");
    }
}

#[test]
fn arguments_decide_where_the_profile_says_so() {
    let program = runtime_default(crate::capabilities::DEFAULT);
    let clone = number(libc::SYS_clone);
    let thread = 0x003d_0f00;
    assert_eq!(verdict(&program, clone, [thread, 0, 0]), ALLOW);
    assert_eq!(verdict(&program, clone, [0x0002_0000, 0, 0]), EPERM);
    assert_eq!(verdict(&program, number(libc::SYS_clone3), [0; 3]), ENOSYS);
    let personality = number(libc::SYS_personality);
    assert_eq!(verdict(&program, personality, [0, 0, 0]), ALLOW);
    assert_eq!(verdict(&program, personality, [0x0004_0000, 0, 0]), EPERM);
    let socket = number(libc::SYS_socket);
    assert_eq!(verdict(&program, socket, [2, 0, 0]), ALLOW);
    assert_eq!(verdict(&program, socket, [38, 0, 0]), EPERM);
    assert_eq!(verdict(&program, socket, [40, 0, 0]), EPERM);
}

#[test]
fn a_capability_opens_the_calls_that_need_it() {
    let mount = number(libc::SYS_mount);
    assert_eq!(verdict(&runtime_default(0), mount, [0; 3]), EPERM);
    assert_eq!(verdict(&runtime_default(1 << SYS_ADMIN), mount, [0; 3]), ALLOW);
    let unshare = number(libc::SYS_unshare);
    let default = runtime_default(crate::capabilities::DEFAULT);
    assert_eq!(verdict(&default, unshare, [0; 3]), EPERM);
    assert_eq!(verdict(&default, number(libc::SYS_chroot), [0; 3]), ALLOW);
}

#[test]
fn programs_of_32_bit_x86_get_the_same_verdicts_and_other_architectures_kill() {
    use syscalls::x86::Sysno;
    let program = runtime_default(crate::capabilities::DEFAULT);
    let on_i386 = |call: Sysno, argument| verdict_on(&program, I386, call as u32, [argument, 0, 0]);
    for (call, argument, expected) in [
        (Sysno::read, 0, ALLOW),
        (Sysno::clone, 0x003d_0f00, ALLOW),
        (Sysno::clone, 0x0002_0000, EPERM),
        (Sysno::clone3, 0, ENOSYS),
        (Sysno::socket, 2, ALLOW),
        (Sysno::socket, 38, EPERM),
        (Sysno::socketcall, 1, EPERM),
        (Sysno::keyctl, 0, EPERM),
        (Sysno::mount, 0, EPERM),
        (Sysno::personality, 0x0004_0000, EPERM),
    ] {
        assert_eq!(on_i386(call, argument), expected, "{call:?} {argument:#x}");
    }
    // x32 has the architecture of x86-64 and numbers of its own.
    assert_eq!(verdict(&program, 0x4000_0000 + number(libc::SYS_read), [0; 3]), ENOSYS);
    assert_eq!(verdict_on(&program, 0xc000_00b7, 63, [0; 3]), KILL);
}
