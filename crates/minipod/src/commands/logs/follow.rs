//! `logs -f`: on and on, until the container has ended.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use pod_api::follow::{Change, Follower};
use pod_api::journal::Verb;
use pod_api::log_instance::{self, Instance};
use pod_api::log_stream::LogStream;
use pod_api::pods::FoundPod;
use pod_api::watch::Woken;
use pod_api::{Object, Resource};

use super::{Options, places};
use crate::cli::PlaceArgs;
use crate::failure::Failure;
use crate::screen;
use columns::pods::is_abandoned;

/// A container that is followed.
struct Followed {
    found: FoundPod,
    container: String,
    latest: Pod,
    is_gone: bool,
    stream: Option<(Instance, LogStream)>,
    told: bool,
    is_over: bool,
}

pub(super) fn run(
    args: &PlaceArgs,
    wanted: Vec<(FoundPod, String)>,
    options: &Options<'_>,
) -> Result<(), Failure> {
    let mut follower = Follower::new(&places(args), &[Resource::Pod])?;
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

    fn learn(&mut self, change: &Change) {
        match (&change.object, change.verb) {
            (Object::Pod(pod), _) if pod.metadata.uid != self.latest.metadata.uid => {}
            (Object::Pod(_), Verb::Deleted) => self.is_gone = true,
            (Object::Pod(pod), _) => self.latest = (**pod).clone(),
            _ => {}
        }
    }

    /// Prints what is new. A container that does not run yet is waited for, until it is late.
    fn advance(
        &mut self,
        args: &PlaceArgs,
        follower: &Follower,
        options: &Options<'_>,
        is_late: bool,
    ) -> Result<(), Failure> {
        let cannot_start = self.is_gone || is_abandoned(&self.latest);
        if self.stream.is_none() {
            let previous = options.logs.previous;
            let instance = match log_instance::choose(&self.latest, &self.container, previous) {
                Ok(instance) => instance,
                Err(error) if is_late || cannot_start => {
                    return Err(super::cannot_show(error, &self.found));
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.told, true) {
                        screen::narrate(&Failure::from(error).to_string());
                    }
                    return Ok(());
                }
            };
            let stream = LogStream::new(
                &places(args),
                &self.found,
                &self.container,
                &instance,
                &options.shown,
            );
            self.stream = Some((instance, stream));
        }
        let Some((instance, stream)) = &mut self.stream else {
            return Ok(());
        };
        // What is known of the container comes before its log is read, so that nothing is missed.
        let ended = options.logs.previous
            || cannot_start
            || log_instance::has_ended(&self.latest, &self.container, instance);
        if let Some(directory) = stream.path().parent() {
            let _ = follower.also_watch(directory); // not there, then nothing will come
        }
        let _ = follower.also_watch(stream.path()); // the same
        stream.read(screen::answer_bytes)?;
        self.is_over = ended || stream.is_exhausted();
        Ok(())
    }
}
