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
use crate::disk_usage;
use crate::plan::{self, StorageLimits, StorageUse};

/// How often a kubelet looks.
const PERIOD: Duration = Duration::from_secs(10);

/// When the next look is due; never for a pod without limits.
#[derive(Debug)]
pub(super) struct StorageWatch {
    limits: StorageLimits,
    period: Duration,
    next: Option<Uptime>,
}

impl StorageWatch {
    /// Watches that pod; `scale` shortens the period.
    pub(super) fn of(pod: &Pod, scale: f64, now: Uptime) -> Self {
        let limits = plan::storage_limits(pod);
        let period = PERIOD.mul_f64(scale.clamp(0.001, 1.0));
        let next = (!limits.is_empty()).then(|| now + period);
        Self { limits, period, next }
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
        // Should the measuring not come to its end, there is a next time.
        self.storage.next = Some(now + self.storage.period);
        if self.tasks.has(&Purpose::Measure) {
            return;
        }
        let (volumes, containers) = (self.volume_parts(), self.container_parts());
        let limits = self.storage.limits.clone();
        let Ok((reader, writer)) = output::pipe() else {
            return;
        };
        let measure = || {
            let used = StorageUse { volumes: sizes(volumes), containers: sizes(containers) };
            let message = limits.exceeded(&used).unwrap_or_default();
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
