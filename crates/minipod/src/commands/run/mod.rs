//! `run`: pods in the foreground, until they have ended.

mod launching;
mod watched;

use std::io::{IsTerminal, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use pod_api::delete::Deletion;
use pod_api::follow::{Change, Follower};
use pod_api::journal::Verb;
use pod_api::settings::OfRun;
use pod_api::watch::Woken;
use pod_api::{Api, Object, Resource, Settings, pods};
use pod_runner::LinuxMachine;
use pod_runner::pull_progress;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::images::Board;
use super::run_output::OpenLine;
use super::{post_mortem, require_root, settings, wait};
use crate::cli::{PlaceArgs, RunArgs, Until};
use crate::failure::{Failure, Kind};
use crate::manifest;
use crate::{screen, service_manager};
use columns::events;
use launching::Created;
pub(super) use launching::wait_for_ports;
use watched::Watched;

pub(crate) fn run(args: &PlaceArgs, run: &RunArgs) -> Result<ExitCode, Failure> {
    let file = std::slice::from_ref(&run.file);
    let objects = manifest::read_with_files(file, args, run.manifest, manifest::NAMED)?;
    require_root()?;
    launching::require_pod(&objects)?;
    let settings = Settings { of_run: Some(of_run(run)), ..settings(args) };
    let api = Api::new(settings, Arc::new(LinuxMachine));
    if run.replace {
        launching::make_room(&objects, &api)?;
    }
    let (interrupts, is_terminated) = interrupts()?;
    let created = launching::launch(objects, &api, run.rm)?;
    let until = if run.detach { Until::Created } else { run.until };
    if until == Until::Created {
        for one in &created.pods {
            let name = one.pod.metadata.name.as_deref().unwrap_or_default();
            screen::answer(&format!("pod/{name} created\n"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let deadline = run.timeout.map(|timeout| Instant::now() + timeout);
    let front = Front { is_terminated, ..Front::new(api, created, run)? };
    front.stay(run, until, (&interrupts, deadline))
}

/// What the pods' supervisors see to, whatever becomes of this process.
fn of_run(run: &RunArgs) -> OfRun {
    OfRun { client: std::process::id(), is_removed: run.rm, timeout: run.timeout }
}

/// Becomes readable when the user interrupts; whether by SIGTERM.
fn interrupts() -> Result<(UnixStream, Arc<AtomicBool>), Failure> {
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    let is_terminated = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGTERM, Arc::clone(&is_terminated))?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if signal != SIGHUP || !is_ignored(signal) {
            signal_hook::low_level::pipe::register(signal, far.try_clone()?)?;
        }
    }
    Ok((near, is_terminated))
}

/// Whoever starts us by nohup(1) wants the pods to outlive the terminal.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// The pods of one `run`.
struct Front {
    follower: Follower,
    line: OpenLine,
    pods: Vec<Watched>,
    /// ConfigMaps and Secrets go with the pods.
    created: Created,
    /// Whether a container that cannot be started is waited for no longer.
    fails_fast: bool,
    requests: usize,
    api: Api,
    board: Rc<Board>,
    /// Whether SIGTERM has come.
    is_terminated: Arc<AtomicBool>,
    /// Whether the pods were not given the time to stop in order.
    is_killed: bool,
    /// Whether the service manager knows that the pods are ready.
    is_ready_told: bool,
}

/// Why `run` stopped watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Finished,
    Ready,
    /// What was waited for can no longer come.
    NeverReady,
    /// A container cannot be started, however often it is tried.
    NeverStarts,
    Interrupted,
    TimedOut,
}

impl Front {
    fn new(api: Api, mut created: Created, run: &RunArgs) -> Result<Self, Failure> {
        let launched = std::mem::take(&mut created.pods);
        let how = (launched.len() == 1, run.rm);
        let pods = launched.into_iter().map(|one| Watched::new(api.places(), one, how));
        let quiet = !std::io::stderr().is_terminal();
        Ok(Self {
            follower: api.follow(&[Resource::Pod, Resource::Event])?,
            line: OpenLine::default(),
            pods: pods.collect(),
            created,
            fails_fast: run.fail_fast.unwrap_or(quiet),
            requests: 0,
            api,
            board: Rc::new(Board::new(false)),
            is_terminated: Arc::default(),
            is_killed: false,
            is_ready_told: false,
        })
    }

    fn stay(
        mut self,
        run: &RunArgs,
        until: Until,
        (interrupts, deadline): (&UnixStream, Option<Instant>),
    ) -> Result<ExitCode, Failure> {
        match self.watch((until, run.ready_for), interrupts, deadline) {
            Ok(outcome) => self.leave(run, outcome, interrupts),
            Err(failure) if run.rm || self.requests > 0 => self.abandon(failure),
            Err(failure) => Err(failure),
        }
    }

    fn watch(
        &mut self,
        (until, ready_for): (Until, Option<Duration>),
        interrupts: &UnixStream,
        deadline: Option<Instant>,
    ) -> Result<Outcome, Failure> {
        let is_late = || deadline.is_some_and(|deadline| deadline <= Instant::now());
        loop {
            self.show()?;
            if self.pods.iter().all(Watched::is_over) {
                self.show()?; // what came between the last look and the supervisor's end
                return Ok(match self.requests {
                    0 if is_late() => Outcome::TimedOut, // its supervisor was a little faster
                    0 => Outcome::Finished,
                    _ => Outcome::Interrupted,
                });
            }
            if !self.is_ready_told && self.pods.iter().all(Watched::is_ready) {
                service_manager::tell("READY=1");
                self.is_ready_told = true;
            }
            // Once somebody has interrupted, there is nothing to wait for but the pods' end.
            let ready_at = match (until, self.requests) {
                (Until::Ready, 0) => self.ready_at(ready_for),
                _ => None,
            };
            if self.requests == 0 {
                if ready_at.is_some_and(|at| at <= Instant::now()) {
                    return Ok(Outcome::Ready);
                }
                if until == Until::Ready && self.pods.iter().any(|one| one.never_ready().is_some())
                {
                    // A supervisor that was a little faster has begun to end the pod.
                    return Ok(if is_late() { Outcome::TimedOut } else { Outcome::NeverReady });
                }
                if self.fails_fast && self.pods.iter().any(|one| one.never_starts().is_some()) {
                    return Ok(Outcome::NeverStarts);
                }
            }
            let next = [deadline, ready_at].into_iter().flatten().min();
            match self.follower.wait(Some(interrupts.as_fd()), next)? {
                Woken::TimedOut if is_late() => return Ok(Outcome::TimedOut),
                Woken::Changed | Woken::TimedOut => {}
                Woken::Interrupted => self.interrupt(interrupts)?,
            }
        }
    }

    /// When all pods have been Ready for long enough, as it looks now. Tells of those that fell.
    fn ready_at(&mut self, wanted: Option<Duration>) -> Option<Instant> {
        let now = Instant::now();
        for one in &mut self.pods {
            if let Some(text) = one.look(now) {
                screen::narrate(&text);
            }
        }
        let all: Option<Vec<Instant>> = self.pods.iter().map(|one| one.ready_at(wanted)).collect();
        all?.into_iter().max()
    }

    /// Deletes the pods and does not wait: nobody listens any more.
    fn abandon<T>(&self, failure: Failure) -> Result<T, Failure> {
        for one in &self.pods {
            Deletion::request(one.launched.dir.clone(), None, self.api.settings())?
                .leave(self.api.machine())?;
        }
        Err(failure)
    }

    /// Prints new events and new log lines, and on a terminal how far pulls are.
    fn show(&mut self) -> Result<(), Failure> {
        let board = Rc::clone(&self.board);
        board.aside(|| self.show_news())?;
        if board.is_seen() {
            let dirs = self.pods.iter().map(|one| &one.launched.dir);
            for dir in dirs.clone() {
                let _ = self.follower.also_watch(dir.path()); // gone, then nothing is pulled any more
            }
            board.show(&dirs.flat_map(pull_progress::read).collect::<Vec<_>>());
        }
        Ok(())
    }

    fn show_news(&mut self) -> Result<(), Failure> {
        for Change { verb, object } in self.follower.changes()? {
            match object {
                Object::Event(event) => {
                    let uid = event.involved_object.uid.clone();
                    let is_alone = self.pods.len() == 1;
                    let mut known = self.pods.iter_mut();
                    if let Some(one) = known.find(|one| one.latest.metadata.uid == uid) {
                        one.note(&event);
                        let whose = (!is_alone).then(|| one.name().to_owned());
                        self.line.make_room()?;
                        screen::narrate_dimmed(&events::narration(&event, whose.as_deref()));
                    }
                }
                Object::Pod(pod) => match self.find(&pod) {
                    Some(known) if verb == Verb::Deleted => known.is_gone = true,
                    Some(known) => known.latest = *pod,
                    None => {}
                },
                _ => {}
            }
        }
        for one in &mut self.pods {
            let pod = (!one.is_over()).then_some(&one.latest);
            one.logs.print(&self.follower, &mut self.line, pod)?;
        }
        Ok(())
    }

    fn find(&mut self, pod: &Pod) -> Option<&mut Watched> {
        self.pods.iter_mut().find(|one| one.latest.metadata.uid == pod.metadata.uid)
    }

    /// The first interrupt deletes the pods as `delete` does, the second kills them.
    fn interrupt(&mut self, mut interrupts: &UnixStream) -> Result<(), Failure> {
        let _ = interrupts.read(&mut [0; 64]); // only that it was readable
        self.requests += 1;
        service_manager::tell("STOPPING=1");
        let (grace, text) = match self.requests {
            1 => (None, "Deleting the pod; Ctrl-C again kills it.\n"),
            _ => (Some(0), "Killing the pod.\n"),
        };
        self.is_killed |= grace.is_some();
        screen::narrate(text);
        self.request_deletion(grace)
    }

    fn request_deletion(&self, grace: Option<u64>) -> Result<(), Failure> {
        for one in self.pods.iter().filter(|one| !one.is_over()) {
            drop(Deletion::request(one.launched.dir.clone(), grace, self.api.settings())?);
        }
        Ok(())
    }

    /// Deletes the pods and shows how they end; an interrupt kills them. Whether there was one.
    fn delete(&mut self, interrupts: &UnixStream) -> Result<bool, Failure> {
        self.requests += 1;
        let before = self.requests;
        self.request_deletion(None)?;
        loop {
            if let Err(failure) = self.show() {
                return self.abandon(failure);
            }
            if self.pods.iter().all(Watched::is_over) {
                self.show()?; // what came between the last look and the supervisor's end
                break;
            }
            if self.follower.wait(Some(interrupts.as_fd()), None)? == Woken::Interrupted {
                self.interrupt(interrupts)?;
            }
        }
        for one in &self.pods {
            Deletion::request(one.launched.dir.clone(), None, self.api.settings())?
                .wait(self.api.machine())?;
        }
        Ok(self.requests > before)
    }

    fn leave(
        mut self,
        run: &RunArgs,
        mut outcome: Outcome,
        interrupts: &UnixStream,
    ) -> Result<ExitCode, Failure> {
        self.board.clear();
        self.line.end_unless_of("")?;
        if !matches!(outcome, Outcome::Ready | Outcome::Interrupted) {
            self.explain();
        }
        // What goes on after `run` was wanted to; nobody waits for a pod that never starts.
        let ends = match outcome {
            Outcome::Interrupted | Outcome::TimedOut => true,
            Outcome::NeverStarts => run.until == Until::Finished,
            Outcome::Finished | Outcome::Ready | Outcome::NeverReady => false,
        };
        let deletes = run.rm || ends;
        // Why it can never be ready is known now; once it is deleted, that is why.
        let failure = self.not_ready();
        if outcome == Outcome::TimedOut {
            screen::narrate("The time is over; deleting the pod.\n");
        }
        match outcome {
            Outcome::Ready if !deletes => return Ok(ExitCode::SUCCESS),
            Outcome::NeverReady | Outcome::NeverStarts if !deletes => return Err(failure),
            _ => {}
        }
        if deletes && self.delete(interrupts)? {
            outcome = Outcome::Interrupted;
        }
        for one in &mut self.pods {
            one.launched.supervisor.wait()?;
        }
        if run.rm {
            self.created.remove_objects(&self.api)?;
        }
        match outcome {
            Outcome::Interrupted => self.interrupted(),
            Outcome::TimedOut => {
                Err(Failure::new(Kind::TimedOut, "the time is over; the pod was deleted"))
            }
            Outcome::Ready => Ok(ExitCode::SUCCESS),
            Outcome::NeverReady | Outcome::NeverStarts => Err(failure.without_hint()),
            Outcome::Finished => self.verdict(run.rm),
        }
    }

    /// A service manager that stops its unit has got what it wanted.
    fn interrupted(&self) -> Result<ExitCode, Failure> {
        match self.is_terminated.load(Ordering::Relaxed) {
            true if !self.is_killed && service_manager::is_there() => Ok(ExitCode::SUCCESS),
            true => Err(Failure::silent(Kind::Terminated)),
            false => Err(Failure::silent(Kind::Interrupted)),
        }
    }

    fn not_ready(&self) -> Failure {
        if let Some(why) = self.pods.iter().find_map(Watched::never_starts) {
            return Failure::new(Kind::Failed, format!("it cannot be started: {why}"))
                .hint("correct the manifest; --fail-fast=false waits for it to mend itself");
        }
        let mut late = self.pods.iter().filter(|one| !one.is_ready());
        let found = late.find_map(|one| wait::never_ready(&one.latest).map(|why| (one, why)));
        let Some((one, why)) = found else {
            return Failure::silent(Kind::Failed);
        };
        let name = one.latest.metadata.name.as_deref().unwrap_or_default();
        Failure::new(Kind::Failed, format!("pod \"{name}\" can no longer become ready: {why}"))
            .hint(format!("minipod describe pod {name}"))
    }

    /// Tells what went wrong, while what the containers wrote is still there.
    fn explain(&self) {
        for one in self.pods.iter().filter(|one| !one.is_gone && one.phase() != "Succeeded") {
            screen::narrate(&post_mortem::of(self.api.places(), &one.latest));
            let words = pods::last_words(&one.launched.dir);
            if !words.is_empty() {
                screen::narrate(&format!("the pod's supervisor: {words}\n"));
            }
        }
    }

    fn verdict(&self, is_removed: bool) -> Result<ExitCode, Failure> {
        let failed = self.pods.iter().find(|one| one.phase() != "Succeeded");
        let Some(one) = failed else {
            return Ok(ExitCode::SUCCESS);
        };
        let name = one.latest.metadata.name.as_deref().unwrap_or_default();
        let failure = match one.phase() {
            "Failed" if !pods::has_died(&one.latest) => {
                Failure::new(Kind::Failed, format!("pod \"{name}\" failed"))
            }
            _ if one.is_gone => Failure::new(Kind::Failed, format!("pod \"{name}\" was deleted")),
            _ => {
                let text = format!("the supervisor of pod \"{name}\" died");
                return Err(Failure::new(Kind::Failed, text)
                    .hint(format!("minipod delete pod {name} removes what is left")));
            }
        };
        let hint = (!is_removed && !one.is_gone).then(|| format!("minipod describe pod {name}"));
        Err(failure.maybe_hint(hint))
    }
}
