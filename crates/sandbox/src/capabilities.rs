//! Capabilities: names, sets, and Kubernetes' rules for them (capabilities(7)).

use std::io;
use std::sync::OnceLock;

use rustix::thread::{CapabilitySet, CapabilitySets as EffectiveSets};
use thiserror::Error;

use crate::plan::CapabilitySets;

/// The capabilities a container has when nobody says otherwise: what docker and containerd give.
pub const DEFAULT: u64 = 0xa804_25fb;

/// A name that is no capability's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown capability {name:?}")]
pub struct UnknownCapability {
    /// The name.
    pub name: String,
}

/// The number of a capability, from its name with or without `CAP_`, in any case.
pub fn number(name: &str) -> Result<u32, UnknownCapability> {
    let upper = name.to_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    CapabilitySet::from_name(short)
        .map(|one| one.bits().trailing_zeros())
        .ok_or_else(|| UnknownCapability { name: name.to_owned() })
}

/// The name of a capability without `CAP_`.
pub fn name(number: u32) -> &'static str {
    let one = CapabilitySet::from_bits_retain(1_u64.checked_shl(number).unwrap_or(0));
    one.iter_names().next().map_or("UNKNOWN", |(name, _)| name)
}

/// Every capability of this kernel that this process may pass on.
pub fn of_this_host() -> u64 {
    // Nothing takes any from the process that plans, so the kernel is asked once.
    static ALL: OnceLock<u64> = OnceLock::new();
    *ALL.get_or_init(|| {
        (0..64).map(|number| 1 << number).filter(|mask| is_in_bounding_set(*mask)).sum()
    })
}

/// The bounding set of a container: the default ones, then `drop`, then `add`; `ALL` comes before
/// the single names. An unknown name is an error, because a misspelt `drop` would leave a
/// capability that nobody wants.
pub fn bounding(add: &[String], drop: &[String]) -> Result<u64, UnknownCapability> {
    let all = |names: &[String]| names.iter().any(|name| name.eq_ignore_ascii_case("ALL"));
    let mut set = if all(add) { of_this_host() } else { DEFAULT };
    if all(drop) {
        set = 0;
    }
    let single = |names: &[String]| -> Result<u64, UnknownCapability> {
        let names = names.iter().filter(|name| !name.eq_ignore_ascii_case("ALL"));
        names
            .map(|name| number(name).map(|number| 1_u64 << number))
            .try_fold(0, |set, mask| mask.map(|mask| set | mask))
    };
    set &= !single(drop)?;
    Ok((set | single(add)?) & of_this_host())
}

/// The five sets of a process with that bounding set: root has them all, everybody else none, and
/// nothing is inheritable or ambient.
pub fn sets(bounding: u64, uid: u32) -> CapabilitySets {
    let held = if uid == 0 { bounding } else { 0 };
    CapabilitySets { bounding, permitted: held, effective: held, inheritable: 0, ambient: 0 }
}

fn is_in_bounding_set(mask: u64) -> bool {
    rustix::thread::capability_is_in_bounding_set(CapabilitySet::from_bits_retain(mask))
        .unwrap_or(false)
}

/// Takes from the bounding set what is not in the mask.
pub(crate) fn limit_bounding_set(mask: u64) -> io::Result<()> {
    for one in (0..64).map(|number| 1_u64 << number) {
        if mask & one == 0 && is_in_bounding_set(one) {
            let one = CapabilitySet::from_bits_retain(one);
            rustix::thread::remove_capability_from_bounding_set(one)?;
        }
    }
    Ok(())
}

/// Makes every capability effective that this process may have.
pub(crate) fn use_permitted() -> io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    Ok(rustix::thread::set_capabilities(None, EffectiveSets { effective: sets.permitted, ..sets })?)
}

/// Sets the other four sets of this process.
pub(crate) fn apply(sets: &CapabilitySets) -> io::Result<()> {
    rustix::thread::clear_ambient_capability_set()?;
    rustix::thread::set_capabilities(
        None,
        EffectiveSets {
            effective: CapabilitySet::from_bits_retain(sets.effective),
            permitted: CapabilitySet::from_bits_retain(sets.permitted),
            inheritable: CapabilitySet::from_bits_retain(sets.inheritable),
        },
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_name_is_known_with_and_without_its_prefix() {
        assert_eq!(number("NET_ADMIN"), Ok(12));
        assert_eq!(number("CAP_NET_ADMIN"), Ok(12));
        assert_eq!(number("cap_bpf"), Ok(39));
        assert!(number("NET_ADMN").is_err());
    }

    #[test]
    fn dropping_all_leaves_only_what_is_added() {
        let bit = 1 << 10;
        for (add, drop, expected) in [
            (&[][..], &["ALL"][..], 0),
            (&["NET_BIND_SERVICE"], &["ALL"], bit),
            (&[], &["CHOWN"], DEFAULT & !1),
        ] {
            assert_eq!(bounding(&names(add), &names(drop)), Ok(expected & of_this_host()));
        }
        assert!(bounding(&[], &names(&["CHWON"])).is_err());
    }

    #[test]
    fn only_root_holds_what_it_may_have() {
        assert_eq!(sets(DEFAULT, 0).effective, DEFAULT);
        let other = sets(DEFAULT, 1000);
        assert_eq!((other.effective, other.permitted, other.bounding), (0, 0, DEFAULT));
    }
}
