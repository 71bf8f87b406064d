//! AppArmor (apparmor(7)): which profile a process gets with its program.
//!
//! A profile is a rule set that root has loaded into the kernel. A process asks for one by its name, and the kernel
//! confines it at its next execve(2). Minipod brings one of its own, [`DEFAULT_PROFILE`], which
//! `apparmor_parser(8)` compiles and loads once until the machine reboots.

use std::fs;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use rustix::io::Errno;

use crate::stage::report::StageError;

/// The name of the profile that `RuntimeDefault` means.
pub const DEFAULT_PROFILE: &str = "minipod-default";

/// Its text.
const DEFAULT_POLICY: &str = include_str!("app_armor.profile");

/// What this machine's kernel can enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The kernel has no AppArmor, or it is off.
    Off,
    /// Profiles are enforced, and [`DEFAULT_PROFILE`] is not loaded.
    WithoutDefault,
    /// Profiles are enforced, and [`DEFAULT_PROFILE`] is loaded.
    WithDefault,
}

/// What this machine's kernel can enforce now.
pub fn support() -> Support {
    let enabled = fs::read("/sys/module/apparmor/parameters/enabled").unwrap_or_default();
    if !enabled.starts_with(b"Y") {
        return Support::Off;
    }
    let loaded = fs::read_to_string("/sys/kernel/security/apparmor/profiles").unwrap_or_default();
    let mut names = loaded.lines().filter_map(|line| line.split(" (").next());
    if names.any(|name| name == DEFAULT_PROFILE) {
        Support::WithDefault
    } else {
        Support::WithoutDefault
    }
}

/// Loads [`DEFAULT_PROFILE`] if the kernel enforces profiles and lacks it.
///
/// # Errors
///
/// When `apparmor_parser(8)` cannot be run or fails, with what it says. Then the kernel has the profile no more than before.
pub fn load_default() -> io::Result<()> {
    if support() != Support::WithoutDefault {
        return Ok(());
    }
    // Quiet, replacing one that somebody else loads meanwhile, and without a cache on the disk.
    let mut parser = Command::new("apparmor_parser")
        .args(["--quiet", "--replace", "--skip-cache"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = parser.stdin.take() {
        stdin.write_all(DEFAULT_POLICY.as_bytes())?;
    }
    let done = parser.wait_with_output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&done.stderr).trim().to_owned()))
}

/// Has the kernel confine this process, or the child that it makes next, at its next execve(2). The machine's `/proc`
/// must still be there: a container's own could be anything.
pub(crate) fn confine_at_exec(profile: Option<&str>) -> Result<(), StageError> {
    let Some(profile) = profile else {
        return Ok(());
    };
    let request = format!("exec {profile}");
    // The first has been there since Linux 5.1; the second belongs to the first security module that takes it.
    let files = ["/proc/thread-self/attr/apparmor/exec", "/proc/thread-self/attr/exec"];
    let written = files.iter().find_map(|file| match fs::write(file, &request) {
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && !fs::exists(file).unwrap_or(true) =>
        {
            None
        }
        result => Some(result),
    });
    written.unwrap_or(Err(Errno::OPNOTSUPP.into())).map_err(|error| {
        let doing = match Errno::from_io_error(&error) {
            Some(Errno::NOENT) => {
                format!("the AppArmor profile \"{profile}\" is not loaded (apparmor_parser --replace FILE loads it)")
            }
            _ => format!("cannot use the AppArmor profile \"{profile}\""),
        };
        StageError::prepare(doing, error)
    })
}
