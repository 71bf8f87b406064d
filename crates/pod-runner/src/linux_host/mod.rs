//! The machine itself: actions become processes, what the kernel reports becomes facts.
//!
//! Everything that takes time is a child process or a descriptor, and there is one place where
//! the supervisor waits: [`LinuxHost::next_fact`].

mod attached;
mod checks;
mod containers;
mod for_run;
mod images;
mod inbox;
mod leaving;
mod output;
mod prefetch;
mod process;
mod recording;
mod requests;
mod sandbox;
mod storage;
mod tasks;
mod update;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use ::sandbox::app_armor;
use ::sandbox::cgroup::PodCgroup;
use ::sandbox::{Child, Spawner};
use image_puller::{Digest, Image, Pin, Store};
use nix::sys::signalfd::SignalFd;
use pod_lifecycle::{Action, Fact, PodMachine};
use pod_model::{ContainerName, Pod, Uptime};

use crate::clock::Clock;
use crate::host::PodHost;
use crate::plan::{PlanInput, VolumeImages};
use crate::pod_network::host_address;
use crate::supervisor::SupervisorError;
use crate::volumes::{self, ObjectWatch};
use pod_api::Settings;
use pod_api::cleanup;
use pod_api::object_store::Objects;
use pod_api::places::{PodData, PodDir, PodLogs};
use pod_api::record::PodRecord;

use containers::RunningContainer;
use for_run::ForRun;
pub(crate) use images::image_id;
use leaving::Leaving;
use prefetch::Prefetch;
use recording::Recording;
use requests::Requests;
use sandbox::RunningSandbox;
use storage::StorageWatch;
use tasks::Tasks;

/// What the parts of the host share about the pod; it changes only with an update of the pod.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) pod: Pod,
    pub(crate) settings: Settings,
    pub(crate) dir: PodDir,
    pub(crate) data: PodData,
    pub(crate) logs: PodLogs,
    pub(crate) host_ip: String,
    pub(crate) objects: Objects,
    pub(crate) seccomp_profiles: PathBuf,
    pub(crate) app_armor: app_armor::Support,
    pub(crate) volume_images: VolumeImages,
}

impl Context {
    /// What plans are made from, with the addresses that the pod has by now.
    pub(crate) fn input<'a>(&'a self, pod_ips: &'a [IpAddr]) -> PlanInput<'a> {
        PlanInput {
            pod: &self.pod,
            dir: &self.dir,
            data: &self.data,
            pod_ips,
            host_ip: &self.host_ip,
            node_name: &self.settings.node_name,
            objects: &self.objects,
            seccomp_profiles: &self.seccomp_profiles,
            app_armor: self.app_armor,
            volume_images: &self.volume_images,
        }
    }
}

/// How long is waited at the very end for what was killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// A pod on this machine.
#[derive(Debug)]
pub struct LinuxHost {
    clock: Clock,
    context: Context,
    record: PodRecord,
    recording: Recording,
    store: Store,
    signals: SignalFd,
    spawner: Rc<Spawner>,
    sandbox: Option<RunningSandbox>,
    /// A sandbox that is on its way out.
    leaving: Option<Leaving>,
    leaving_network: Option<Child>,
    /// A sandbox is wanted as soon as the one before is off the network.
    wants_sandbox: bool,
    /// It could not be taken off the network.
    is_on_network: bool,
    left_cgroup: Option<PodCgroup>,
    storage: StorageWatch,
    has_settled: bool,
    object_watch: Option<ObjectWatch>,
    images: BTreeMap<ContainerName, Image>,
    /// What keeps the images in the store, by their manifests.
    pins: BTreeMap<Digest, Pin>,
    prefetch: Prefetch,
    has_looked_for_secrets: bool,
    containers: Vec<RunningContainer>,
    last_number: u64,
    tasks: Tasks,
    requests: Requests,
    for_run: ForRun,
    facts: VecDeque<Fact>,
}

