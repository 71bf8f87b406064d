//! Pulls one image for a pod, in a process of its own.
//!
//! The supervisor has one thread and no TLS in it; the pull has both and is gone when it is done.
//! The order comes as JSON on the command line's last argument, the result leaves as JSON.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use image_puller::{PullOptions, Puller, Reference, Store};
use serde::{Deserialize, Serialize};

use crate::linux_host::image_id;
use crate::pull_progress::Recorder;
use pod_api::text::chain;

/// The hidden subcommand that pulls; the order comes on its standard input.
pub const PULL_WORKER: &str = "pull-worker";

/// What to pull.
#[derive(Debug, Serialize, Deserialize)]
pub struct PullOrder {
    /// The image.
    pub reference: String,
    /// The image store.
    pub store: PathBuf,
    /// Contents of the pod's `imagePullSecrets`, in the format of `~/.docker/config.json`.
    pub docker_configs: Vec<String>,
    /// The pod's directory, where it can be seen how far the pull is.
    pub directory: PathBuf,
}

/// How a pull went.
#[derive(Debug, Serialize, Deserialize)]
pub enum PullResult {
    /// The image is in the store.
    Pulled {
        /// `imageID` of the container status.
        image_id: String,
        /// Time of the pull itself.
        took: Duration,
        /// Time including waiting for other pulls.
        took_with_waiting: Duration,
        /// Size of the image in bytes.
        bytes: u64,
    },
    /// It is not.
    Failed {
        /// Whether the registry does not answer at all.
        unreachable: bool,
        /// Whether pulling again cannot help until somebody changes something.
        permanent: bool,
        /// Why, with its causes.
        message: String,
    },
}

/// Carries out one order; the whole life of the hidden subcommand [`PULL_WORKER`].
pub fn run(order: &PullOrder) -> PullResult {
    let started = Instant::now();
    let _ = sandbox::hide_from_others(); // it has passwords, and as many privileges as keep out others
    match pull(order) {
        Ok((image_id, bytes)) => {
            let took = started.elapsed();
            PullResult::Pulled { image_id, took, took_with_waiting: took, bytes }
        }
        Err(failure) => failure,
    }
}

/// A tag that has moved on, or a registry that does not answer, is no reason not to start from the
/// image that is here, if that is what is wanted: images of the tag `latest` are pulled each time
/// unless the manifest says otherwise.
const HERE: &str = "; the image is here already and imagePullPolicy: IfNotPresent uses it";

fn is_here(store: &Store, reference: &Reference) -> bool {
    store.find(reference).is_ok_and(|found| found.is_some())
}

fn pull(order: &PullOrder) -> Result<(String, u64), PullResult> {
    let failed = |error: &dyn std::error::Error, unreachable, permanent| PullResult::Failed {
        unreachable,
        permanent,
        message: chain(error),
    };
    let parsed = Reference::parse(&order.reference);
    let reference = parsed.map_err(|error| failed(&error, false, true))?;
    let store = Store::open(&order.store).map_err(|error| failed(&error, false, false))?;
    let is_here = is_here(&store, &reference);
    let options = PullOptions::from_environment();
    let mut options = options.map_err(|error| failed(&error, false, true))?;
    options.docker_configs.extend(order.docker_configs.iter().cloned());
    let progress = Recorder::new(&order.directory, &order.reference);
    let pulled = Puller::new(store, options).pull(&reference, &progress).map_err(|error| {
        PullResult::Failed {
            unreachable: error.is_unreachable(),
            permanent: error.is_permanent(),
            message: chain(&error) + if is_here { HERE } else { "" },
        }
    })?;
    Ok((image_id(&pulled.image, &pulled.reference), pulled.image.size))
}
