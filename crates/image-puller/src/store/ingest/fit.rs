//! The second step for layers that depend on those below.

use std::path::PathBuf;

use crate::digest::Digest;
use crate::layer::{EntryPath, Rule, Settled, UnpackError, View, root_is_plain, settle};
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
            Prepared::Staged { needs_lower: Some(entry), .. } if lower.is_empty() => {
                let source = UnpackError::Refused { entry, rule: Rule::HardLinkMissing };
                Err(unpack_error(plan)(source))
            }
            Prepared::Staged { needs_lower: Some(_), .. } => self.place_again(plan, &lower),
            Prepared::Staged { staging, record, implied, .. } => {
                if self.fit(plan, (&staging, record.root_given), &implied, &lower)?
                    == Settled::UnpackAgain
                {
                    return self.place_again(plan, &lower);
                }
                self.commit(plan, staging, &record)
            }
        }
    }

    /// Unpacks the layer once more, with the layers below at hand.
    fn place_again(&self, plan: &LayerPlan, lower: &View) -> Result<Digest, LayerError> {
        let places = &self.store.places;
        let staging = Staging::create(places).map_err(plan.system("create", &places.tmp()))?;
        let unpacked = self.unpack_onto(plan, &staging, lower)?;
        let own = (&staging, unpacked.root_given);
        if self.fit(plan, own, &unpacked.implied, lower)? == Settled::UnpackAgain {
            // Links below were followed this time, so nothing implied can be one.
            let source = UnpackError::Refused { entry: String::new(), rule: Rule::LinkLoop };
            return Err(unpack_error(plan)(source));
        }
        let record = self.layer_record(plan, &unpacked, false);
        self.commit(plan, staging, &record)
    }

    /// Gives implied directories, and the root if it is one, what the layers below say.
    fn fit(
        &self,
        plan: &LayerPlan,
        (staging, root_given): (&Staging, bool),
        implied: &[EntryPath],
        lower: &View,
    ) -> Result<Settled, LayerError> {
        if lower.is_empty() {
            return Ok(Settled::Fitting);
        }
        let root = EntryPath::default();
        let all: Vec<EntryPath> = if root_given {
            implied.to_vec()
        } else {
            std::iter::once(root).chain(implied.iter().cloned()).collect()
        };
        let tree = staging.open().map_err(plan.system("open", &staging.tree()))?;
        settle(tree, &all, lower).map_err(unpack_error(plan))
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
