//! A child of the supervisor that becomes a program, from its start on.

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
                (report, Some(first), Some(second))
            }
            // One that its tracer holds has nothing to tell before the next SIGCHLD.
            Self::Running(child) if child.is_held() => (exit, None, None),
            Self::Running(child) => (exit, Some(child.pidfd()), None),
        };
        first.into_iter().chain(second).map(move |file| (token, file))
    }

    /// Whether it has ended and its tracer has not let go of it.
    pub(super) fn is_held(&self) -> bool {
        matches!(self, Self::Running(child) if child.is_held())
    }

    /// The process, to be waited for.
    pub(super) fn into_child(self) -> Child {
        match self {
            Self::Starting(starting) => starting.into_child(),
            Self::Running(child) => child,
        }
    }

    /// The process.
    pub(super) fn child(&self) -> &Child {
        match self {
            Self::Starting(starting) => starting.child(),
            Self::Running(child) => child,
        }
    }
}
