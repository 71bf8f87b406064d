//! The second step for layers that depend on those below.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::layer::{Rule, Settled, UnpackError, Unsettled, View, root_is_plain, settle};
use crate::store::layer_directory::Staging;
use crate::store::record::LayerRecord;

use super::layer::{LayerPlan, Prepared};
use super::{Ingest, LayerError};

impl Ingest<'_> {
    /// Puts a layer into its place on top of `below` and says where that is.
    pub(super) fn place(
        &self,
        plan: &LayerPlan,
        prepared: Prepared,
        below: Vec<PathBuf>,
    ) -> Result<Digest, LayerError> {
        let lower = View::new(below);
        match prepared {
            Prepared::Placed(layer) => {
                let fits = lower.is_empty()
                    || layer.root_given
                    || layer.id == plan.chain_id
                    || root_is_plain(&lower).map_err(unpack_error(plan))?;
                if fits { Ok(layer.id) } else { self.place_again(plan, &lower) }
            }
            Prepared::Staged { staging, record, unsettled } => {
                let own = (&*unsettled, record.root_given);
                if unsettled.needs_lower.is_none()
                    && self.fit(plan, &staging, own, &lower)? == Settled::Fitting
                {
                    return self.commit(plan, staging, &record);
                }
                drop(staging);
                self.place_again(plan, &lower)
            }
        }
    }

    /// Unpacks the layer once more, with the layers below at hand.
    fn place_again(&self, plan: &LayerPlan, lower: &View) -> Result<Digest, LayerError> {
        let places = &self.store.places;
        let staging = Staging::create(places).map_err(plan.system("create", &places.tmp()))?;
        let unpacked = self.unpack_onto(plan, &staging, lower)?;
        let own = (&unpacked.unsettled, unpacked.root_given);
        if self.fit(plan, &staging, own, lower)? == Settled::UnpackAgain {
            // What is below was looked at on every way, so nothing implied can be one of these.
            let source =
                UnpackError::Refused { entry: String::new(), rule: Rule::ParentNotDirectory };
            return Err(unpack_error(plan)(source));
        }
        let record = self.layer_record(plan, &unpacked, false);
        self.commit(plan, staging, &record)
    }

    /// Makes of a layer what it is on top of those below.
    fn fit(
        &self,
        plan: &LayerPlan,
        staging: &Staging,
        own: (&Unsettled, bool),
        lower: &View,
    ) -> Result<Settled, LayerError> {
        let tree = staging.open().map_err(plan.system("open", &staging.tree()))?;
        settle(tree, own, lower).map_err(unpack_error(plan))
    }

    fn commit(
        &self,
        plan: &LayerPlan,
        staging: Staging,
        record: &LayerRecord,
    ) -> Result<Digest, LayerError> {
        let places = &self.store.places;
        staging
            .commit(&plan.chain_id, record, &self.store.now)
            .map_err(plan.system("write", &places.layers()))?;
        Ok(plan.chain_id.clone())
    }
}

fn unpack_error(plan: &LayerPlan) -> impl FnOnce(UnpackError) -> LayerError + '_ {
    |source| LayerError::Unpack { layer: plan.blob.digest.clone(), source }
}
