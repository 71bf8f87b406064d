//! How far the pulls of a pod are: written by whoever pulls, read by whoever stays in front.
//!
//! One small file per pull in the pod's directory, replaced a few times a second while bytes
//! arrive and gone when the pull is over. Nothing depends on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use image_puller::{Digest, Phase, ProgressEvent, ProgressSink};
use serde::{Deserialize, Serialize};

use pod_api::places::PodDir;
use pod_api::roots;

const PREFIX: &str = "pull-";
/// Nobody sees more often that something changed.
const PAUSE: Duration = Duration::from_millis(100);

/// One pull.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullProgress {
    /// The image, as the manifest names it.
    pub image: String,
    /// The layers that have been begun, in the order in which they were.
    pub layers: Vec<LayerProgress>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerProgress {
    /// Its blob.
    pub digest: Digest,
    /// What is done with it.
    pub step: LayerStep,
    /// Compressed bytes so far.
    pub bytes: u64,
    /// Compressed bytes in all.
    pub total: u64,
}

/// What is done with a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LayerStep {
    /// Bytes arrive, and are unpacked on the way.
    Downloading,
    /// All bytes are here.
    Unpacking,
    /// It is in its place.
    Done,
    /// It was there before.
    Present,
}

/// The pulls of a pod that are under way.
pub fn read(dir: &PodDir) -> Vec<PullProgress> {
    let entries = fs::read_dir(dir.path()).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(PREFIX) && name.ends_with(".json")
    };
    paths.retain(is_ours);
    paths.sort();
    paths.iter().filter_map(|path| serde_json::from_slice(&fs::read(path).ok()?).ok()).collect()
}

/// Writes down how far a pull is.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    state: Mutex<(PullProgress, Option<Instant>)>,
}

impl Recorder {
    /// For a pull of this process, in the pod's directory.
    pub fn new(directory: &Path, image: &str) -> Self {
        let path = directory.join(format!("{PREFIX}{}.json", std::process::id()));
        let progress = PullProgress { image: image.to_owned(), layers: Vec::new() };
        Self { path, state: Mutex::new((progress, None)) }
    }

    fn update(&self, digest: &Digest, step: LayerStep, (bytes, total): (u64, u64)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (progress, written) = &mut *state;
        let now = LayerProgress { digest: digest.clone(), step, bytes, total };
        match progress.layers.iter_mut().find(|layer| layer.digest == *digest) {
            Some(known) => *known = now,
            None => progress.layers.push(now),
        }
        if written.is_none_or(|written| written.elapsed() >= PAUSE) {
            *written = Some(Instant::now());
            let aside = self.path.with_extension("new");
            // Who watches sees the last state that could be written.
            let text = serde_json::to_vec(progress).unwrap_or_default();
            let _ = roots::write(&aside, &text).and_then(|()| fs::rename(&aside, &self.path));
        }
    }
}

impl ProgressSink for Recorder {
    fn report(&self, event: ProgressEvent) {
        match event {
            ProgressEvent::LayerPresent { layer } => {
                self.update(&layer, LayerStep::Present, (0, 0));
            }
            ProgressEvent::LayerProgress { layer, bytes, total, phase } => {
                let is_all_here = bytes == total || phase == Phase::Extracting;
                let step = if is_all_here { LayerStep::Unpacking } else { LayerStep::Downloading };
                self.update(&layer, step, (bytes, total));
            }
            ProgressEvent::LayerDone { layer, bytes } => {
                self.update(&layer, LayerStep::Done, (bytes, bytes));
            }
            ProgressEvent::Resolved { .. }
            | ProgressEvent::Retrying { .. }
            | ProgressEvent::NotAnImage { .. }
            | ProgressEvent::Skipped { .. } => {}
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path.with_extension("new")); // hardly ever there
        let _ = fs::remove_file(&self.path); // there if anything was pulled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pull_is_seen_while_it_goes_on() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = PodDir::at(scratch.path().to_owned());
        let recorder = Recorder::new(scratch.path(), "a:1");
        assert_eq!(read(&dir), []);
        let layer = Digest::of(b"layer");
        recorder.report(ProgressEvent::LayerProgress {
            layer: layer.clone(),
            bytes: 10,
            total: 30,
            phase: Phase::Downloading,
        });
        let step = LayerStep::Downloading;
        let layers = vec![LayerProgress { digest: layer, step, bytes: 10, total: 30 }];
        assert_eq!(read(&dir), [PullProgress { image: "a:1".into(), layers }]);
        drop(recorder);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
