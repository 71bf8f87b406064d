//! Every path that minipod uses, in one place.
//!
//! Three roots, each of which a flag or an environment variable moves: state (memory, gone after a
//! reboot), data (images, volumes, writable layers) and logs.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The three roots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Records, sockets and leases; on a memory file system.
    pub state: PathBuf,
    /// Images, volumes and writable layers.
    pub data: PathBuf,
    /// Container logs.
    pub logs: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            state: "/run/minipod".into(),
            data: "/var/lib/minipod".into(),
            logs: "/var/log/pods".into(),
        }
    }
}

impl Places {
    /// Where a new pod's directory is made before it gets its name, and where an old one goes
    /// before it is emptied: a pod is there whole or not at all.
    pub fn aside(&self, what: &str, uid: &str) -> PathBuf {
        self.state.join(format!("{what}-{uid}"))
    }

    /// The journal of every change.
    pub fn journal(&self) -> PathBuf {
        self.state.join("journal")
    }

    /// The kubeconfig of the server that was started last.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// That of the server of one process.
    pub fn kubeconfig_of(&self, process: u32) -> PathBuf {
        self.state.join(format!("kubeconfig-{process}"))
    }

    /// Where each pod has its directory, named `<namespace>_<name>`.
    pub fn pods(&self) -> PathBuf {
        self.state.join("pods")
    }

    /// The image store.
    pub fn images(&self) -> PathBuf {
        self.data.join("images")
    }

    /// Address leases of the pod network.
    pub fn leases(&self) -> PathBuf {
        self.state.join("leases")
    }

    /// Leases of the id ranges of pods with user namespaces of their own.
    pub fn id_ranges(&self) -> PathBuf {
        self.state.join("ids")
    }

    /// Where seccomp profiles of type `Localhost` are.
    pub fn seccomp_profiles(&self) -> PathBuf {
        self.data.join("seccomp")
    }

    /// Stored objects of a kind, for example `configmaps`.
    pub fn objects(&self, plural: &str) -> PathBuf {
        self.data.join("objects").join(plural)
    }

    /// The state directory of one pod.
    pub fn pod(&self, namespace: &str, name: &str) -> PodDir {
        PodDir(self.pods().join(file_name(namespace, name)))
    }

    /// The files of one pod that need a disk: volumes and writable layers.
    pub fn pod_data(&self, uid: &str) -> PodData {
        PodData(self.data.join("pods").join(uid))
    }

    /// The logs of one pod, as a kubelet lays them out: `<namespace>_<pod>_<uid>`.
    pub fn pod_logs(&self, namespace: &str, name: &str, uid: &str) -> PodLogs {
        PodLogs(self.logs.join(format!("{}_{uid}", file_name(namespace, name))))
    }
}

/// What the file of an object is called: `<namespace>_<name>`. A name may have 253 characters, and
/// a file's name has room for 255 bytes, some of them for what is added here; so a long one is cut
/// and tells itself from others by a digest of the whole.
pub fn file_name(namespace: &str, name: &str) -> String {
    const LONGEST: usize = 200;
    let whole = format!("{namespace}_{name}");
    if whole.len() <= LONGEST {
        return whole;
    }
    let digest = Sha256::digest(&whole);
    let digest = u64::from_be_bytes(std::array::from_fn(|at| digest[at]));
    let start = &whole[..whole.floor_char_boundary(LONGEST - 17)];
    format!("{start}-{digest:016x}")
}

/// A pod's state directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodDir(PathBuf);

impl PodDir {
    /// The directory at that path, which a supervisor is given on its command line.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory that is there now.
    pub fn hold(&self) -> io::Result<HeldPodDir> {
        Ok(HeldPodDir { dir: self.clone(), file: File::open(&self.0)? })
    }

    /// The pod record: a v1 Pod.
    pub fn record(&self) -> PathBuf {
        self.0.join("pod.json")
    }

    /// Every event, one v1 Event per line; a later line replaces an earlier one of the same name.
    pub fn events(&self) -> PathBuf {
        self.0.join("events.jsonl")
    }

