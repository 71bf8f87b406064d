//! Images compared with what others make of the same layers: a simple model that applies them in
//! order, and umoci. What is compared is what a container sees: the layers of the store, stacked
//! by overlayfs. Everything is in temporary directories; the mounts have no place in the tree.

#[path = "../component/archive.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod archive;
#[path = "../component/image.rs"]
#[expect(dead_code, reason = "the other tests need more of it")]
mod image;
mod item;
mod known_stacks;
mod listing;
mod model;
mod overlay;
mod random_stacks;
mod side_by_side;
mod stacks;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use test_support::needs::Need;

/// A test: its name as a sentence, and what it does.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let alone = random_stacks::TESTS.iter().chain(known_stacks::TESTS);
    let alone = alone.map(|(name, test)| trial(name, *test, &[Need::Root]));
    let beside = random_stacks::TESTS_WITH_UMOCI.iter().chain(known_stacks::TESTS_WITH_UMOCI);
    let beside = beside.map(|(name, test)| trial(name, *test, &[Need::Root, Need::Umoci]));
    libtest_mimic::run(&arguments, alone.chain(beside).collect()).exit_code()
}

fn trial(name: &'static str, test: fn(), needs: &[Need]) -> Trial {
    let missing: Vec<&str> =
        needs.iter().filter(|need| need.is_missing()).map(|need| need.name()).collect();
    let is_required = needs.iter().any(|need| need.is_missing() && need.is_required());
    let kind =
        if missing.is_empty() { String::new() } else { format!("needs {}", missing.join(" ")) };
    Trial::test(name, move || {
        test();
        Ok(())
    })
    .with_kind(kind)
    .with_ignored_flag(!missing.is_empty() && !is_required)
}
