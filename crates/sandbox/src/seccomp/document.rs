//! Profiles as docker and the OCI runtime specification write them (`seccompProfile: Localhost`).

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

use super::condition::{Comparison, Condition};
use super::program::{Action, Case, I386, OWN_ARCHITECTURE, Program, Rule, Table};
use crate::capabilities;

/// Why a profile cannot be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// It is no JSON, or not of that form.
    #[error("it is not a seccomp profile")]
    Form(#[from] serde_json::Error),
    /// A word that is not known, or that cannot be honored.
    #[error("{what} {word:?} is not supported")]
    Word {
        /// What it is.
        what: &'static str,
        /// The word.
        word: String,
    },
    /// The filter is longer than the kernel takes.
    #[error("the filter has {length} instructions, and the kernel takes 4096")]
    TooLong {
        /// How long it is.
        length: usize,
    },
}

/// The kernel's limit for a filter (`BPF_MAXINSNS`).
const LONGEST: usize = 4096;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: String,
    default_errno_ret: Option<u32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    arch_map: Vec<Family>,
    #[serde(default)]
    syscalls: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Family {
    architecture: String,
    #[serde(default)]
    sub_architectures: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Vec<String>,
    action: String,
    errno_ret: Option<u32>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Filter,
    #[serde(default)]
    excludes: Filter,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

/// When an entry counts (docker's profiles only).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: Option<String>,
}

#[cfg(target_arch = "aarch64")]
use syscalls::aarch64::Sysno as OwnCall;
#[cfg(target_arch = "x86_64")]
use syscalls::x86_64::Sysno as OwnCall;

/// Compiles a profile for a process with that bounding set of capabilities. Calls that the machine
/// does not have are passed over, as other runtimes do.
///
/// # Errors
///
/// See [`ProfileError`].
pub fn parse_profile(text: &[u8], bounding: u64) -> Result<Program, ProfileError> {
    let document: Document = serde_json::from_slice(text)?;
    let own = |name: &str| name.parse::<OwnCall>().ok().map(|call| call as u32);
    let mut tables = vec![document.table(OWN_ARCHITECTURE, bounding, own)?];
    if document.has_i386() {
        let call = |name: &str| name.parse::<syscalls::x86::Sysno>().ok().map(|call| call as u32);
        tables.push(document.table(I386, bounding, call)?);
    }
    let program = Program::compile(&tables);
    match program.instructions.len() {
        length if length > LONGEST => Err(ProfileError::TooLong { length }),
        _ => Ok(program),
    }
}

impl Document {
    fn has_i386(&self) -> bool {
        let is_own = |family: &&Family| family.architecture == "SCMP_ARCH_X86_64";
        let subs = self.arch_map.iter().filter(is_own).flat_map(|family| &family.sub_architectures);
        cfg!(target_arch = "x86_64")
            && self.architectures.iter().chain(subs).any(|name| name == "SCMP_ARCH_X86")
    }

    fn table(
        &self,
        architecture: u32,
        bounding: u64,
        number: impl Fn(&str) -> Option<u32>,
    ) -> Result<Table, ProfileError> {
        let otherwise = action(&self.default_action, self.default_errno_ret)?;
        let mut cases: BTreeMap<u32, Vec<Case>> = BTreeMap::new();
        for entry in &self.syscalls {
            let case = Case { conditions: entry.conditions()?, action: entry.action()? };
            if !entry.counts(bounding)? {
                continue;
            }
            for number in entry.names.iter().chain(&entry.name).filter_map(|name| number(name)) {
                cases.entry(number).or_default().push(case.clone());
            }
        }
        let rule = |cases: Vec<Case>| match cases.first() {
            Some(Case { conditions, action }) if conditions.is_empty() => Rule::Always(*action),
            _ => Rule::Cases { cases, otherwise },
        };
        let rules = cases.into_iter().map(|(number, cases)| (number, rule(cases))).collect();
        // Libraries fall back when a call does not exist; that it is forbidden ends them.
        let newer = match otherwise {
            Action::Errno(_) => Action::Errno(libc::ENOSYS.unsigned_abs()),
            other => other,
        };
        Ok(Table { architecture, rules, otherwise, newer })
    }
}

impl Entry {
    fn action(&self) -> Result<Action, ProfileError> {
        action(&self.action, self.errno_ret)
    }

    fn conditions(&self) -> Result<Vec<Condition>, ProfileError> {
        self.args.iter().flatten().map(Argument::condition).collect()
    }

    fn counts(&self, bounding: u64) -> Result<bool, ProfileError> {
        let included = self.includes.matches(bounding)?;
        let excluded = self.excludes.matches(bounding)?;
        Ok(included.iter().all(|matches| *matches) && !excluded.contains(&true))
    }
}

