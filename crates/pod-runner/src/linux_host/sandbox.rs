//! The pod's sandbox on this machine: volumes, cgroup, holder process, network.

use std::io;
use std::net::IpAddr;
use std::ops::Deref;
use std::os::fd::BorrowedFd;

use pod_lifecycle::Fact;
use sandbox::cgroup::{CgroupError, ContainerCgroup, Hierarchies, Limits, PodCgroup};
use sandbox::network::{self, Egress, PodAddress, PodNetworkRequest};
use sandbox::{PodSandbox, PodSandboxPlan, SandboxError, Sharing};

use super::{Context, LinuxHost};
use crate::ids;
use crate::network_files;
use crate::plan;
use crate::pod_network;
use crate::volumes::{self, ObjectWatch, VolumeError};
use pod_api::text::chain;

/// A sandbox that exists. Dropping it ends the holder and with it the pod's namespaces.
#[derive(Debug)]
pub(super) struct RunningSandbox {
    pub(super) sandbox: PodSandbox,
    pub(super) cgroup: Option<PodCgroup>,
    pub(super) addresses: Vec<IpAddr>,
}

impl Deref for RunningSandbox {
    type Target = PodSandbox;

    fn deref(&self) -> &PodSandbox {
        &self.sandbox
    }
}

/// Why there is no sandbox.
enum Failure {
    Volumes(Vec<VolumeError>),
    Other(String),
}

