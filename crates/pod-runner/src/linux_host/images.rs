//! Images: found in the store at once, or pulled by a child process.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use image_puller::{Image, PullOptions, Reference, StoreError};
use pod_lifecycle::{Fact, ImageFailure, PullReport};
use pod_model::{ContainerName, PullPolicy};
use sandbox::Child;

use super::LinuxHost;
use super::output;
use super::tasks::{Ending, Finished, Purpose};
use crate::pull_worker::{PULL_WORKER, PullOrder, PullResult};
use crate::volumes::{self, VolumeImage};
use crate::{plan, secrets};
use pod_api::text::chain;

/// What is to be done about an image.
enum Answer {
    /// It is here, under that name.
    Found(Reference, Box<Image>),
    /// It was pulled for this pod before its turn came.
    Fetched(String, Box<Image>, PullReport),
    Pull(Reference),
    Failed(ImageFailure, String),
}

impl LinuxHost {
    /// Finds what the container needs: first the images that its volumes show, then its own.
    pub(super) fn ensure_image(&mut self, name: ContainerName) {
        self.warn_of_secrets();
        while let Some(wanted) = self.wanted_volume_image(&name) {
            match self.look_up(&wanted.image, wanted.policy) {
                Answer::Found(_, found) => self.take_volume_image(wanted, *found, None),
                Answer::Fetched(_, found, report) => {
                    let image = wanted.image.clone();
                    self.facts.push_back(Fact::VolumeImagePulling { image });
                    self.take_volume_image(wanted, *found, Some(report));
                }
                Answer::Pull(reference) => return self.pull(name, Some(wanted), &reference),
                Answer::Failed(failure, message) => {
                    let image = wanted.image;
                    let fact = Fact::VolumeImageFailed { name, image, failure, message };
                    return self.facts.push_back(fact);
                }
            }
        }
        let Some(spec) = self.context.pod.container(&name) else {
            let message = format!("there is no container {name}");
            let failure = ImageFailure::Inspect;
            return self.facts.push_back(Fact::ImageFailed { name, failure, message });
        };
        let (image, policy) = (spec.image.clone(), spec.pull_policy);
        match self.look_up(&image, policy) {
            Answer::Found(reference, found) => {
                let image_id = image_id(&found, &reference);
                self.image_ready(name, (image_id, *found), None);
            }
            Answer::Fetched(image_id, found, report) => {
                self.facts.push_back(Fact::ImagePulling { name: name.clone() });
                self.image_ready(name, (image_id, *found), Some(report));
            }
            Answer::Pull(reference) => self.pull(name, None, &reference),
            Answer::Failed(failure, message) => {
                self.facts.push_back(Fact::ImageFailed { name, failure, message });
            }
        }
    }

    /// A container has its image, and what comes later may be fetched.
    fn image_ready(
        &mut self,
        name: ContainerName,
        (image_id, image): (String, Image),
        pulled: Option<PullReport>,
    ) {
        self.images.insert(name.clone(), image);
        self.facts.push_back(Fact::ImageReady { name, image_id, pulled });
        self.fetch_ahead();
    }

    /// Tells once which of the pod's pull secrets do not exist.
    fn warn_of_secrets(&mut self) {
        if std::mem::replace(&mut self.has_looked_for_secrets, true) {
            return;
        }
        let missing = secrets::missing_pull_secrets(&self.context);
        if !missing.is_empty() {
            let message = format!(
                "Unable to retrieve some image pull secrets ({}); attempting to pull the image may \
                 not succeed.",
                missing.join(", ")
            );
            let reason = "FailedToRetrieveImagePullSecret";
            self.facts.push_back(Fact::Warned { reason, message });
        }
    }

    fn wanted_volume_image(&self, name: &ContainerName) -> Option<VolumeImage> {
        let container = plan::container_named(&self.context.pod, name.as_str())?;
        volumes::wanted_images(&self.context.input(&[]), container).next()
    }

