//! Kernel parameters, as sysctl(8) sets them.

use std::fs::OpenOptions;
use std::io::{self, Write};

use crate::plan::Sysctl;

/// Sets one in the namespaces of the caller.
pub(crate) fn set(sysctl: &Sysctl) -> io::Result<()> {
    let path = format!("/proc/sys/{}", sysctl.name.replace('.', "/"));
    OpenOptions::new().write(true).open(path)?.write_all(sysctl.value.as_bytes())
}
