//! The user namespace of a pod (`user_namespaces(7)`): which ids it has, and how files outside get
//! owners inside.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;

use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
use serde::{Deserialize, Serialize};

use crate::capabilities;
use crate::stage::harmless::stay_hidden;
use crate::stage::report::StageError;
use crate::sys::mount_attributes::{self, Attributes};

/// How many ids each pod with its own user namespace has: 0 to 65535.
pub const ID_COUNT: u32 = 65536;

/// The ids of a pod outside: its root is the first, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// What id 0 of the pod is outside.
    pub first: u32,
}

impl IdRange {
    /// What an id of the pod is outside; ids that the pod does not have stay what they are.
    pub fn outside(self, id: u32) -> u32 {
        if id < ID_COUNT { self.first + id } else { id }
    }

    /// Writes the maps of a process that has just been born into a new user namespace.
    pub(crate) fn write_maps(self, pid: i32) -> io::Result<()> {
        let line = format!("0 {} {ID_COUNT}\n", self.first);
        ["uid_map", "gid_map"]
            .iter()
            .try_for_each(|name| fs::write(format!("/proc/{pid}/{name}"), &line))
    }
}

/// Makes files that belong to the root of the pod with these ids, also in mounts that map ids:
/// those know no others (`EOVERFLOW`). The process keeps its capabilities (setfsuid(2)).
pub(crate) fn with_files_of_root<T>(
    ids: Option<IdRange>,
    job: impl FnOnce() -> Result<T, StageError>,
) -> Result<T, StageError> {
    let Some(IdRange { first }) = ids else {
        return job();
    };
    let become_owner = |uid: Uid, gid: Gid| {
        setfsgid(gid);
        setfsuid(uid);
        // A change of user resets it; the supervisor is required with the last one, later.
        stay_hidden(|| Ok(()))
    };
    let (own_uid, own_gid) = (Uid::effective(), Gid::effective());
    become_owner(Uid::from_raw(first), Gid::from_raw(first))?;
    let done = capabilities::use_permitted()
        .map_err(|error| StageError::prepare("cannot keep capabilities", error))
        .and_then(|()| job());
    become_owner(own_uid, own_gid)?;
    done
}

/// A user namespace that exists, with its range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdMap<'a> {
    pub(crate) namespace: BorrowedFd<'a>,
    pub(crate) range: IdRange,
}

impl<'a> IdMap<'a> {
    /// Both, where the pod has them.
    pub(crate) fn of(namespace: Option<BorrowedFd<'a>>, range: Option<IdRange>) -> Option<Self> {
        Some(Self { namespace: namespace?, range: range? })
    }

    /// Files in a detached mount belong to the same ids inside the namespace as they do outside
    /// of it (`MOUNT_ATTR_IDMAP`, `mount_setattr(2)`).
    pub(crate) fn apply_to(self, mount: BorrowedFd<'_>) -> io::Result<()> {
        let attributes = Attributes { ids: Some(self.namespace), ..Attributes::default() };
        mount_attributes::change(mount, attributes)
    }
}
