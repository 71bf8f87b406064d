//! What the tests need of the machine, decided before the first one runs.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::Uid;

use crate::lab::Machine;

/// The first need that this machine does not meet.
///
/// # Panics
///
/// If `MINIPOD_REQUIRE` lists the need: then its absence is a failure and not a reason to skip.
pub(crate) fn missing() -> Option<String> {
    let need = check()?;
    let required = std::env::var("MINIPOD_REQUIRE").unwrap_or_default();
    let name = need.split(':').next().unwrap_or_default();
    assert!(!required.split(',').any(|word| word == name), "MINIPOD_REQUIRE: no {need}");
    Some(need)
}

fn check() -> Option<String> {
    if !Uid::effective().is_root() {
        return Some("root".to_owned());
    }
    let new_namespace = std::thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET));
    if let Err(errno) = new_namespace.join().expect("unshare does not panic") {
        return Some(format!("netns: {errno}"));
    }
    if Command::new("ip").arg("-V").output().is_err() {
        return Some("iproute2: no program ip".to_owned());
    }
    let machine = Machine::new();
    for (need, link) in
        [("bridge", "link add try0 type bridge"), ("veth", "link add try1 type veth")]
    {
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| machine.namespace.ip(link)))
            .is_err()
        {
            return Some(need.to_owned());
        }
    }
    None
}