impl LinuxHost {
    /// Takes up the pod that the record describes.
    pub fn new(
        clock: Clock,
        pod: Pod,
        settings: Settings,
        record: PodRecord,
        (signals, spawner): (SignalFd, Spawner),
    ) -> Result<Self, SupervisorError> {
        let places = &settings.places;
        let dir = places.pod(&pod.namespace, pod.name.as_str());
        let backoff_scale = settings.backoff_scale;
        let context = Context {
            data: places.pod_data(&pod.uid.0),
            logs: places.pod_logs(&pod.namespace, pod.name.as_str(), &pod.uid.0),
            host_ip: host_address().to_string(),
            objects: Objects::new(places),
            seccomp_profiles: places.seccomp_profiles(),
            app_armor: app_armor::support(),
            volume_images: VolumeImages::new(),
            dir,
            pod,
            settings,
        };
        let requests = Requests::listen(&context.dir.socket())
            .map_err(|source| SupervisorError::Prepare { verb: "take requests", source })?;
        Ok(Self {
            storage: StorageWatch::of(&context.pod, &context.settings, clock.now()),
            for_run: ForRun::new(context.settings.of_run.as_ref()),
            store: Store::open(&context.settings.places.images())?,
            clock,
            context,
            record,
            recording: Recording::new(backoff_scale),
            signals,
            spawner: Rc::new(spawner),
            sandbox: None,
            leaving: None,
            leaving_network: None,
            wants_sandbox: false,
            is_on_network: false,
            left_cgroup: None,
            has_settled: false,
            object_watch: None,
            images: BTreeMap::new(),
            pins: BTreeMap::new(),
            prefetch: Prefetch::default(),
            has_looked_for_secrets: false,
            containers: Vec::new(),
            last_number: 0,
            tasks: Tasks::default(),
            requests,
            facts: VecDeque::new(),
        })
    }

    /// Leaves nothing of a deleted pod; the record of one that ended by itself stays.
    pub fn finish(mut self) {
        self.spawner.end(); // nothing starts any more
        let is_left = self.left_cgroup.as_ref().is_some_and(|cgroup| cgroup.remove().is_err());
        // Whoever deletes the pod tries again as long as its files are there, and tells why not.
        if self.recording.is_deleted() && !is_left {
            volumes::take_down(&self.context.input(&[]));
            let removed = cleanup::remove_files(&self.context.settings, &self.context.pod);
            self.finish_leaving_network();
            if removed.is_ok() && !self.is_on_network {
                cleanup::remove_record(&self.context.settings, &self.context.dir);
            }
        }
        self.finish_leaving_network();
        // What was killed is gone before somebody hears that the pod is.
        ::sandbox::reap_orphans_until(Instant::now() + PATIENCE);
        drop(self.requests); // now those who wait for the deletion learn that it is done
    }

    /// Once the pod runs, most of what was needed to start it is not needed any more.
    fn settle(&mut self) {
        let runs = self.recording.runs();
        if runs && !self.has_settled && self.containers.iter().all(|one| one.running().is_some()) {
            self.has_settled = true;
            ::sandbox::release_own_pages();
        }
    }
}

impl PodHost for LinuxHost {
    fn now(&self) -> Uptime {
        self.clock.now()
    }

    fn begin(&mut self, action: Action) {
        match action {
            Action::CreateSandbox => self.create_sandbox(),
            Action::EnsureImage { name } => self.ensure_image(name),
            Action::Start { instance } => self.start(instance),
            Action::RunHook { instance, hook, timeout } => self.run_hook(instance, hook, timeout),
            Action::Probe { instance, probe } => self.probe(instance, probe),
            Action::Terminate { instance } => self.terminate(&instance),
            Action::Kill { instance } => self.kill(&instance),
            Action::RemoveContainer { instance } => self.remove_container(&instance),
            Action::RemoveSandbox => self.remove_sandbox(),
        }
    }

    fn record(&mut self, machine: &mut PodMachine) -> bool {
        self.write_down(machine)
    }

    fn is_removed_at_its_end(&self) -> bool {
        self.for_run.is_removed()
    }

    fn expect_deletion(&mut self) {
        self.for_run.ends();
    }

    fn next_fact(&mut self, deadline: Option<Uptime>) -> Result<Fact, SupervisorError> {
        let deadline = [deadline, self.recording.again()].into_iter().flatten().min();
        loop {
            if self.for_run.deletes(self.now()) {
                return Ok(Fact::DeleteRequested { grace: None });
            }
            if let Some(fact) = self.facts.pop_front() {
                return Ok(fact);
            }
            self.settle();
            self.wait(deadline)?;
            if self.facts.is_empty() && deadline.is_some_and(|deadline| deadline <= self.now()) {
                return Ok(Fact::TimePassed);
            }
        }
    }
}
