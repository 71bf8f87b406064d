//! What a pod may take of a disk that others need, too.

use std::fs;
use std::path::Path;

use crate::disk_usage;
use crate::plan::StorageUse;

/// The file system of writable layers and volumes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    total: u64,
    available: u64,
}

impl Disk {
    /// That of a path; a call that does not wait for the disk.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let found = rustix::fs::statvfs(path).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Some(Self { total: bytes(found.f_blocks), available: bytes(found.f_bavail) })
    }

    /// Where a kubelet begins to evict: `nodefs.available<10%`.
    fn threshold(self) -> u64 {
        self.total / 10
    }

    /// Whether pods have to be evicted.
    pub(crate) fn is_low(self) -> bool {
        self.available < self.threshold()
    }

    /// Whether it may soon be so.
    pub(crate) fn is_filling(self) -> bool {
        self.available < self.threshold() * 2
    }

    /// The kubelet's message, if the disk is low and this pod is the reason: it has written more
    /// than is left, and more than any other pod. A disk that is full of other things evicts nobody.
    pub(crate) fn blames(
        self,
        used: &StorageUse,
        most_of_others: impl FnOnce() -> u64,
    ) -> Option<String> {
        let total: u64 = used.volumes.iter().chain(&used.containers).map(|(_, bytes)| bytes).sum();
        if !self.is_low() || total <= self.available || most_of_others() > total {
            return None;
        }
        let kibibytes = |bytes: u64| format!("{}Ki", bytes >> 10);
        let (threshold, available) = (kibibytes(self.threshold()), kibibytes(self.available));
        let mut message = format!(
            "The node was low on resource: ephemeral-storage. Threshold quantity: {threshold}, \
             available: {available}. "
        );
        for (name, bytes) in used.containers.iter().filter(|(_, bytes)| *bytes > 0) {
            message.push_str(&format!(
                "Container {name} was using {}, request is 0, has larger consumption of \
                 ephemeral-storage. ",
                kibibytes(*bytes)
            ));
        }
        Some(message)
    }
}

/// What the pod that has written most has written, of all those whose data are beside these.
pub(crate) fn most_of_others(own: &Path) -> u64 {
    let beside = own.parent().and_then(|pods| fs::read_dir(pods).ok()).into_iter().flatten();
    let others = beside.flatten().map(|entry| entry.path()).filter(|path| path != own);
    others.map(|path| disk_usage::of(&path)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_written_most_of_a_full_disk_is_to_blame_and_nobody_else() {
        let used = |mebibytes: u64| StorageUse {
            volumes: vec![],
            containers: vec![("main".into(), mebibytes << 20)],
        };
        let disk = |available: u64| Disk { total: 100 << 20, available: available << 20 };
        let text = disk(5).blames(&used(60), || 0).unwrap();
        assert_eq!(
            text,
            "The node was low on resource: ephemeral-storage. Threshold quantity: 10240Ki, \
             available: 5120Ki. Container main was using 61440Ki, request is 0, has larger \
             consumption of ephemeral-storage. "
        );
        assert_eq!(disk(10).blames(&used(60), || 0), None, "there is enough");
        assert_eq!(disk(5).blames(&used(5), || 0), None, "something else has filled it");
        assert_eq!(disk(5).blames(&used(20), || 60 << 20), None, "another pod has");
        assert!(disk(15).is_filling() && !disk(15).is_low() && !disk(20).is_filling());
    }
}