    fn take_volume_image(&mut self, wanted: VolumeImage, found: Image, pulled: Option<PullReport>) {
        self.context.volume_images.insert(wanted.volume, found.layers);
        self.facts.push_back(Fact::VolumeImageReady { image: wanted.image, pulled });
    }

    /// Looks into the store, as far as the pull policy allows to be content with it.
    fn look_up(&mut self, image: &str, policy: PullPolicy) -> Answer {
        let reference = match Reference::parse(image) {
            Ok(reference) => reference,
            Err(error) => {
                let message = format!(
                    "Failed to apply default image tag \"{image}\": couldn't parse image name \
                     \"{image}\": {}",
                    chain(&error)
                );
                return Answer::Failed(ImageFailure::InvalidName, message);
            }
        };
        if policy == PullPolicy::Always {
            self.prefetch.take(&reference); // it may have changed since
            return Answer::Pull(reference);
        }
        let found = match policy {
            // Before its turn it is not here for those who may not pull it.
            PullPolicy::Never if self.prefetch.has_brought(&reference) => Ok(None),
            _ => self.find_image(&reference),
        };
        match found {
            Ok(Some((known_as, found))) => match self.prefetch.take(&reference) {
                Some((image_id, report)) => Answer::Fetched(image_id, Box::new(found), report),
                None => Answer::Found(known_as, Box::new(found)),
            },
            Ok(None) if policy == PullPolicy::Never => {
                let message =
                    format!("Container image \"{image}\" is not present with pull policy of Never");
                Answer::Failed(ImageFailure::NeverPull, message)
            }
            Ok(None) => Answer::Pull(reference),
            Err(error) => {
                let message = format!("Failed to inspect image \"{image}\": {}", chain(&error));
                Answer::Failed(ImageFailure::Inspect, message)
            }
        }
    }

    fn pull(&mut self, name: ContainerName, volume: Option<VolumeImage>, reference: &Reference) {
        let pulling = match &volume {
            Some(wanted) => Fact::VolumeImagePulling { image: wanted.image.clone() },
            None => Fact::ImagePulling { name: name.clone() },
        };
        let (name, volume) = match self.prefetch.join(reference, (name, volume)) {
            Ok(()) => return self.facts.push_back(pulling),
            Err(waiting) => waiting,
        };
        match start_worker(&self.pull_order(reference)) {
            Ok((child, output)) => {
                self.facts.push_back(pulling);
                self.tasks.add(Purpose::Pull(name, volume), child, Some(output));
            }
            Err(error) => {
                let message = format!("cannot start the pull: {error}");
                self.pull_failed(name, volume, (ImageFailure::Pull, message));
            }
        }
    }

    pub(super) fn pull_order(&self, reference: &Reference) -> PullOrder {
        PullOrder {
            reference: reference.as_written(),
            store: self.context.settings.places.images(),
            docker_configs: secrets::pull_secrets(&self.context),
            directory: self.context.dir.path().to_owned(),
        }
    }

    /// The image with this name and the name that it has in full, pinned so that nobody cleans it
    /// up.
    pub(super) fn find_image(
        &mut self,
        reference: &Reference,
    ) -> Result<Option<(Reference, Image)>, StoreError> {
        if let Some(found) = self.find_pinned(reference)? {
            return Ok(Some((reference.clone(), found)));
        }
        // A short name may stand for another image (registries.conf). What is wrong with the
        // configuration is told by the pull.
        let options = if reference.names_its_registry() {
            None
        } else {
            PullOptions::from_environment().ok()
        };
        let candidates = options.and_then(|options| options.candidates(reference).ok());
        for candidate in candidates.unwrap_or_default() {
            if let Some(found) = self.find_pinned(&candidate)? {
                return Ok(Some((candidate, found)));
            }
        }
        Ok(None)
    }

    fn find_pinned(&mut self, reference: &Reference) -> Result<Option<Image>, StoreError> {
        let Some(found) = self.store.find(reference)? else { return Ok(None) };
        if !self.pins.contains_key(&found.manifest_digest) {
            let Some(pin) = self.store.pin(&found)? else { return Ok(None) };
            self.pins.insert(found.manifest_digest.clone(), pin);
        }
        Ok(Some(found))
    }

