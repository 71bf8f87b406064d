//! Containers on a real kernel: what becomes of a plan. Needs root and a static busybox; says SKIP
//! without them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cgroups;
mod confinement;
mod endings;
mod races;
mod room;

use libtest_mimic::{Arguments, Trial};

fn main() -> std::process::ExitCode {
    races::exchange_if_asked();
    let mut arguments = Arguments::from_args();
    // A process with threads makes no containers; with one, the tests run in the first.
    arguments.test_threads = Some(1);
    let missing = room::missing();
    let tests = [endings::TESTS, confinement::TESTS, cgroups::TESTS, races::TESTS].concat();
    let trials = tests.into_iter().map(|(name, test)| {
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        match &missing {
            Some(need) => trial.with_kind(format!("needs {need}")).with_ignored_flag(true),
            None => trial,
        }
    });
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

/// A sentence and what makes it true.
type Test = (&'static str, fn());
