//! The reader at the bottom of the pipe: counts, hashes, keeps a copy, and remembers why it
//! failed, so that a broken connection is not taken for a broken archive.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::digest::{Digest, Hasher};
use crate::image_manifest::Descriptor;
use crate::progress::{Phase, ProgressEvent, ProgressSink};

use super::LayerError;

/// Progress is reported once per this many bytes.
const REPORT_EVERY: u64 = 256 * 1024;

pub(crate) struct BlobReader<'a> {
    source: Box<dyn Read + 'a>,
    blob: &'a Descriptor,
    hasher: Hasher,
    count: u64,
    copy: Option<File>,
    stop: &'a AtomicBool,
    sink: &'a dyn ProgressSink,
    phase: Phase,
    reported: u64,
    failure: Option<Failure>,
}

#[derive(Debug)]
enum Failure {
    Source(io::Error),
    Copy(io::Error),
    TooLong,
    Cancelled,
}

impl<'a> BlobReader<'a> {
    /// Reads `blob` from `source`; `copy` receives the same bytes if they are to be kept.
    pub(crate) fn new(
        source: Box<dyn Read + 'a>,
        blob: &'a Descriptor,
        copy: Option<File>,
        (sink, stop): (&'a dyn ProgressSink, &'a AtomicBool),
    ) -> Self {
        let phase = if copy.is_some() { Phase::Downloading } else { Phase::Extracting };
        Self {
            source,
            blob,
            hasher: Hasher::default(),
            count: 0,
            copy,
            stop,
            sink,
            phase,
            reported: 0,
            failure: None,
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Reads what is left and says whether the blob is the right one.
    pub(crate) fn finish(mut self) -> Result<(), LayerError> {
        if self.failure.is_none() {
            let _ = io::copy(&mut self, &mut io::sink()); // a failure is remembered
        }
        let layer = self.blob.digest.clone();
        match self.failure {
            Some(Failure::Source(source)) => return Err(LayerError::Source { layer, source }),
            Some(Failure::Copy(source)) => {
                let path = std::path::Path::new("blobs");
                let source = super::StoreError::system("write", path)(source);
                return Err(LayerError::Store { layer, source });
            }
            Some(Failure::Cancelled) => return Err(LayerError::Cancelled { layer }),
            Some(Failure::TooLong) | None => {}
        }
        if self.count != self.blob.size {
            let (expected, found) = (self.blob.size, self.count);
            return Err(LayerError::Size { layer, expected, found });
        }
        let found: Digest = self.hasher.finish();
        if found == layer { Ok(()) } else { Err(LayerError::Digest { layer, found }) }
    }

    fn fail(&mut self, failure: Failure) -> io::Error {
        let text = format!("{failure:?}");
        self.failure = Some(failure);
        io::Error::other(text)
    }

    fn pull(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Failure::Cancelled);
        }
        // One byte more than there should be is asked for, to notice a blob that is too long.
        let left = self.blob.size.saturating_add(1).saturating_sub(self.count);
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = loop {
            match self.source.read(&mut buffer[..wanted]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if self.stop.load(Ordering::Relaxed) => return Err(Failure::Cancelled),
                result => break result.map_err(Failure::Source)?,
            }
        };
        self.count += count as u64;
        if self.count > self.blob.size {
            return Err(Failure::TooLong);
        }
        self.hasher.update(&buffer[..count]);
        if let Some(copy) = &mut self.copy {
            copy.write_all(&buffer[..count]).map_err(Failure::Copy)?;
        }
        Ok(count)
    }

    fn report(&mut self) {
        if self.count >= self.reported + REPORT_EVERY || self.count == self.blob.size {
            self.reported = self.count;
            self.sink.report(ProgressEvent::LayerProgress {
                layer: self.blob.digest.clone(),
                bytes: self.count,
                total: self.blob.size,
                phase: self.phase,
            });
        }
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.pull(buffer) {
            Ok(0) => Ok(0),
            Ok(count) => {
                self.report();
                Ok(count)
            }
            Err(failure) => Err(self.fail(failure)),
        }
    }
}