    /// A pull ended; its last words are the result.
    pub(super) fn pull_finished(
        &mut self,
        name: ContainerName,
        volume: Option<VolumeImage>,
        finished: &Finished,
    ) {
        self.take_result(name, volume, pull_result(finished));
        self.fetch_ahead();
    }

    pub(super) fn take_result(
        &mut self,
        name: ContainerName,
        volume: Option<VolumeImage>,
        result: PullResult,
    ) {
        match result {
            PullResult::Pulled { image_id, took, took_with_waiting, bytes } => {
                let report = PullReport { took, took_with_waiting, bytes };
                self.take_pulled(name, volume, (image_id, report));
            }
            PullResult::Failed { unreachable, permanent, message } => {
                let failure = match (unreachable, permanent) {
                    (true, true) => ImageFailure::NoRegistry,
                    (true, false) => ImageFailure::Registry,
                    (false, true) => ImageFailure::Refused,
                    (false, false) => ImageFailure::Pull,
                };
                self.pull_failed(name, volume, (failure, message));
            }
        }
    }

    fn pull_failed(
        &mut self,
        name: ContainerName,
        volume: Option<VolumeImage>,
        (failure, message): (ImageFailure, String),
    ) {
        self.facts.push_back(match volume {
            Some(VolumeImage { image, .. }) => {
                Fact::VolumeImageFailed { name, image, failure, message }
            }
            None => Fact::ImageFailed { name, failure, message },
        });
    }

    fn take_pulled(
        &mut self,
        name: ContainerName,
        volume: Option<VolumeImage>,
        (image_id, report): (String, PullReport),
    ) {
        let own = self.context.pod.container(&name).map(|spec| spec.image.as_str());
        let image = volume.as_ref().map(|wanted| wanted.image.as_str()).or(own);
        let reference = image.and_then(|image| Reference::parse(image).ok());
        let found = reference.map(|reference| self.find_image(&reference));
        match (found, volume) {
            (Some(Ok(Some((_, image)))), Some(wanted)) => {
                self.take_volume_image(wanted, image, Some(report));
                self.ensure_image(name); // there may be more to find
            }
            (Some(Ok(Some((_, image)))), None) => {
                self.image_ready(name, (image_id, image), Some(report));
            }
            (_, volume) => {
                let message = "the image was pulled and is gone from the store again".to_owned();
                self.pull_failed(name, volume, (ImageFailure::Inspect, message));
            }
        }
    }
}

/// `imageID`: the repository with the digest that the registry knows the image by.
pub(crate) fn image_id(image: &Image, reference: &Reference) -> String {
    let digest = image.index_digest.as_ref().unwrap_or(&image.manifest_digest);
    format!("{}/{}@{digest}", reference.registry(), reference.repository())
}

pub(super) fn pull_result(finished: &Finished) -> PullResult {
    serde_json::from_slice(&finished.output).unwrap_or_else(|_| PullResult::Failed {
        unreachable: false,
        permanent: false,
        message: match &finished.ending {
            Ending::Exited(exit) => format!("the pull ended with exit code {}", exit.code),
            Ending::NotStarted(error) => error.to_string(),
            Ending::TimedOut => "the pull took too long".into(),
        },
    })
}

/// Starts a process that pulls: ours again, from the beginning, because it needs threads.
pub(super) fn start_worker(order: &PullOrder) -> io::Result<(Child, OwnedFd)> {
    let (reader, writer) = output::pipe()?;
    let mut worker = Command::new("/proc/self/exe")
        .arg(PULL_WORKER)
        .stdin(Stdio::piped())
        .stdout(Stdio::from(writer))
        .spawn()?;
    if let Some(mut stdin) = worker.stdin.take() {
        stdin.write_all(&serde_json::to_vec(order)?)?;
    }
    Ok((Child::adopt(worker)?, reader))
}
