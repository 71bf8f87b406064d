//! The processes that minipod becomes on the way to a container, one file each.

pub(crate) mod asker;
pub(crate) mod become_process;
pub(crate) mod container_init;
pub(crate) mod file_visitor;
pub(crate) mod harmless;
mod landlock;
pub(crate) mod order;
pub(crate) mod pod_holder;
pub(crate) mod report;
mod unrunnable;
pub(crate) mod visitor;
