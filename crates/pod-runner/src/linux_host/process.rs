//! A child of the supervisor that becomes a program, from its start on.

use std::iter;
use std::os::fd::BorrowedFd;

use sandbox::{Child, Starting};

use super::inbox::Token;

/// How far it is.
#[derive(Debug)]
pub(super) enum Process {
    /// On its way to its program.
    Starting(Starting),
    /// Its program runs.
    Running(Child),
}

impl Process {
    /// The descriptors to wait for, with the token for its report or that for its end.
    pub(super) fn watched(
        &self,
        report: Token,
        exit: Token,
    ) -> impl Iterator<Item = (Token, BorrowedFd<'_>)> {
        let (token, first, second) = match self {
            Self::Starting(starting) => {
                let [first, second] = starting.watched();
                (report, first, Some(second))
            }
            Self::Running(child) => (exit, child.pidfd(), None),
        };
        iter::once(first).chain(second).map(move |file| (token, file))
    }

    /// The process.
    pub(super) fn child(&self) -> &Child {
        match self {
            Self::Starting(starting) => starting.child(),
            Self::Running(child) => child,
        }
    }
}
