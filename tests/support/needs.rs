//! What a test needs of the machine, decided before it runs, so that a skip is seen as one.

use std::path::Path;

use libtest_mimic::{Failed, Trial};

use crate::fixtures;

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// User id 0.
    Root,
    /// The images of `rootfs-fixtures/build`.
    Fixtures,
    /// The programs `ip` and `nsenter`, for labs.
    Lab,
    /// Debian's `docker-registry` and `skopeo`.
    Registry,
    /// The program `umoci`, to compare with.
    Umoci,
    /// The program `strace`, to let system calls fail.
    Strace,
    /// The program `python3`, for system calls that nothing else makes.
    Python,
    /// Id-mapped mounts of memory, which Linux has had since 6.3.
    MappedMemory,
    /// A kernel that enforces AppArmor, and `apparmor_parser`.
    AppArmor,
    /// A kernel without `nf_tables`, or without a part of it that pods need. Only `MINIPOD_REQUIRE`
    /// can say that a machine is one: to ask the kernel would load the modules.
    NoFirewall,
    /// The newest kubectl, which `scripts/install-needs` fetches.
    Kubectl,
    /// The shell `bash`.
    Bash,
    /// The shell `zsh`.
    Zsh,
    /// The shell `fish`.
    Fish,
}

impl Need {
    /// Its name in `MINIPOD_REQUIRE` and behind a test's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Fixtures => "fixtures",
            Self::Lab => "lab",
            Self::Registry => "registry",
            Self::Umoci => "umoci",
            Self::Strace => "strace",
            Self::Python => "python3",
            Self::MappedMemory => "mapped-memory",
            Self::AppArmor => "apparmor",
            Self::NoFirewall => "no-firewall",
            Self::Kubectl => "kubectl",
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }

    /// Whether this machine lacks it.
    pub fn is_missing(self) -> bool {
        match self {
            Self::Root => !rustix::process::geteuid().is_root(),
            Self::Fixtures => !fixtures::layout("kubia").join("index.json").exists(),
            Self::Lab => !has_program("ip") || !has_program("nsenter"),
            Self::Registry => !has_program("docker-registry") || !has_program("skopeo"),
            Self::Umoci => !has_program("umoci"),
            Self::Strace => !has_program("strace"),
            Self::Python => !has_program("python3"),
            Self::MappedMemory => kernel() < (6, 3),
            Self::AppArmor => {
                let enabled = std::fs::read("/sys/module/apparmor/parameters/enabled");
                !enabled.is_ok_and(|text| text.starts_with(b"Y")) || !has_program("apparmor_parser")
            }
            Self::NoFirewall => !self.is_required(),
            Self::Kubectl => !fixtures::kubectl().exists(),
            Self::Bash => !has_program("bash"),
            Self::Zsh => !has_program("zsh"),
            Self::Fish => !has_program("fish"),
        }
    }

    /// Whether its absence is a failure here (`MINIPOD_REQUIRE=root,lab,…`).
    pub fn is_required(self) -> bool {
        let required = std::env::var("MINIPOD_REQUIRE").unwrap_or_default();
        required.split(',').any(|name| name == self.name())
    }
}

/// The first two numbers of the kernel's release.
fn kernel() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(['.', '-', '+']).map_while(|part| part.parse().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn has_program(name: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').any(|directory| Path::new(directory).join(name).exists())
}

/// A test that needs these. What a machine lacks is seen as a skip with its reason, unless
/// `MINIPOD_REQUIRE` names it.
pub fn trial(name: &'static str, test: fn(), needs: &[Need]) -> Trial {
    let missing: Vec<&str> =
        needs.iter().filter(|need| need.is_missing()).map(|need| need.name()).collect();
    let is_required = needs.iter().any(|need| need.is_missing() && need.is_required());
    let kind =
        if missing.is_empty() { String::new() } else { format!("needs {}", missing.join(" ")) };
    let is_missing = !missing.is_empty();
    Trial::test(name, move || {
        if is_missing {
            return Err(Failed::from("the machine is required to have what this test needs"));
        }
        test();
        Ok(())
    })
    .with_kind(kind)
    .with_ignored_flag(is_missing && !is_required)
}
