//! The program from outside. Each test says what it needs; what a machine lacks is seen as a skip
//! with its reason, unless `MINIPOD_REQUIRE` names it.

mod deletion;
mod errors;
mod images;
mod isolation;
mod kubia_init;
mod lifecycle;
mod watching;

use std::process::ExitCode;

use e2e_tests::needs::Need;
use libtest_mimic::{Arguments, Failed, Trial};

/// A test: its name as a sentence, and what it does.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let needs = [Need::Root, Need::Fixtures, Need::Lab];
    let groups: [&[Test]; 6] = [
        kubia_init::TESTS,
        watching::TESTS,
        lifecycle::TESTS,
        isolation::TESTS,
        deletion::TESTS,
        errors::TESTS,
    ];
    let trials = groups.into_iter().flatten().map(|(name, test)| trial(name, *test, &needs));
    let with_registry = [needs.as_slice(), &[Need::Registry]].concat();
    let pulls = images::TESTS.iter().map(|(name, test)| trial(name, *test, &with_registry));
    libtest_mimic::run(&arguments, trials.chain(pulls).collect()).exit_code()
}

fn trial(name: &'static str, test: fn(), needs: &[Need]) -> Trial {
    let missing: Vec<&str> =
        needs.iter().filter(|need| need.is_missing()).map(|need| need.name()).collect();
    let is_required = needs.iter().any(|need| need.is_missing() && need.is_required());
    let kind =
        if missing.is_empty() { String::new() } else { format!("needs {}", missing.join(" ")) };
    let is_missing = !missing.is_empty();
    Trial::test(name, move || {
        if is_missing {
            return Err(Failed::from("the machine is required to have what this test needs"));
        }
        test();
        Ok(())
    })
    .with_kind(kind)
    .with_ignored_flag(is_missing && !is_required)
}
