//! A place for containers: an image of busybox alone, and a pod to put them in.

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::mount::{MountPropagationFlags, mount_change};
use sandbox::cgroup::ContainerCgroup;
use sandbox::{
    Child, ContainerPlan, DevicesPlan, Jobs, PidSharing, Placement, PodSandbox, PodSandboxPlan,
    ProcessPlan, RootPlan, SeccompPlan, Sharing, Spawner, StageError, StartOutcome, Starting,
    Stdio, UserPlan, capabilities, paths,
};
use tempfile::TempDir;

/// Whatever is waited for comes within this time, or the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The first need that this machine does not meet.
///
/// # Panics
///
/// If `MINIPOD_REQUIRE` lists the need: then its absence is a failure and not a reason to skip.
pub(crate) fn missing() -> Option<&'static str> {
    let need = if !rustix::process::geteuid().is_root() {
        "root"
    } else if busybox().is_none() {
        "busybox"
    } else {
        return None;
    };
    let required = std::env::var("MINIPOD_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word == need), "MINIPOD_REQUIRE: no {need}");
    Some(need)
}

fn busybox() -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':').map(|one| Path::new(one).join("busybox")).find(|one| one.exists())
}

/// A pod, and where its containers' files are.
pub(crate) struct Room {
    pub(crate) pod: PodSandbox,
    directory: TempDir,
    containers: std::cell::Cell<u32>,
}

/// How a command ended and what it wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) output: String,
}

/// A container whose program runs.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) output: File,
}

impl Room {
    pub(crate) fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let layer = directory.path().join("layer");
        fs::create_dir_all(layer.join("bin")).unwrap();
        fs::create_dir(directory.path().join("shm")).unwrap();
        fs::copy(busybox().unwrap(), layer.join("bin/busybox")).unwrap();
        for applet in ["sh", "cat", "sleep", "ls", "mount", "unshare", "grep", "mknod", "touch"] {
            symlink("busybox", layer.join("bin").join(applet)).unwrap();
        }
        let plan = pod_plan(&directory.path().join("shm"));
        let pod = PodSandbox::create(&spawner(), &plan).unwrap();
        Self { pod, directory, containers: std::cell::Cell::new(0) }
    }

    /// A path in the test's directory, outside every container.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The plan of a container that runs a command of the shell, confined by default.
    pub(crate) fn plan(&self, command: &str) -> ContainerPlan {
        let number = self.containers.get();
        self.containers.set(number + 1);
        let writable = self.path(&format!("container-{number}"));
        fs::create_dir(&writable).unwrap();
        let bounding = capabilities::bounding(&[], &[]).unwrap();
        ContainerPlan {
            name: format!("c{number}"),
            root: RootPlan {
                layers: vec![self.path("layer")],
                writable,
                readonly: false,
                volumes: Vec::new(),
                nodev: false,
            },
            mounts: Vec::new(),
            cgroup_mounts: Vec::new(),
            masked_paths: paths::masked(),
            readonly_paths: paths::readonly(),
            devices: DevicesPlan::Default,
            privileged_mounts: false,
            process: ProcessPlan {
                argv: ["sh", "-c", command].map(str::to_owned).to_vec(),
                env: vec!["PATH=/bin".into()],
                cwd: "/".into(),
                user: UserPlan { uid: 0, gid: 0, groups: Vec::new() },
                umask: 0o022,
                capabilities: capabilities::sets(bounding, 0),
                no_new_privileges: false,
                app_armor: None,
                seccomp: SeccompPlan::RuntimeDefault,
                rlimits: Vec::new(),
                oom_score_adj: None,
                terminal: None,
            },
        }
    }

    /// Starts a container with one pipe for what it writes.
    pub(crate) fn begin(&self, plan: &ContainerPlan, placement: Placement<'_>) -> (Starting, File) {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let stderr = writer.try_clone().unwrap();
        let stdio = Stdio { stdin: None, stdout: Some(writer), stderr: Some(stderr) };
        let starting = self.pod.start_container(plan, stdio, placement).unwrap();
        (starting, File::from(reader))
    }

    /// Starts a container and waits until its program runs.
    pub(crate) fn start(&self, plan: &ContainerPlan, cgroup: Option<&ContainerCgroup>) -> Running {
        let (mut starting, output) = self.begin(plan, Placement { cgroup, gate: None });
        match outcome(&mut starting) {
            Ok(()) => Running { child: starting.into_child(), output },
            Err(error) => panic!("{error}"),
        }
    }

    /// Runs a container to its end.
    pub(crate) fn run(&self, plan: &ContainerPlan) -> Ended {
        self.start(plan, None).end()
    }

    /// Runs a command in a container to its end.
    pub(crate) fn shell(&self, command: &str) -> Ended {
        self.run(&self.plan(command))
    }
}

impl Running {
    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let mut output = String::new();
        self.output.read_to_string(&mut output).unwrap();
        let code = wait(&mut self.child).code;
        Ended { code, output }
    }
}

/// Waits for a process's end.
pub(crate) fn wait(child: &mut Child) -> sandbox::Exit {
    child.wait_until(Instant::now() + PATIENCE).expect("the process ends")
}

/// Waits for a start's outcome.
pub(crate) fn outcome(starting: &mut Starting) -> Result<(), StageError> {
    loop {
        assert!(is_any_readable(&starting.watched()), "the container does not start");
        match starting.outcome() {
            Some(StartOutcome::Executed { .. }) => return Ok(()),
            Some(StartOutcome::Failed(error)) => return Err(error),
            None => {}
        }
    }
}

/// What this process mounts is not mounted on the machine, as in a supervisor.
pub(crate) fn keep_mounts_here() {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
    let down = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    mount_change("/", down).unwrap();
}

/// The process that makes a pod's; nothing of these tests has a job.
pub(crate) fn spawner() -> Rc<Spawner> {
    Rc::new(Spawner::start(Jobs { files: |_| 1, look_up: |_| None, ask: |_, _| 1 }).unwrap())
}

/// A pod that shares what pods share by default.
pub(crate) fn pod_plan(shm_dir: &Path) -> PodSandboxPlan {
    PodSandboxPlan {
        hostname: "room".into(),
        domainname: None,
        network: Sharing::Pod,
        ipc: Sharing::Pod,
        uts: Sharing::Pod,
        pid: PidSharing::Container,
        may_trace: false,
        user_ids: None,
        sysctls: Vec::new(),
        shm_dir: shm_dir.to_owned(),
        shm_size: 1 << 20,
        proc_dir: shm_dir.join("proc"),
    }
}

/// Whether something happens before patience ends.
pub(crate) fn becomes_readable(file: &impl AsFd) -> bool {
    is_any_readable(&[file.as_fd()])
}

fn is_any_readable(files: &[BorrowedFd<'_>]) -> bool {
    let limit = Timespec { tv_sec: PATIENCE.as_secs().cast_signed(), tv_nsec: 0 };
    let mut polled: Vec<_> =
        files.iter().map(|file| PollFd::from_borrowed_fd(*file, PollFlags::IN)).collect();
    poll(&mut polled, Some(&limit)).unwrap() > 0
}