    /// The pod's uid alone, for whoever cleans up after its record was damaged.
    pub fn uid(&self) -> PathBuf {
        self.0.join("uid")
    }

    /// The namespace and name that the directory is called after.
    pub fn namespace_and_name(&self) -> (String, String) {
        let name = self.0.file_name().unwrap_or_default().to_string_lossy();
        let (namespace, name) = name.split_once('_').unwrap_or(("", &name));
        (namespace.to_owned(), name.to_owned())
    }

    /// What the supervisor was told beside the pod.
    pub fn settings(&self) -> PathBuf {
        self.0.join("settings.json")
    }

    /// Held locked as long as the supervisor lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("supervisor.lock")
    }

    /// What the supervisor writes when something is wrong with itself.
    pub fn supervisor_log(&self) -> PathBuf {
        self.0.join("supervisor.log")
    }

    /// Where the supervisor takes requests.
    pub fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Where the supervisor's mount namespace holds the pod's `/dev/shm`.
    pub fn shared_memory(&self) -> PathBuf {
        self.0.join("shm")
    }

    /// Where the supervisor's mount namespace holds the `/proc` of the pod's processes.
    pub fn processes(&self) -> PathBuf {
        self.0.join("proc")
    }

    /// Where the supervisor's mount namespace holds a volume with `medium: Memory`.
    pub fn memory_volume(&self, name: &str) -> PathBuf {
        self.0.join("volumes").join(name)
    }

    /// Where the supervisor's mount namespace holds the pod's `hosts`, `resolv.conf` and `hostname`.
    pub fn network_files(&self) -> PathBuf {
        self.0.join("etc")
    }

    /// One of them.
    pub fn network_file(&self, name: &str) -> PathBuf {
        self.network_files().join(name)
    }
}

/// A pod's state directory itself. At its path there may soon be nothing, or that of another pod
/// of the same name.
#[derive(Debug)]
pub struct HeldPodDir {
    dir: PodDir,
    file: File,
}

impl HeldPodDir {
    /// The directory by a path that leads to no other one.
    pub fn itself(&self) -> PodDir {
        PodDir(format!("/proc/self/fd/{}", self.file.as_raw_fd()).into())
    }

    /// Whether it still is at its path. Its number is given to no other as long as it is held.
    pub fn is_in_its_place(&self) -> bool {
        let identity = |data: fs::Metadata| (data.dev(), data.ino());
        let own = self.file.metadata().map(identity);
        own.is_ok_and(|own| fs::metadata(&self.dir.0).map(identity).is_ok_and(|it| it == own))
    }
}

/// The files of one pod that need a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodData(PathBuf);

impl PodData {
    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A volume's directory.
    pub fn volume(&self, name: &str) -> PathBuf {
        self.0.join("volumes").join(name)
    }

    /// What one start of a container may write.
    pub fn container(&self, name: &str, attempt: u32) -> PathBuf {
        self.0.join("containers").join(name).join(attempt.to_string())
    }

    /// The termination message file of one start of a container.
    pub fn termination_message(&self, name: &str, attempt: u32) -> PathBuf {
        self.container(name, attempt).join("termination-log")
    }
}

/// The logs of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodLogs(PathBuf);

impl PodLogs {
    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory of one container's logs.
    pub fn container(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The log of one start of a container.
    pub fn file(&self, name: &str, attempt: u32) -> PathBuf {
        self.container(name).join(format!("{attempt}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_stays_one_of_its_own() {
        let places = Places::default();
        assert!(places.pod("default", "web").path().ends_with("default_web"));
        let names = ["a", "b"].map(|end| "n".repeat(252) + end);
        let dirs = names.each_ref().map(|name| places.pod("default", name));
        assert_ne!(dirs[0], dirs[1]);
        let logs = places.pod_logs("default", &names[0], &"u".repeat(36));
        assert!(logs.path().file_name().unwrap().len() < 255);
        // Who knows a pod by its directory alone finds the same directory again.
        let (namespace, name) = dirs[0].namespace_and_name();
        assert_eq!(places.pod(&namespace, &name), dirs[0]);
        assert!(file_name("default", &"é".repeat(200)).len() <= 200);
    }
}
