//! Plans as a person reads them.

use std::fmt::{self, Display, Formatter};

use super::{
    ContainerPlan, MountOptions, MountPlan, PidSharing, PodSandboxPlan, ProcessPlan, Propagation,
    SeccompPlan, Sharing,
};

use crate::capabilities;
use crate::user_namespace::ID_COUNT;

impl Display for Sharing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pod => "the pod's own",
            Self::Host => "the host's",
        })
    }
}

impl Display for PidSharing {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Container => "one per container",
            Self::Pod => "the pod's own",
            Self::Host => "the host's",
        })
    }
}

impl Display for PodSandboxPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "hostname    {}", self.hostname)?;
        writeln!(f, "network     {}", self.network)?;
        writeln!(f, "ipc         {}", self.ipc)?;
        writeln!(f, "uts         {}", self.uts)?;
        writeln!(f, "pid         {}", self.pid)?;
        if let Some(ids) = self.user_ids {
            let last = ids.outside(ID_COUNT - 1);
            writeln!(f, "users       0-{} are {}-{last} outside", ID_COUNT - 1, ids.first)?;
        }
        for sysctl in &self.sysctls {
            writeln!(f, "sysctl      {}={}", sysctl.name, sysctl.value)?;
        }
        Ok(())
    }
}

impl Display for ContainerPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let writable = if self.root.readonly { "read-only" } else { "writable" };
        writeln!(f, "root        {} layers, {writable}", self.root.layers.len())?;
        if !self.root.volumes.is_empty() {
            writeln!(f, "volumes     {}", self.root.volumes.join(" "))?;
        }
        for mount in &self.mounts {
            writeln!(f, "mount       {mount}")?;
        }
        writeln!(f, "masked      {}", self.masked_paths.join(" "))?;
        writeln!(f, "read-only   {}", self.readonly_paths.join(" "))?;
        write!(f, "{}", self.process)
    }
}

impl Display for ProcessPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let user = &self.user;
        let words: Vec<String> = self.argv.iter().map(|word| quoted(word)).collect();
        writeln!(f, "command     {}", words.join(" "))?;
        writeln!(f, "directory   {}", self.cwd)?;
        writeln!(f, "user        {}:{} groups {:?}", user.uid, user.gid, user.groups)?;
        let sets = &self.capabilities;
        write!(f, "capabilities {}", names(sets.effective))?;
        if sets.bounding != sets.effective {
            write!(f, ", with set-user-ID programs at most {}", names(sets.bounding))?;
        }
        writeln!(f)?;
        let seccomp = match &self.seccomp {
            SeccompPlan::RuntimeDefault => "RuntimeDefault",
            SeccompPlan::Unconfined => "Unconfined",
            SeccompPlan::Filter(_) => "Localhost",
        };
        writeln!(f, "seccomp     {seccomp}")?;
        if let Some(profile) = &self.app_armor {
            writeln!(f, "apparmor    {profile}")?;
        }
        for variable in &self.env {
            writeln!(f, "env         {variable}")?;
        }
        Ok(())
    }
}

/// A word as a shell would have it written.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    let needs_none = !word.is_empty() && word.chars().all(is_plain);
    if needs_none { word.to_owned() } else { format!("{word:?}") }
}

/// The capabilities of a set by their names, in the order of the alphabet.
fn names(set: u64) -> String {
    let mut names: Vec<&str> =
        (0..64).filter(|number| set & (1 << number) != 0).map(capabilities::name).collect();
    names.sort_unstable();
    match names.as_slice() {
        [] => "none".to_owned(),
        _ if set == capabilities::of_this_host() => "all".to_owned(),
        names => names.join(" "),
    }
}

impl Display for MountPlan {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}{}", self.source, self.target, self.options)
    }
}

impl Display for MountOptions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let words = [
            (self.readonly, "ro"),
            (self.recursive_readonly, "recursive"),
            (self.nosuid, "nosuid"),
            (self.nodev, "nodev"),
            (self.noexec, "noexec"),
            (self.propagation == Propagation::HostToContainer, "rslave"),
            (self.propagation == Propagation::Bidirectional, "rshared"),
        ];
        let words: Vec<&str> = words.iter().filter(|word| word.0).map(|word| word.1).collect();
        if words.is_empty() { Ok(()) } else { write!(f, " ({})", words.join(", ")) }
    }
}
