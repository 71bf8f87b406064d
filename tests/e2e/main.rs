//! The program from outside. Each test says what it needs; what a machine lacks is seen as a skip
//! with its reason, unless `MINIPOD_REQUIRE` names it.

mod app_armor;
mod claims;
mod completions;
mod deletion;
mod disks;
mod entering;
mod errors;
mod fail_fast;
mod files_and_limits;
mod full_disks;
mod gates;
mod hostile_containers;
mod hostile_images;
mod hostile_text;
mod identity;
mod image_formats;
mod images;
mod isolation;
mod isolation_defaults;
mod kill_sweep;
mod kubectl;
mod kubia_init;
mod lifecycle;
mod lives;
mod logs;
mod machines;
mod manifests;
mod network;
mod network_machines;
mod network_neighbours;
mod own_claims;
mod own_processes;
mod probes;
mod propagation;
mod pulls;
mod real_life;
mod registries;
mod resources;
mod run_endings;
mod services;
mod sharing;
mod stories;
mod supervisor;
mod terminals;
mod threats;
mod updates;
mod verbs;
mod verdicts;
mod views;
mod volumes;
mod watching;
mod words;

use std::process::ExitCode;

use e2e_tests::needs::{Need, trial};
use libtest_mimic::{Arguments, Trial};

/// A test: its name as a sentence, and what it does.
type Test = (&'static str, fn());

/// What every test needs.
const NEEDS: [Need; 3] = [Need::Root, Need::Fixtures, Need::Lab];

const GROUPS: &[&[Test]] = &[
    kubia_init::TESTS,
    watching::TESTS,
    lifecycle::TESTS,
    lives::TESTS,
    gates::TESTS,
    stories::TESTS,
    supervisor::TESTS,
    kill_sweep::TESTS,
    updates::TESTS,
    verbs::TESTS,
    isolation::TESTS,
    resources::TESTS,
    sharing::TESTS,
    threats::TESTS,
    deletion::TESTS,
    errors::TESTS,
    entering::TESTS,
    probes::TESTS,
    volumes::TESTS,
    isolation_defaults::TESTS,
    views::TESTS,
    terminals::TESTS,
    logs::TESTS,
    network::TESTS,
    network_machines::TESTS,
    network_neighbours::TESTS,
    manifests::TESTS,
    machines::TESTS,
    services::TESTS,
    identity::TESTS,
    verdicts::TESTS,
    propagation::TESTS,
    hostile_containers::TESTS,
    hostile_images::TESTS,
    own_processes::TESTS,
    hostile_text::TESTS,
    run_endings::TESTS,
    words::TESTS,
    pulls::TESTS,
    registries::TESTS,
    image_formats::TESTS,
    real_life::TESTS,
    files_and_limits::TESTS,
    full_disks::TESTS,
    claims::TESTS,
    own_claims::TESTS,
];

/// Those that need something more.
const NEEDING_MORE: &[(Need, &[Test])] = &[
    (Need::Registry, images::TESTS),
    (Need::Registry, fail_fast::TESTS),
    (Need::Strace, disks::TESTS),
    (Need::Strace, kill_sweep::STEPS),
    (Need::Python, threats::PYTHON),
    (Need::MappedMemory, identity::OWN_USERS),
    (Need::MappedMemory, sharing::OWN_USERS),
    (Need::MappedMemory, real_life::OWN_USERS),
    (Need::AppArmor, app_armor::TESTS),
    (Need::Strace, machines::FAILING),
    (Need::NoFirewall, machines::WITHOUT_FIREWALL),
    (Need::Kubectl, kubectl::TESTS),
    (Need::Bash, completions::BASH),
    (Need::Zsh, completions::ZSH),
    (Need::Fish, completions::FISH),
];

fn main() -> ExitCode {
    let plain = GROUPS.iter().copied().flatten().map(|(name, test)| trial(name, *test, &NEEDS));
    let mut trials: Vec<Trial> = plain.collect();
    for (need, tests) in NEEDING_MORE {
        let all = [NEEDS.as_slice(), &[*need]].concat();
        trials.extend(tests.iter().map(|(name, test)| trial(name, *test, &all)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