impl Failure {
    fn into_fact(self) -> Fact {
        match self {
            Self::Volumes(errors) => {
                let told = errors.iter().map(|error| (error.volume().to_owned(), chain(error)));
                Fact::VolumesFailed { failures: told.collect() }
            }
            Self::Other(message) => Fact::SandboxFailed { message },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<SandboxError> for Failure {
    fn from(error: SandboxError) -> Self {
        Self::Other(chain(&error))
    }
}

impl RunningSandbox {
    /// The holder's pidfd, readable when the holder has ended.
    pub(super) fn holder(&self) -> BorrowedFd<'_> {
        self.sandbox.holder().pidfd()
    }

    /// The holder, as this machine numbers processes.
    pub(super) fn holder_process(&self) -> i32 {
        self.sandbox.holder().pid()
    }

    /// The pod's first address.
    pub(super) fn ip(&self) -> IpAddr {
        self.addresses.first().copied().unwrap_or(IpAddr::from([127, 0, 0, 1]))
    }

    /// A cgroup for a container; on a machine without cgroups there is none.
    pub(super) fn container_cgroup(
        &self,
        name: &str,
        limits: &Limits,
    ) -> Result<Option<ContainerCgroup>, CgroupError> {
        self.cgroup.as_ref().map(|pod| pod.container(name, limits)).transpose()
    }
}

impl LinuxHost {
    pub(super) fn create_sandbox(&mut self) {
        self.wants_sandbox = self.leaving_network.is_some();
        if self.wants_sandbox {
            return; // the sandbox before is still on the network
        }
        match self.try_create_sandbox() {
            Ok(ips) => self.facts.push_back(Fact::SandboxReady { ips }),
            // What was made before the failure goes first.
            Err(failure) => self.take_down(Vec::new(), failure.into_fact()),
        }
    }

    fn try_create_sandbox(&mut self) -> Result<Vec<IpAddr>, Failure> {
        let input = self.context.input(&[]);
        let mut plan = plan::pod(&input);
        if let Some(problem) = plan::hostname_problem(&plan.hostname) {
            return Err(Failure::Other(problem));
        }
        if plan.user_ids.is_some() {
            let leases = self.context.settings.places.id_ranges();
            plan.user_ids = Some(ids::take(&leases, &self.context.pod.uid.0)?);
        }
        volumes::set_up_shared_memory(&input, &plan)?;
        if self.object_watch.is_none() {
            // Before the volumes are made, so that no change is missed.
            let (places, now) = (&self.context.settings.places, self.clock.now());
            self.object_watch = ObjectWatch::for_pod(&input, places, now)?;
            if self.object_watch.as_ref().is_some_and(|watch| watch.descriptor().is_none()) {
                let message = "all inotify instances of root are in use \
                               (fs.inotify.max_user_instances): volumes of ConfigMaps and Secrets \
                               are looked at every second";
                self.facts.push_back(Fact::Warned {
                    reason: "InotifyExhausted",
                    message: message.to_owned(),
                });
            }
        }
        let failures = volumes::set_up(&input);
        if !failures.is_empty() {
            return Err(Failure::Volumes(failures));
        }
        volumes::set_up_processes(&input, &plan)?;
        let sandbox = PodSandbox::create(&self.spawner, &plan)?;
        let cgroup = self.create_cgroup();
        let running =
            self.sandbox.insert(RunningSandbox { sandbox, cgroup, addresses: Vec::new() });
        let addresses =
            join_network(&self.context, &plan, &running.sandbox).map_err(Failure::Other)?;
        running.addresses.clone_from(&addresses);
        let spared = running.sandbox.spared().map(|what| {
            format!("{what}; processes without capabilities may not ping or serve low ports")
        });
        let problems = network_files::write(&self.context.input(&addresses), &plan, &addresses)?;
        let firewalls = blocked_by_firewalls(&self.context, &plan);
        let warned = |reason| move |message| Fact::Warned { reason, message };
        self.facts.extend(problems.into_iter().map(warned("DNSConfigForming")));
        self.facts.extend(spared.map(warned("SysctlUnavailable")));
        self.facts.extend(firewalls.into_iter().map(warned("NetworkBlocked")));
        Ok(addresses)
    }

    /// Looks for changes where the kernel does not tell of them.
    pub(super) fn look_at_objects(&mut self) {
        let now = self.clock.now();
        if self.object_watch.as_mut().is_some_and(|watch| watch.look(now)) {
            self.objects_change();
        }
    }

    /// Volumes follow the objects that they are made of.
    pub(super) fn objects_change(&mut self) {
        if let Some(watch) = &self.object_watch {
            watch.drain();
        }
        let Some(sandbox) = &self.sandbox else {
            return; // the volumes are still to be made
        };
        for error in volumes::refresh(&self.context.input(&sandbox.addresses)) {
            let (volume, why) = (error.volume(), chain(&error));
            let message = format!("MountVolume.SetUp failed for volume \"{volume}\" : {why}");
            self.facts.push_back(Fact::Warned { reason: "FailedMount", message });
        }
    }

    /// The pod's cgroup. Where the host allows none, the pod runs and one event says so.
    fn create_cgroup(&mut self) -> Option<PodCgroup> {
        let hierarchies = Hierarchies::detect();
        let uid = &self.context.pod.uid.0;
        let created = PodCgroup::create(&hierarchies, uid, &plan::pod_limits(&self.context.pod));
        let (cgroup, warning) = match created {
            Ok(cgroup) => {
                let warning = cgroup.warnings().join("; ");
                (Some(cgroup), warning)
            }
            Err(error) => (None, chain(&error)),
        };
        if !warning.is_empty() {
            let message = format!("resource limits are not enforced: {warning}");
            self.facts.push_back(Fact::Warned { reason: "CgroupUnavailable", message });
        }
        cgroup
    }
}

/// Gives the pod its addresses.
fn join_network(
    context: &Context,
    plan: &PodSandboxPlan,
    sandbox: &PodSandbox,
) -> Result<Vec<IpAddr>, String> {
    let egress = pod_network::egress(&context.settings).map_err(|error| chain(&error))?;
    if plan.network == Sharing::Host {
        if egress != Egress::All {
            return Err(format!(
                "a pod with hostNetwork: true sends packets as this machine, which --pod-egress \
                 {egress} does not allow"
            ));
        }
        return Ok(context.host_ip.parse().into_iter().collect());
    }
    let settings = pod_network::described(&context.settings).map_err(|error| chain(&error))?;
    let namespace = sandbox
        .network_namespace()
        .ok_or_else(|| "the pod has no network namespace of its own".to_owned())?;
    let request = PodNetworkRequest {
        pod_uid: &context.pod.uid.0,
        namespace,
        host_ports: &plan::host_ports(&context.pod),
        egress,
        resolvers: &network_files::node_servers(),
    };
    let address: PodAddress = network::attach(&settings, &request).map_err(|error| {
        let hint = error.hint().map_or(String::new(), |hint| format!("; {hint}"));
        format!("failed to set up network for pod: {}{hint}", chain(&error))
    })?;
    let mut addresses = vec![IpAddr::V4(address.ip)];
    addresses.extend(address.ipv6.map(|address| IpAddr::V6(address.ip)));
    Ok(addresses)
}

/// What other firewalls of this machine do to the pod's packets. A machine that cannot be asked
/// has told so when the pod joined its network.
fn blocked_by_firewalls(context: &Context, plan: &PodSandboxPlan) -> Vec<String> {
    if plan.network == Sharing::Host {
        return Vec::new();
    }
    let settings = pod_network::described(&context.settings).ok();
    settings.and_then(|settings| network::warnings(&settings).ok()).unwrap_or_default()
}
