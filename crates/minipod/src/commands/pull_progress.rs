//! The progress of a pull, as a bar on a terminal.

use image_puller::{ProgressEvent, ProgressSink, Reference};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One bar for all layers of an image; nothing is drawn where nobody looks.
pub(super) struct PullProgress {
    bar: ProgressBar,
}

impl PullProgress {
    pub(super) fn new(reference: &Reference, quiet: bool) -> Self {
        let bar = ProgressBar::new(0);
        bar.set_draw_target(if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        });
        let template = "{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(reference.familiar());
        Self { bar }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl ProgressSink for PullProgress {
    fn report(&self, event: ProgressEvent) {
        match event {
            ProgressEvent::Resolved { bytes, .. } => self.bar.set_length(bytes),
            ProgressEvent::LayerDone { bytes, .. } => self.bar.inc(bytes),
            _ => {}
        }
    }
}
