//! Images that are needed later, fetched while the containers before are starting and running.
//!
//! Nothing of it is told before a container's turn comes: then what was fetched counts as pulled
//! for it, with the time that it really took; a failure is forgotten, and the pull is tried again
//! as if it were the first time. One image is fetched after the other, and none while a container
//! is waiting for its own.

use std::collections::{BTreeMap, VecDeque};

use image_puller::Reference;
use pod_lifecycle::PullReport;
use pod_model::{ContainerName, PullPolicy};

use super::images::{pull_result, start_worker};
use super::tasks::{Finished, Purpose};
use super::{Context, LinuxHost};
use crate::plan;
use crate::pull_worker::PullResult;
use crate::volumes::{VolumeImage, wanted_images};

/// Who waits for a pull: a container, for its own image or one of its volumes'.
pub(super) type Waiting = (ContainerName, Option<VolumeImage>);

/// What is fetched ahead, by the images' full names.
#[derive(Debug, Default)]
pub(super) struct Prefetch {
    /// What is still to be looked at; nothing has been planned before the first image is ready.
    queue: Option<VecDeque<(Reference, ContainerName)>>,
    running: Option<(String, Option<Waiting>)>,
    fetched: BTreeMap<String, (String, PullReport)>,
}

impl Prefetch {
    /// Whether the image is in the store only because it was fetched ahead.
    pub(super) fn has_brought(&self, reference: &Reference) -> bool {
        let name = reference.to_string();
        self.fetched.contains_key(&name)
            || self.running.as_ref().is_some_and(|(running, _)| *running == name)
    }

    /// Hands out what was fetched: from now on the image is one that is there.
    pub(super) fn take(&mut self, reference: &Reference) -> Option<(String, PullReport)> {
        self.fetched.remove(&reference.to_string())
    }

    /// Lets somebody wait for the image, if it is just being fetched.
    pub(super) fn join(&mut self, reference: &Reference, waiting: Waiting) -> Result<(), Waiting> {
        match &mut self.running {
            Some((running, who @ None)) if *running == reference.to_string() => {
                *who = Some(waiting);
                Ok(())
            }
            _ => Err(waiting),
        }
    }

    /// The images in the order in which they will be looked for: a container's volumes come before
    /// its own.
    fn plan(context: &Context) -> VecDeque<(Reference, ContainerName)> {
        let input = context.input(&[]);
        let mut queue = VecDeque::new();
        for spec in &context.pod.containers {
            let container = plan::container_named(&context.pod, spec.name.as_str());
            let volumes = container.into_iter().flat_map(|one| wanted_images(&input, one));
            let images = volumes.map(|wanted| (wanted.image, wanted.policy));
            for (image, policy) in images.chain([(spec.image.clone(), spec.pull_policy)]) {
                let reference = Reference::parse(&image).ok();
                let reference = reference.filter(|_| policy != PullPolicy::Never);
                queue.extend(reference.map(|reference| (reference, spec.name.clone())));
            }
        }
        queue
    }
}

impl LinuxHost {
    /// Begins with the next image that is not here, unless something is being pulled already.
    pub(super) fn fetch_ahead(&mut self) {
        let is_pulling =
            |purpose: &Purpose| matches!(purpose, Purpose::Pull(..) | Purpose::Prefetch(_));
        if self.tasks.any(is_pulling) {
            return;
        }
        let planned = self.prefetch.queue.take();
        let mut queue = planned.unwrap_or_else(|| Prefetch::plan(&self.context));
        while let Some((reference, name)) = queue.pop_front() {
            let is_known = self.images.contains_key(&name) || self.prefetch.has_brought(&reference);
            if is_known || !matches!(self.find_image(&reference), Ok(None)) {
                continue;
            }
            if let Ok((child, output)) = start_worker(&self.pull_order(&reference)) {
                let name = reference.to_string();
                self.prefetch.running = Some((name.clone(), None));
                self.tasks.add(Purpose::Prefetch(name), child, Some(output));
                break;
            } // else its turn will show what is wrong
        }
        self.prefetch.queue = Some(queue);
    }

    /// Something was fetched ahead, or not. Who waits for it by now learns how it went.
    pub(super) fn prefetch_finished(&mut self, name: &str, finished: &Finished) {
        let running = self.prefetch.running.take().filter(|(running, _)| running == name);
        match (running, pull_result(finished)) {
            (Some((_, Some((container, volume)))), result) => {
                self.take_result(container, volume, result);
            }
            (_, PullResult::Pulled { image_id, took, took_with_waiting, bytes }) => {
                let report = PullReport { took, took_with_waiting, bytes };
                self.prefetch.fetched.insert(name.to_owned(), (image_id, report));
            }
            (_, PullResult::Failed { .. }) => {}
        }
        self.fetch_ahead();
    }
}
