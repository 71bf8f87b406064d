//! Progress as values. Nothing here is printed; whoever asked for the work decides what to show.

use crate::digest::Digest;

/// One thing that happened during a pull or an import. Events of different layers interleave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgressEvent {
    /// The reference was resolved to this manifest; this many bytes are still to fetch.
    Resolved {
        /// The manifest's digest (of the platform that was chosen).
        manifest: Digest,
        /// Number of layers.
        layers: usize,
        /// Compressed bytes of all layers that are not in the store yet.
        bytes: u64,
    },
    /// A layer does not have to be fetched: it is in the store.
    LayerPresent {
        /// The layer blob's digest.
        layer: Digest,
    },
    /// Bytes of a layer arrived and were unpacked on the way.
    LayerProgress {
        /// The layer blob's digest.
        layer: Digest,
        /// Compressed bytes so far.
        bytes: u64,
        /// Compressed bytes in all.
        total: u64,
        /// What is being done.
        phase: Phase,
    },
    /// A layer is verified, unpacked and in its place.
    LayerDone {
        /// The layer blob's digest.
        layer: Digest,
        /// Compressed bytes.
        bytes: u64,
    },
    /// A request failed and will be repeated.
    Retrying {
        /// What is asked for again: a host and a digest, never credentials.
        what: String,
        /// Number of the attempt that follows, counting from 1 for the first try.
        attempt: u32,
        /// Why the last one failed.
        reason: String,
    },
    /// Something in a file with images is none: a signature, a bill of materials.
    NotAnImage {
        /// The digest of its manifest.
        digest: Digest,
        /// What it consists of, as a media type; untrusted text.
        media_type: String,
    },
    /// Something in a layer was left out on purpose, for example an extended attribute that an
    /// archive must not set. Reported once per layer and reason.
    Skipped {
        /// The layer blob's digest.
        layer: Digest,
        /// What was left out and why.
        reason: String,
    },
}

/// The step a layer is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Being fetched, verified and unpacked in one pass.
    Downloading,
    /// Being unpacked from a blob that is already here.
    Extracting,
}

/// Receives progress. Called from several threads; must return quickly.
pub trait ProgressSink: Sync {
    /// Takes note of one event.
    fn report(&self, event: ProgressEvent);
}

/// Takes no note of anything.
impl ProgressSink for () {
    fn report(&self, _: ProgressEvent) {}
}

impl<F: Fn(ProgressEvent) + Sync> ProgressSink for F {
    fn report(&self, event: ProgressEvent) {
        self(event);
    }
}
