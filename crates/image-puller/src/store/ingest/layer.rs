//! One layer: from its blob to an unpacked directory.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::digest::Digest;
use crate::image_manifest::{Configuration, Descriptor, Manifest};
use crate::layer::{Budget, UnpackError, Unpacked, Unsettled, View, unpack};
use crate::progress::ProgressEvent;
use crate::store::StoreError;
use crate::store::layer_directory::{Staging, Usable, usable};
use crate::store::lock::Lock;
use crate::store::record::LayerRecord;

use super::blob_reader::BlobReader;
use super::{Ingest, LayerError, Shared};

/// A layer of the image that is being brought in.
#[derive(Debug)]
pub(crate) struct LayerPlan {
    pub(crate) blob: Descriptor,
    pub(crate) diff_id: Digest,
    pub(crate) chain_id: Digest,
}

/// What a layer is before the layers below are considered.
#[derive(Debug)]
pub(crate) enum Prepared {
    /// In its place.
    Placed(Usable),
    /// Unpacked, but it depends on the layers below.
    Staged { staging: Staging, record: LayerRecord, unsettled: Box<Unsettled> },
}

impl LayerPlan {
    pub(crate) fn store_error(&self, source: StoreError) -> LayerError {
        LayerError::Store { layer: self.blob.digest.clone(), source }
    }

    pub(crate) fn system<'a>(
        &'a self,
        action: &'static str,
        path: &'a Path,
    ) -> impl FnOnce(io::Error) -> LayerError + 'a {
        move |error| self.store_error(StoreError::system(action, path)(error))
    }
}

pub(crate) fn plan(manifest: &Manifest, configuration: &Configuration) -> Vec<LayerPlan> {
    let mut below: Option<Digest> = None;
    let mut plans = Vec::new();
    for (blob, diff_id) in manifest.layers.iter().zip(&configuration.diff_ids) {
        let chain_id = Digest::chain(below.as_ref(), diff_id);
        below = Some(chain_id.clone());
        plans.push(LayerPlan { blob: blob.clone(), diff_id: diff_id.clone(), chain_id });
    }
    plans
}

/// The largest layer decides how long it takes, so it goes first.
pub(crate) fn largest_first(layers: &[LayerPlan]) -> VecDeque<usize> {
    let mut order: Vec<usize> = (0..layers.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(layers[*index].blob.size));
    order.into()
}

