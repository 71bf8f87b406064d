//! Changes of the pod: of its record, of what later starts are made from, and of its lifecycle.

use std::time::Duration;

use pod_lifecycle::{Fact, Update};
use pod_model::{ContainerName, PodUpdate};

use super::LinuxHost;

impl LinuxHost {
    /// Makes the change, or says why it is not made.
    pub(super) fn update(&mut self, update: &PodUpdate) -> Result<(), String> {
        let mut object = self.record.pod().clone();
        update.apply_to(&mut object);
        let deadline = object.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
        let pod = pod_model::from_object(object.clone()).map_err(|error| error.to_string())?;
        let is_gated = pod.is_gated;
        self.context.pod = pod;
        let recorded = self.record.update(|recorded| {
            recorded.metadata = object.metadata;
            recorded.spec = object.spec;
        });
        if let Err(error) = recorded {
            self.write_later(&error);
        }
        let images = update.images.iter().filter_map(|(name, image)| {
            ContainerName::parse(name).ok().map(|name| (name, image.clone()))
        });
        self.facts.push_back(Fact::Updated(Update {
            images: images.collect(),
            active_deadline: deadline
                .and_then(|limit| u64::try_from(limit).ok())
                .map(Duration::from_secs),
            is_gated,
        }));
        Ok(())
    }
}
