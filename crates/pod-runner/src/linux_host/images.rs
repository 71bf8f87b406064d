//! Images: found in the store at once, or pulled by a child process.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use image_puller::{Image, Reference};
use pod_lifecycle::{Fact, ImageFailure, PullReport};
use pod_model::{ContainerName, PullPolicy};
use sandbox::Child;

use super::LinuxHost;
use super::output;
use super::tasks::{Ending, Finished, Purpose};
use crate::pull_worker::{PULL_WORKER, PullOrder, PullResult};
use crate::secrets;
use crate::text::chain;

/// What is to be done about a container's image.
enum Answer {
    Known(Fact),
    Pull(Reference),
}

impl LinuxHost {
    pub(super) fn ensure_image(&mut self, name: ContainerName) {
        match self.look_up(&name) {
            Answer::Known(fact) => self.facts.push_back(fact),
            Answer::Pull(reference) => self.pull(name, &reference),
        }
    }

    /// Looks into the store, as far as the pull policy allows to be content with it.
    fn look_up(&mut self, name: &ContainerName) -> Answer {
        let Some(spec) = self.context.pod.container(name) else {
            return failed(name, ImageFailure::Inspect, format!("there is no container {name}"));
        };
        let (image, policy) = (spec.image.clone(), spec.pull_policy);
        let reference = match Reference::parse(&image) {
            Ok(reference) => reference,
            Err(error) => {
                let message = format!(
                    "Failed to apply default image tag \"{image}\": couldn't parse image name \
                     \"{image}\": {}",
                    chain(&error)
                );
                return failed(name, ImageFailure::InvalidName, message);
            }
        };
        if policy == PullPolicy::Always {
            return Answer::Pull(reference);
        }
        match self.store.find(&reference) {
            Ok(Some(found)) => {
                let image_id = image_id(&found, &reference);
                self.images.insert(name.clone(), found);
                Answer::Known(Fact::ImageReady { name: name.clone(), image_id, pulled: None })
            }
            Ok(None) if policy == PullPolicy::Never => {
                let message =
                    format!("Container image \"{image}\" is not present with pull policy of Never");
                failed(name, ImageFailure::NeverPull, message)
            }
            Ok(None) => Answer::Pull(reference),
            Err(error) => {
                let message = format!("Failed to inspect image \"{image}\": {}", chain(&error));
                failed(name, ImageFailure::Inspect, message)
            }
        }
    }

    fn pull(&mut self, name: ContainerName, reference: &Reference) {
        let order = PullOrder {
            reference: reference.to_string(),
            store: self.context.settings.places.images(),
            docker_configs: secrets::pull_secrets(&self.context),
        };
        match start_worker(&order) {
            Ok((child, output)) => {
                self.facts.push_back(Fact::ImagePulling { name: name.clone() });
                self.tasks.add(Purpose::Pull(name), child, Some(output));
            }
            Err(error) => {
                let message = format!("cannot start the pull: {error}");
                let failure = ImageFailure::Pull;
                self.facts.push_back(Fact::ImageFailed { name, failure, message });
            }
        }
    }

    /// A pull ended; its last words are the result.
    pub(super) fn pull_finished(&mut self, name: ContainerName, finished: &Finished) {
        let fact = match pull_result(finished) {
            PullResult::Pulled { image_id, took, took_with_waiting, bytes } => {
                let pulled = Some(PullReport { took, took_with_waiting, bytes });
                self.take_pulled(name, image_id, pulled)
            }
            PullResult::Failed { unreachable, message } => {
                let failure = if unreachable { ImageFailure::Registry } else { ImageFailure::Pull };
                Fact::ImageFailed { name, failure, message }
            }
        };
        self.facts.push_back(fact);
    }

    fn take_pulled(
        &mut self,
        name: ContainerName,
        image_id: String,
        pulled: Option<PullReport>,
    ) -> Fact {
        let spec = self.context.pod.container(&name);
        let reference = spec.and_then(|spec| Reference::parse(&spec.image).ok());
        let found = reference.map(|reference| self.store.find(&reference));
        match found {
            Some(Ok(Some(image))) => {
                self.images.insert(name.clone(), image);
                Fact::ImageReady { name, image_id, pulled }
            }
            _ => Fact::ImageFailed {
                name,
                failure: ImageFailure::Inspect,
                message: "the image was pulled and is gone from the store again".into(),
            },
        }
    }
}

/// `imageID`: the repository with the digest that the registry knows the image by.
pub(crate) fn image_id(image: &Image, reference: &Reference) -> String {
    let digest = image.index_digest.as_ref().unwrap_or(&image.manifest_digest);
    format!("{}/{}@{digest}", reference.registry(), reference.repository())
}

fn failed(name: &ContainerName, failure: ImageFailure, message: String) -> Answer {
    Answer::Known(Fact::ImageFailed { name: name.clone(), failure, message })
}

fn pull_result(finished: &Finished) -> PullResult {
    serde_json::from_slice(&finished.output).unwrap_or_else(|_| PullResult::Failed {
        unreachable: false,
        message: match &finished.ending {
            Ending::Exited(exit) => format!("the pull ended with exit code {}", exit.code),
            Ending::NotStarted(error) => error.to_string(),
            Ending::TimedOut => "the pull took too long".into(),
        },
    })
}

/// Starts a process that pulls: ours again, from the beginning, because it needs threads.
fn start_worker(order: &PullOrder) -> io::Result<(Child, OwnedFd)> {
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
