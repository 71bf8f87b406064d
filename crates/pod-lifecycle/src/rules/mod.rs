//! One file per rule of Kubernetes; each function answers one question about the state.

pub(crate) mod admission;
pub(crate) mod backoff;
pub(crate) mod conditions;
pub(crate) mod phase;
pub(crate) mod probes;
pub(crate) mod restart;
pub(crate) mod termination;
