//! `run`: pods in the foreground, until they have ended.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use pod_model::Object;
use pod_runner::delete::Deletion;
use pod_runner::follow::{PodChange, PodsFollower};
use pod_runner::launch::Launched;
use pod_runner::watch::Woken;
use pod_runner::{Pods, Settings, lock, pods, pull_progress};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::apply::{self, Existing, Mode};
use super::images::Board;
use super::run_output::{LogPrinter, OpenLine};
use super::{post_mortem, require_root, settings, wait};
use crate::cli::{DryRun, PlaceArgs, RunArgs, Until};
use crate::failure::{Failure, Kind};
use crate::manifest::{self, Described};
use crate::views::events;
use crate::{screen, service_manager};

/// What is stored beside a pod becomes what the manifest says.
const UPDATE: Mode = Mode { existing: Existing::Update, dry_run: DryRun::None };

pub(crate) fn run(args: &PlaceArgs, run: &RunArgs) -> Result<ExitCode, Failure> {
    let file = std::slice::from_ref(&run.file);
    let objects = manifest::read_with_files(file, args, run.manifest, manifest::NAMED)?;
    require_root()?;
    let settings = settings(args);
    let (interrupts, is_terminated) = interrupts()?;
    let launched = launch(objects, &settings)?;
    let until = if run.detach { Until::Created } else { run.until };
    if until == Until::Created {
        for one in &launched {
            let name = one.pod.metadata.name.as_deref().unwrap_or_default();
            screen::answer(&format!("pod/{name} created\n"))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let deadline = run.timeout.map(|timeout| Instant::now() + timeout);
    let front = Front { is_terminated, ..Front::new(&settings, launched)? };
    front.stay(run, until, (&interrupts, deadline))
}

/// Creates everything, or no pod.
fn launch(objects: Vec<Described>, settings: &Settings) -> Result<Vec<Launched>, Failure> {
    if !objects.iter().any(|one| matches!(one.object, Object::Pod(_))) {
        return Err(Failure::new(Kind::Manifest, "there is no pod in the manifest to run")
            .hint("minipod apply -f stores ConfigMaps and Secrets"));
    }
    let mut launched: Vec<Launched> = Vec::new();
    for Described { object, file } in objects {
        let created = match object {
            Object::Pod(pod) => apply::create_pod(*pod, settings).map(|pod| launched.push(pod)),
            other => apply::store(&other, settings, UPDATE).map(drop),
        };
        if let Err(failure) = created {
            for one in launched {
                Deletion::request(one.dir, Some(0), settings)?.wait()?;
            }
            return Err(failure.when_creating(&file));
        }
    }
    Ok(launched)
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

/// One pod that is watched.
struct Watched {
    launched: Launched,
    latest: Pod,
    logs: LogPrinter,
    is_gone: bool,
}

impl Watched {
    fn phase(&self) -> &str {
        self.latest.status.as_ref().and_then(|one| one.phase.as_deref()).unwrap_or_default()
    }

    /// Whether it is Ready, or has done what it was there for.
    fn is_ready(&self) -> bool {
        if self.phase() == "Succeeded" {
            return true;
        }
        let status = self.latest.status.as_ref();
        let conditions = status.into_iter().flat_map(|one| one.conditions.iter().flatten());
        conditions.into_iter().any(|one| one.type_ == "Ready" && one.status == "True")
    }

    /// Why it cannot become Ready any more, if it still goes on.
    fn never_ready(&self) -> Option<String> {
        wait::never_ready(&self.latest).filter(|_| !self.is_ready() && !self.is_over())
    }

    /// Whether its supervisor has nothing more to say. The lock is free before the supervisor's
    /// process is gone for good, and after its last word.
    fn is_over(&self) -> bool {
        self.is_gone || !lock::is_held(&self.launched.dir)
    }
}

/// The pods of one `run`.
struct Front {
    follower: PodsFollower,
    line: OpenLine,
    pods: Vec<Watched>,
    requests: usize,
    settings: Settings,
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
    Interrupted,
    TimedOut,
}

impl Front {
    fn new(settings: &Settings, launched: Vec<Launched>) -> Result<Self, Failure> {
        let follower = PodsFollower::new(Pods::new(&settings.places))?;
        let is_alone = launched.len() == 1;
        let pods = launched
            .into_iter()
            .map(|launched| Watched {
                latest: launched.pod.clone(),
                logs: LogPrinter::new(&settings.places, &launched.pod, is_alone),
                launched,
                is_gone: false,
            })
            .collect();
        let (settings, line) = (settings.clone(), OpenLine::default());
        let board = Rc::new(Board::new(false));
        let is_terminated = Arc::default();
        let is_ready_told = false;
        Ok(Self {
            settings,
            follower,
            line,
            pods,
            requests: 0,
            board,
            is_terminated,
            is_killed: false,
            is_ready_told,
        })
    }

    fn stay(
        mut self,
        run: &RunArgs,
        until: Until,
        (interrupts, deadline): (&UnixStream, Option<Instant>),
    ) -> Result<ExitCode, Failure> {
        match self.watch(until, interrupts, deadline) {
            Ok(outcome) => self.leave(run, outcome, interrupts),
            Err(failure) if run.rm || self.requests > 0 => self.abandon(failure),
            Err(failure) => Err(failure),
        }
    }

    fn watch(
        &mut self,
        until: Until,
        interrupts: &UnixStream,
        deadline: Option<Instant>,
    ) -> Result<Outcome, Failure> {
        loop {
            self.show()?;
            if self.pods.iter().all(Watched::is_over) {
                self.show()?; // what came between the last look and the supervisor's end
                let is_asked = self.requests > 0;
                return Ok(if is_asked { Outcome::Interrupted } else { Outcome::Finished });
            }
            if !self.is_ready_told && self.pods.iter().all(Watched::is_ready) {
                service_manager::tell("READY=1");
                self.is_ready_told = true;
            }
            if until == Until::Ready && self.pods.iter().all(Watched::is_ready) {
                return Ok(Outcome::Ready);
            }
            if until == Until::Ready && self.pods.iter().any(|one| one.never_ready().is_some()) {
                return Ok(Outcome::NeverReady);
            }
            match self.follower.wait(Some(interrupts.as_fd()), deadline)? {
                Woken::Changed => {}
                Woken::Interrupted => self.interrupt(interrupts)?,
                Woken::TimedOut => return Ok(Outcome::TimedOut),
            }
        }
    }

    /// Deletes the pods and does not wait: nobody listens any more.
    fn abandon<T>(&self, failure: Failure) -> Result<T, Failure> {
        for one in &self.pods {
            Deletion::request(one.launched.dir.clone(), None, &self.settings)?.leave()?;
        }
        Err(failure)
    }

    /// Prints new events and new log lines, and on a terminal how far pulls are.
    fn show(&mut self) -> Result<(), Failure> {
        let board = Rc::clone(&self.board);
        board.aside(|| self.show_news())?;
        if board.is_seen() {
            let dirs = self.pods.iter().map(|one| &one.launched.dir);
            board.show(&dirs.flat_map(pull_progress::read).collect::<Vec<_>>());
        }
        Ok(())
    }

    fn show_news(&mut self) -> Result<(), Failure> {
        for change in self.follower.changes()? {
            match change {
                PodChange::Event(event) => {
                    let uid = event.involved_object.uid.clone();
                    if self.pods.iter().any(|one| one.latest.metadata.uid == uid) {
                        self.line.make_room()?;
                        screen::narrate_dimmed(&events::narration(&event));
                    }
                }
                PodChange::Version(pod) => {
                    if let Some(known) = self.find(&pod) {
                        known.latest = *pod;
                    }
                }
                PodChange::Deleted(pod) => {
                    if let Some(known) = self.find(&pod) {
                        known.is_gone = true;
                    }
                }
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
            drop(Deletion::request(one.launched.dir.clone(), grace, &self.settings)?);
        }
        Ok(())
    }

    /// Deletes the pods and shows how they end; an interrupt kills them. Whether there was one.
    fn delete(&mut self, grace: Option<u64>, interrupts: &UnixStream) -> Result<bool, Failure> {
        self.requests += 1;
        let before = self.requests;
        self.request_deletion(grace)?;
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
            Deletion::request(one.launched.dir.clone(), grace, &self.settings)?.wait()?;
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
        if matches!(outcome, Outcome::TimedOut | Outcome::Finished | Outcome::NeverReady) {
            self.explain();
        }
        let deletes = run.rm || matches!(outcome, Outcome::Interrupted | Outcome::TimedOut);
        // Why it can never be ready is known now; once it is deleted, that is why.
        let failure = self.not_ready();
        match outcome {
            Outcome::Ready if !deletes => return Ok(ExitCode::SUCCESS),
            Outcome::NeverReady if !deletes => return Err(failure),
            _ => {}
        }
        let grace = (outcome == Outcome::TimedOut).then_some(0);
        if deletes && self.delete(grace, interrupts)? {
            outcome = Outcome::Interrupted;
        }
        for one in &mut self.pods {
            one.launched.supervisor.wait()?;
        }
        match outcome {
            Outcome::Interrupted => self.interrupted(),
            Outcome::TimedOut => {
                Err(Failure::new(Kind::TimedOut, "the time is over; the pod was deleted"))
            }
            Outcome::Ready => Ok(ExitCode::SUCCESS),
            Outcome::NeverReady => Err(failure.without_hint()),
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
            screen::narrate(&post_mortem::of(&self.settings.places, &one.latest));
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
