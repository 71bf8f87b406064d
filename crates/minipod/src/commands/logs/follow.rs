//! `logs -f`: on and on, until the container has ended.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use pod_api::Pods;
use pod_api::follow::{PodChange, PodsFollower};
use pod_api::pods::FoundPod;
use pod_api::watch::Woken;

use super::instance::{self, Instance};
use super::stream::Stream;
use super::{Options, places};
use crate::cli::PlaceArgs;
use crate::failure::Failure;
use crate::screen;
use crate::views::pods::is_abandoned;

/// A container that is followed.
struct Followed {
    found: FoundPod,
    container: String,
    latest: Pod,
    is_gone: bool,
    stream: Option<(Instance, Stream)>,
    told: bool,
    is_over: bool,
}

pub(super) fn run(
    args: &PlaceArgs,
    pods: &Pods,
    wanted: Vec<(FoundPod, String)>,
    options: &Options<'_>,
) -> Result<(), Failure> {
    let mut follower = PodsFollower::new(pods.clone())?;
    let mut all: Vec<Followed> = wanted.into_iter().map(Followed::new).collect();
    let patience = Instant::now() + options.logs.pod_running_timeout;
    let mut is_late = false;
    loop {
        for change in follower.changes()? {
            all.iter_mut().for_each(|one| one.learn(&change));
        }
        for one in all.iter_mut().filter(|one| !one.is_over) {
            match one.advance(args, &follower, options, is_late) {
                Err(failure) if options.logs.ignore_errors && !failure.is_silent() => {
                    screen::narrate(&failure.to_string());
                    one.is_over = true;
                }
                advanced => advanced?,
            }
        }
        if all.iter().all(|one| one.is_over) {
            return Ok(());
        }
        let waits = all.iter().any(|one| !one.is_over && one.stream.is_none());
        let deadline = waits.then_some(patience);
        is_late = follower.wait(None, deadline)? == Woken::TimedOut;
    }
}

impl Followed {
    fn new((found, container): (FoundPod, String)) -> Self {
        Self {
            latest: found.pod.clone(),
            found,
            container,
            is_gone: false,
            stream: None,
            told: false,
            is_over: false,
        }
    }

    fn learn(&mut self, change: &PodChange) {
        match change {
            PodChange::Version(pod) if pod.metadata.uid == self.latest.metadata.uid => {
                self.latest = (**pod).clone();
            }
            PodChange::Deleted(pod) if pod.metadata.uid == self.latest.metadata.uid => {
                self.is_gone = true;
            }
            _ => {}
        }
    }

    /// Prints what is new. A container that does not run yet is waited for, until it is late.
    fn advance(
        &mut self,
        args: &PlaceArgs,
        follower: &PodsFollower,
        options: &Options<'_>,
        is_late: bool,
    ) -> Result<(), Failure> {
        let cannot_start = self.is_gone || is_abandoned(&self.latest);
        if self.stream.is_none() {
            let previous = options.logs.previous;
            let instance = match instance::choose(&self.latest, &self.container, previous) {
                Ok(instance) => instance,
                Err(failure) if is_late || cannot_start => return Err(failure),
                Err(failure) => {
                    if !std::mem::replace(&mut self.told, true) {
                        screen::narrate(&failure.without_hint().to_string());
                    }
                    return Ok(());
                }
            };
            let names = (self.container.as_str(), &instance);
            let stream = Stream::new(&places(args), &self.found, names, options);
            self.stream = Some((instance, stream));
        }
        let Some((instance, stream)) = &mut self.stream else {
            return Ok(());
        };
        // What is known of the container comes before its log is read, so that nothing is missed.
        let ended = options.logs.previous
            || cannot_start
            || instance::has_ended(&self.latest, &self.container, instance);
        if let Some(directory) = stream.path().parent() {
            let _ = follower.also_watch(directory); // not there, then nothing will come
        }
        let _ = follower.also_watch(stream.path()); // the same
        stream.print()?;
        self.is_over = ended || stream.is_exhausted();
        Ok(())
    }
}
