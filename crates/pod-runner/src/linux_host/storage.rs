//! Local storage: what the pod writes is measured now and then, and too much evicts the pod.
//!
//! Measuring walks whatever the containers have written, so a child does it.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use pod_lifecycle::Fact;
use pod_model::{Pod, Uptime};

use super::tasks::{Finished, Purpose};
use super::{LinuxHost, output};
use crate::disk_pressure::{self, Disk};
use crate::disk_usage;
use crate::plan::{self, StorageLimits, StorageUse};
use pod_api::MaxPodDisk;
use pod_api::settings::Settings;

/// How often a kubelet looks.
const PERIOD: Duration = Duration::from_secs(10);

/// How often the disk is looked at when it is nearly full: a kubelet's ten seconds would be enough
/// to fill the rest of it.
const PERIOD_WHEN_FILLING: Duration = Duration::from_secs(1);

/// When the next look is due. A pod without limits is measured only when the disk is nearly full.
#[derive(Debug)]
pub(super) struct StorageWatch {
    limits: StorageLimits,
    /// Whether a pod may fill the disk.
    is_unlimited: bool,
    period: Duration,
    next: Option<Uptime>,
}

impl StorageWatch {
    /// Watches that pod; the scale of back-off shortens the period of its limits.
    pub(super) fn of(pod: &Pod, settings: &Settings, now: Uptime) -> Self {
        let limits = plan::storage_limits(pod, &settings.max_pod_disk);
        let scale = if limits.is_empty() { 1.0 } else { settings.backoff_scale.clamp(0.001, 1.0) };
        let period = PERIOD.mul_f64(scale);
        let is_unlimited = settings.max_pod_disk == MaxPodDisk::Unlimited;
        let next = (!limits.is_empty() || !is_unlimited).then(|| now + period);
        Self { limits, is_unlimited, period, next }
    }

    /// When it wants to look.
    pub(super) fn next_deadline(&self) -> Option<Uptime> {
        self.next
    }
}

/// Where the parts of what a pod writes are.
type Parts = Vec<(String, Vec<PathBuf>)>;

impl LinuxHost {
    /// Begins to measure, if it is time to.
    pub(super) fn look_at_storage(&mut self) {
        let now = self.clock.now();
        if self.storage.next.is_none_or(|next| next > now) {
            return;
        }
        let data = self.context.data.path().to_owned();
        let disk = if self.storage.is_unlimited { None } else { Disk::of(&data) };
        let is_filling = disk.is_some_and(Disk::is_filling);
        let period = self.storage.period;
        let period = if is_filling { period.min(PERIOD_WHEN_FILLING) } else { period };
        // Should the measuring not come to its end, there is a next time.
        self.storage.next = Some(now + period);
        let is_low = disk.is_some_and(Disk::is_low);
        if self.tasks.has(&Purpose::Measure) || (self.storage.limits.is_empty() && !is_low) {
            return;
        }
        let (volumes, containers) = (self.volume_parts(), self.container_parts());
        let limits = self.storage.limits.clone();
        let Ok((reader, writer)) = output::pipe() else {
            return;
        };
        let measure = || {
            let used = StorageUse { volumes: sizes(volumes), containers: sizes(containers) };
            let blamed = || disk?.blames(&used, || disk_pressure::most_of_others(&data));
            let message = limits.exceeded(&used).or_else(blamed).unwrap_or_default();
            i32::from(File::from(writer).write_all(message.as_bytes()).is_err())
        };
        if let Ok(child) = sandbox::spawn_aside("minipod:usage", measure) {
            self.tasks.add(Purpose::Measure, child, Some(reader));
        }
    }

    pub(super) fn measured(&mut self, finished: &Finished) {
        if !finished.output.is_empty() {
            self.storage.next = None;
            let message = String::from_utf8_lossy(&finished.output).into_owned();
            self.facts.push_back(Fact::Evicted { message });
        }
    }

    fn volume_parts(&self) -> Parts {
        let names = plan::disk_volumes(&self.context.pod);
        names.map(|name| (name.to_owned(), vec![self.context.data.volume(name)])).collect()
    }

    fn container_parts(&self) -> Parts {
        let context = &self.context;
        let parts = self.containers.iter().map(|container| {
            let (name, attempt) = (container.instance.name.as_str(), container.instance.attempt.0);
            let written = context.data.container(name, attempt); // its last words, too
            (name.to_owned(), vec![written, context.logs.container(name)])
        });
        parts.collect()
    }
}

fn sizes(parts: Parts) -> Vec<(String, u64)> {
    let size = |paths: Vec<PathBuf>| paths.iter().map(|path| disk_usage::of(path)).sum();
    parts.into_iter().map(|(name, paths)| (name, size(paths))).collect()
}
