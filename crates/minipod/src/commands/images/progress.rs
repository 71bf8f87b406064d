//! The progress of pulls: a bar per layer on a terminal, nothing but what is unusual elsewhere.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};

use image_puller::{Digest, Phase, ProgressEvent, ProgressSink};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use pod_runner::pull_progress::{LayerStep, PullProgress};

use crate::{printable, screen};

const RUNNING: &str = "  {prefix}  {msg:11} [{bar:24}] {decimal_bytes:>9}/{decimal_total_bytes:9} {decimal_bytes_per_sec:>10}";
const ENDED: &str = "  {prefix}  {msg:11} {decimal_total_bytes}";
const PRESENT: &str = "  {prefix}  {msg}";

/// Bars on standard error; nothing is drawn where nobody looks.
pub(crate) struct Board {
    bars: MultiProgress,
    is_quiet: bool,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    titles: BTreeMap<String, ProgressBar>,
    layers: BTreeMap<String, ProgressBar>,
}

impl Board {
    pub(crate) fn new(is_quiet: bool) -> Self {
        let target = if is_quiet || !io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bars = MultiProgress::with_draw_target(target);
        Self { bars, is_quiet, known: Mutex::default() }
    }

    /// Whether anybody sees it.
    pub(crate) fn is_seen(&self) -> bool {
        !self.bars.is_hidden()
    }

    /// Prints something while the bars are out of the way.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bars.suspend(print)
    }

    /// A line above the bars of an image.
    pub(crate) fn title(&self, text: &str) {
        let mut known = self.known();
        if !known.titles.contains_key(text) {
            let bar = self.bars.add(ProgressBar::new(0).with_style(style("{msg}")));
            bar.set_message(printable::line(text));
            bar.tick();
            known.titles.insert(text.to_owned(), bar);
        }
    }

    /// Takes everything from the screen.
    pub(crate) fn clear(&self) {
        let mut known = self.known();
        let Known { titles, layers } = std::mem::take(&mut *known);
        titles.values().chain(layers.values()).for_each(ProgressBar::finish_and_clear);
        drop(self.bars.clear()); // a terminal that is gone shows nothing anyway
    }

    /// Shows the pulls of a pod's supervisor, and no others.
    pub(crate) fn show(&self, pulls: &[PullProgress]) {
        let titles: Vec<String> = pulls.iter().map(|pull| format!("{}:", pull.image)).collect();
        let is_other = |title: &String| !titles.contains(title);
        if self.known().titles.keys().any(is_other) {
            self.clear();
        }
        for (pull, title) in pulls.iter().zip(&titles) {
            self.title(title);
            for layer in &pull.layers {
                self.layer(&layer.digest, layer.step, (layer.bytes, layer.total));
            }
        }
    }

    fn layer(&self, layer: &Digest, step: LayerStep, (bytes, total): (u64, u64)) {
        let mut known = self.known();
        let short: String = layer.hex().chars().take(12).collect();
        let message = match step {
            LayerStep::Downloading => "Downloading",
            LayerStep::Unpacking => "Unpacking",
            LayerStep::Done => "Done",
            LayerStep::Present => "Already here",
        };
        let bar = known.layers.entry(layer.to_string()).or_insert_with(|| {
            let bar = ProgressBar::new(total).with_style(style(RUNNING)).with_prefix(short);
            let bar = self.bars.add(bar.with_position(bytes).with_message(message));
            bar.reset_eta(); // the first bytes came before anybody measured how fast
            bar
        });
        if bar.is_finished() {
            return;
        }
        bar.set_message(message);
        bar.set_length(total);
        bar.set_position(bytes);
        match step {
            LayerStep::Downloading | LayerStep::Unpacking => {}
            LayerStep::Done => end(bar, ENDED),
            LayerStep::Present => end(bar, PRESENT),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of something unusual, on a terminal or not.
    fn tell(&self, text: &str) {
        if !self.is_quiet {
            self.aside(|| screen::narrate(text));
        }
    }
}

fn end(bar: &ProgressBar, template: &str) {
    bar.set_style(style(template));
    bar.finish();
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("=> "))
}

impl ProgressSink for Board {
    fn report(&self, event: ProgressEvent) {
        match event {
            ProgressEvent::Resolved { .. } => {}
            ProgressEvent::LayerPresent { layer } => self.layer(&layer, LayerStep::Present, (0, 0)),
            ProgressEvent::LayerProgress { layer, bytes, total, phase } => {
                let is_all_here = bytes == total || phase == Phase::Extracting;
                let step = if is_all_here { LayerStep::Unpacking } else { LayerStep::Downloading };
                self.layer(&layer, step, (bytes, total));
            }
            ProgressEvent::LayerDone { layer, bytes } => {
                self.layer(&layer, LayerStep::Done, (bytes, bytes));
            }
            ProgressEvent::Retrying { what, attempt, reason } => {
                self.tell(&format!("Trying {what} again (attempt {attempt}): {reason}\n"));
            }
            ProgressEvent::NotAnImage { digest, media_type } => {
                let what = media_type.escape_debug();
                self.tell(&format!("Left out {digest}: not an image ({what})\n"));
            }
            ProgressEvent::Skipped { layer, reason } => {
                let short: String = layer.hex().chars().take(12).collect();
                self.tell(&format!("Left out of layer {short}: {reason}\n"));
            }
        }
    }
}
