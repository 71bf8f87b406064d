//! What a process of ours that reads hostile input cannot do even if the input took it over (landlock(7)).
//!
//! It comes on top of what the process has given up already, as far as the kernel has it: files since Linux 5.13, the
//! network since 6.7, signals and abstract sockets since 6.12.

use landlock::{
    ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};

use super::report::StageError;

/// What the process is left with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    /// The network; no file besides those that are open.
    Network,
    /// The network, and files to read.
    Lookup,
    /// The files below its root; no TCP.
    Files,
}

/// Takes everything else from this thread and its children, for good.
pub(super) fn restrict_to(needs: Needs) -> Result<(), StageError> {
    restrict(needs).map(drop).map_err(|error| {
        StageError::prepare("cannot restrict itself", std::io::Error::other(error))
    })
}

/// The same; whether the kernel enforces any of it.
fn restrict(needs: Needs) -> Result<bool, RulesetError> {
    let rules = Ruleset::default().scope(Scope::from_all(ABI::V6))?;
    let rules = match needs {
        Needs::Network => rules.handle_access(AccessFs::from_all(ABI::V5))?,
        Needs::Lookup => rules.handle_access(AccessFs::from_write(ABI::V5))?,
        Needs::Files => rules.handle_access(AccessNet::from_all(ABI::V4))?,
    };
    Ok(rules.create()?.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    /// Whether the kernel enforces it, and whether reading, writing and connecting work then.
    fn left_with(needs: Needs) -> (bool, [Option<ErrorKind>; 3]) {
        let directory = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, path) = (listener.local_addr().unwrap(), directory.path().join("file"));
        let restricted = thread::spawn(move || {
            let is_enforced = restrict(needs).unwrap();
            let failures = [
                File::open("/etc/passwd").err(),
                fs::write(path, "x").err(),
                TcpStream::connect(address).err(),
            ];
            (is_enforced, failures.map(|failure| failure.map(|error| error.kind())))
        });
        restricted.join().unwrap()
    }

    #[test]
    fn a_process_that_reads_hostile_input_is_left_with_what_it_needs() {
        let refused = Some(ErrorKind::PermissionDenied);
        for (needs, expected) in [
            (Needs::Network, [refused, refused, None]),
            (Needs::Lookup, [None, refused, None]),
            (Needs::Files, [None, None, refused]),
        ] {
            // A kernel without Landlock, or with an old one, enforces nothing of the network.
            let (is_enforced, found) = left_with(needs);
            let expected = if is_enforced { expected } else { [None; 3] };
            assert_eq!(found, expected, "{needs:?}");
        }
    }
}
