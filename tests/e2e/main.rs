//! The program from outside. Each test says what it needs; what a machine lacks is seen as a skip
//! with its reason, unless `MINIPOD_REQUIRE` names it.

mod deletion;
mod disks;
mod entering;
mod errors;
mod gates;
mod hostile_images;
mod identity;
mod images;
mod isolation;
mod isolation_defaults;
mod kubia_init;
mod lifecycle;
mod lives;
mod logs;
mod manifests;
mod network;
mod probes;
mod propagation;
mod pulls;
mod resources;
mod sharing;
mod stories;
mod supervisor;
mod updates;
mod verdicts;
mod views;
mod volumes;
mod watching;

use std::process::ExitCode;

use e2e_tests::needs::{Need, trial};
use libtest_mimic::Arguments;

/// A test: its name as a sentence, and what it does.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let needs = [Need::Root, Need::Fixtures, Need::Lab];
    let groups: Vec<&[Test]> = vec![
        kubia_init::TESTS,
        watching::TESTS,
        lifecycle::TESTS,
        lives::TESTS,
        gates::TESTS,
        stories::TESTS,
        supervisor::TESTS,
        updates::TESTS,
        isolation::TESTS,
        resources::TESTS,
        sharing::TESTS,
        deletion::TESTS,
        errors::TESTS,
        entering::TESTS,
        probes::TESTS,
        volumes::TESTS,
        isolation_defaults::TESTS,
        views::TESTS,
        logs::TESTS,
        network::TESTS,
        manifests::TESTS,
        identity::TESTS,
        verdicts::TESTS,
        propagation::TESTS,
        hostile_images::TESTS,
        pulls::TESTS,
    ];
    let trials = groups.into_iter().flatten().map(|(name, test)| trial(name, *test, &needs));
    let with_registry = [needs.as_slice(), &[Need::Registry]].concat();
    let pulls = images::TESTS.iter().map(|(name, test)| trial(name, *test, &with_registry));
    let with_strace = [needs.as_slice(), &[Need::Strace]].concat();
    let failing = disks::TESTS.iter().map(|(name, test)| trial(name, *test, &with_strace));
    libtest_mimic::run(&arguments, trials.chain(pulls).chain(failing).collect()).exit_code()
}