impl Ingest<'_> {
    /// Takes the layer from the store if it is there, else from its blob. One process at a time
    /// per blob; the others find it done.
    pub(super) fn prepare(
        &self,
        plan: &LayerPlan,
        shared: &Shared,
    ) -> Result<Prepared, LayerError> {
        let places = &self.store.places;
        let lock = places.lock(plan.blob.digest.hex());
        let _lock = Lock::exclusive(&lock).map_err(plan.system("lock", &lock))?;
        let ids = (&plan.diff_id, &plan.chain_id);
        let present = usable(places, ids, &plan.blob.digest, &self.store.now)
            .map_err(plan.system("read", &places.layers()))?;
        if let Some(layer) = present {
            if !shared.budget.take(layer.bytes) {
                let layer = plan.blob.digest.clone();
                return Err(LayerError::Unpack { layer, source: UnpackError::image_too_large() });
            }
            self.sink.report(ProgressEvent::LayerPresent { layer: plan.blob.digest.clone() });
            return Ok(Prepared::Placed(layer));
        }
        let staging = Staging::create(places).map_err(plan.system("create", &places.tmp()))?;
        // The first layer has nothing below, and what is below the others is not known yet.
        let nothing = View::new(Vec::new());
        let lower = Some(&nothing).filter(|_| plan.chain_id == plan.diff_id);
        let unpacked = self.obtain(plan, (&staging, lower), shared)?;
        self.report_done(plan, &unpacked);
        let standalone = unpacked.unsettled.is_empty();
        let record = self.layer_record(plan, &unpacked, standalone);
        if !standalone {
            let unsettled = Box::new(unpacked.unsettled);
            return Ok(Prepared::Staged { staging, record, unsettled });
        }
        staging
            .commit(&plan.diff_id, &record, &self.store.now)
            .map_err(plan.system("write", &places.layers()))?;
        Ok(Prepared::Placed(Usable {
            id: plan.diff_id.clone(),
            root_given: record.root_given,
            bytes: record.bytes,
        }))
    }

    /// Unpacks the blob that is here; fetches it if it is not, or not what it should be.
    fn obtain(
        &self,
        plan: &LayerPlan,
        (staging, lower): (&Staging, Option<&View>),
        shared: &Shared,
    ) -> Result<Unpacked, LayerError> {
        let path = self.store.places.blob(&plan.blob.digest);
        match open_regular(&path) {
            Ok(file) => match self.unpack(plan, Box::new(file), (staging, lower), (None, shared)) {
                // Other bytes than there should be, or a disk that cannot read them any more.
                Err(
                    LayerError::Digest { .. } | LayerError::Size { .. } | LayerError::Source { .. },
                ) => {
                    self.store.places.discard(&path).map_err(plan.system("remove", &path))?;
                    let fresh = Staging::create(&self.store.places)
                        .map_err(plan.system("create", &path))?;
                    staging.replace_with(fresh).map_err(plan.system("create", &path))?;
                    self.fetch(plan, (staging, lower), shared)
                }
                result => result,
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.fetch(plan, (staging, lower), shared)
            }
            Err(error) => Err(plan.system("read", &path)(error)),
        }
    }

    fn fetch(
        &self,
        plan: &LayerPlan,
        (staging, lower): (&Staging, Option<&View>),
        shared: &Shared,
    ) -> Result<Unpacked, LayerError> {
        let layer = plan.blob.digest.clone();
        let source =
            self.source.open(&plan.blob).map_err(|source| LayerError::Source { layer, source })?;
        let aside = self.store.places.fresh();
        let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside);
        let copy = options.map_err(plan.system("create", &aside))?;
        let unpacked = self.unpack(plan, source, (staging, lower), (Some(copy), shared));
        let path = self.store.places.blob(&plan.blob.digest);
        match unpacked {
            Ok(unpacked) => {
                std::fs::rename(&aside, &path).map_err(plan.system("write", &path))?;
                Ok(unpacked)
            }
            Err(error) => {
                let _ = std::fs::remove_file(&aside); // the first failure is the one to tell
                Err(error)
            }
        }
    }

    /// Unpacks again, now that the layers below are known.
    pub(super) fn unpack_onto(
        &self,
        plan: &LayerPlan,
        staging: &Staging,
        lower: &View,
    ) -> Result<Unpacked, LayerError> {
        let path = self.store.places.blob(&plan.blob.digest);
        let file = open_regular(&path).map_err(plan.system("read", &path))?;
        let shared = Shared {
            stop: false.into(),
            fetched: 0.into(),
            queue: std::sync::Mutex::new(VecDeque::new()),
            budget: Budget::new(self.options.limits.image_bytes),
        };
        self.unpack(plan, Box::new(file), (staging, Some(lower)), (None, &shared))
    }

    fn unpack(
        &self,
        plan: &LayerPlan,
        source: Box<dyn io::Read + '_>,
        (staging, lower): (&Staging, Option<&View>),
        (copy, shared): (Option<File>, &Shared),
    ) -> Result<Unpacked, LayerError> {
        let fetching = copy.is_some();
        let root = staging.open().map_err(plan.system("open", &staging.tree()))?;
        let mut reader = BlobReader::new(source, &plan.blob, copy, (self.sink, &shared.stop));
        let result = unpack(&mut reader, root, lower, (self.options.limits, &shared.budget));
        if fetching {
            shared.fetched.fetch_add(reader.count(), Ordering::Relaxed);
        }
        // A blob that is not the right one explains every other failure.
        reader.finish()?;
        let layer = plan.blob.digest.clone();
        let unpacked = result.map_err(|source| LayerError::Unpack { layer, source })?;
        if unpacked.diff_id == plan.diff_id {
            return Ok(unpacked);
        }
        Err(LayerError::DiffId {
            layer: plan.blob.digest.clone(),
            expected: plan.diff_id.clone(),
            found: unpacked.diff_id,
        })
    }

    pub(super) fn layer_record(
        &self,
        plan: &LayerPlan,
        unpacked: &Unpacked,
        standalone: bool,
    ) -> LayerRecord {
        LayerRecord {
            written: self.store.now.clone(),
            diff_id: plan.diff_id.clone(),
            standalone,
            root_given: unpacked.root_given,
            blobs: vec![plan.blob.digest.clone()],
            bytes: unpacked.bytes,
            entries: unpacked.entries,
        }
    }

    fn report_done(&self, plan: &LayerPlan, unpacked: &Unpacked) {
        for reason in &unpacked.skipped {
            self.sink.report(ProgressEvent::Skipped {
                layer: plan.blob.digest.clone(),
                reason: reason.clone(),
            });
        }
        let (layer, bytes) = (plan.blob.digest.clone(), plan.blob.size);
        self.sink.report(ProgressEvent::LayerDone { layer, bytes });
    }
}

/// Opens a file without waiting for anybody: a FIFO or a device in its place is an error.
pub(crate) fn open_regular(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let flags = flags.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
    }
}