impl Filter {
    /// Whether each of its parts matches.
    fn matches(&self, bounding: u64) -> Result<Vec<bool>, ProfileError> {
        let mut matches = Vec::new();
        for name in &self.caps {
            let number = capabilities::number(name).map_err(|_| unknown("capability", name))?;
            matches.push(bounding & (1 << number) != 0);
        }
        if !self.arches.is_empty() {
            let own =
                if cfg!(target_arch = "x86_64") { ["amd64", "x86"] } else { ["arm64", "arm"] };
            matches.push(self.arches.iter().any(|arch| own.contains(&arch.as_str())));
        }
        if let Some(version) = &self.min_kernel {
            matches.push(is_at_least(version));
        }
        Ok(matches)
    }
}

fn is_at_least(wanted: &str) -> bool {
    let numbers = |text: &str| {
        let mut parts = text.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    };
    numbers(&rustix::system::uname().release().to_string_lossy()) >= numbers(wanted)
}

impl Argument {
    fn condition(&self) -> Result<Condition, ProfileError> {
        let (comparison, value) = match self.op.as_str() {
            "SCMP_CMP_NE" => (Comparison::NotEqual, self.value),
            "SCMP_CMP_LT" => (Comparison::Less, self.value),
            "SCMP_CMP_LE" => (Comparison::LessOrEqual, self.value),
            "SCMP_CMP_EQ" => (Comparison::Equal, self.value),
            "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, self.value),
            "SCMP_CMP_GT" => (Comparison::Greater, self.value),
            "SCMP_CMP_MASKED_EQ" => (Comparison::MaskedEqual { mask: self.value }, self.value_two),
            other => return Err(unknown("comparison", other)),
        };
        if self.index > 5 {
            return Err(unknown("argument", &self.index.to_string()));
        }
        Ok(Condition { argument: self.index, comparison, value })
    }
}

fn action(word: &str, errno: Option<u32>) -> Result<Action, ProfileError> {
    Ok(match word {
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(libc::EPERM.unsigned_abs())),
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_TRACE" => {
            Action::Trace(errno.and_then(|number| u16::try_from(number).ok()).unwrap_or(0))
        }
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        other => return Err(unknown("action", other)),
    })
}

fn unknown(what: &'static str, word: &str) -> ProfileError {
    ProfileError::Word { what, word: word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::program::interpreter::{verdict, verdict_on};
    use super::*;

    const PROFILE: &str = r#"{
      "defaultAction": "SCMP_ACT_ALLOW",
      "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
      "syscalls": [
        {"names": ["chmod", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
        {"names": ["kill"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 1, "value": 9, "op": "SCMP_CMP_EQ"}]},
        {"names": ["kill"], "action": "SCMP_ACT_KILL_PROCESS",
         "args": [{"index": 1, "value": 15, "op": "SCMP_CMP_GE"},
                  {"index": 0, "value": 4294967296, "op": "SCMP_CMP_LT"}]},
        {"names": ["reboot"], "action": "SCMP_ACT_LOG", "includes": {"caps": ["CAP_SYS_BOOT"]}},
        {"names": ["reboot"], "action": "SCMP_ACT_TRAP", "excludes": {"caps": ["CAP_SYS_BOOT"]}},
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 1, "value": 15, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}
      ]}"#;

    fn number(name: &str) -> u32 {
        name.parse::<OwnCall>().unwrap() as u32
    }

    #[test]
    fn a_profile_does_what_it_says() {
        let program = parse_profile(PROFILE.as_bytes(), 0).unwrap();
        let ask = |name: &str, arguments| verdict(&program, number(name), arguments);
        let (allow, eperm) = (Action::Allow.code(), Action::Errno(1).code());
        assert_eq!(ask("read", [0; 3]), allow);
        assert_eq!(ask("chmod", [0; 3]), Action::Errno(13).code());
        assert_eq!(ask("kill", [0, 9, 0]), eperm);
        assert_eq!(ask("kill", [7, 15, 0]), Action::KillProcess.code());
        assert_eq!(ask("kill", [7, 14, 0]), allow);
        assert_eq!(ask("socket", [2, 0x13, 0]), eperm);
        assert_eq!(ask("socket", [2, 0x14, 0]), allow);
        assert_eq!(ask("reboot", [0; 3]), Action::Trap.code());
        let with_boot = parse_profile(PROFILE.as_bytes(), 1 << 22).unwrap();
        assert_eq!(verdict(&with_boot, number("reboot"), [0; 3]), Action::Log.code());
        let chmod = syscalls::x86::Sysno::chmod as u32;
        assert_eq!(verdict_on(&program, I386, chmod, [0; 3]), Action::Errno(13).code());
    }

    #[test]
    fn what_cannot_be_honored_is_an_error() {
        for (text, why) in [
            ("{}", "not a seccomp profile"),
            ("not json", "not a seccomp profile"),
            (r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#, "SCMP_ACT_NOTIFY"),
            (
                r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"],
                    "action": "SCMP_ACT_ERRNO", "args": [{"index": 6, "value": 1, "op": "SCMP_CMP_EQ"}]}]}"#,
                "argument",
            ),
        ] {
            let error = parse_profile(text.as_bytes(), 0).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
