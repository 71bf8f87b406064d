//! The pod network on a real kernel. Needs root and the drivers below; says SKIP without them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod addresses;
mod egress;
mod firewalls;
mod host_ports;
mod lab;
mod machines;
mod needs;
mod neighbours;
mod reach;
mod traces;

use libtest_mimic::{Arguments, Trial};

fn main() -> std::process::ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1); // the machine is small, and the order of lines stays
    let missing = needs::missing();
    let tests = [
        addresses::tests(),
        reach::tests(),
        host_ports::tests(),
        traces::tests(),
        neighbours::tests(),
        egress::tests(),
        machines::tests(),
        firewalls::tests(),
    ]
    .concat();
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
