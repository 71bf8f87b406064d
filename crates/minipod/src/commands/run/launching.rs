//! Creates what a manifest describes, all of it or no pod.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1;
use pod_api::api::{Existing, Outcome};
use pod_api::delete::Deletion;
use pod_api::follow::Change;
use pod_api::journal::Verb;
use pod_api::launch::Launched;
use pod_api::watch::Woken;
use pod_api::{Api, Pods, Resource};
use pod_model::{Object, Pod};

use crate::failure::{Failure, Kind};
use crate::manifest::Described;

/// How long a pod is waited for that wants a port of the machine first.
const HAS_ITS_PORTS_WITHIN: Duration = Duration::from_secs(5);

/// What `run` has created.
#[derive(Default)]
pub(super) struct Created {
    pub(super) pods: Vec<Launched>,
    /// ConfigMaps and Secrets that were not there before.
    pub(super) objects: Vec<pod_api::Object>,
}

impl Created {
    /// Removes the objects beside the pods.
    pub(super) fn remove_objects(&self, api: &Api) -> Result<(), Failure> {
        for object in &self.objects {
            match api.delete(object.resource(), object.namespace(), object.name(), None) {
                Err(error) if error.reason != "NotFound" => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Creates everything, or no pod. `removes_objects` says that what is beside the pods goes, too,
/// when that fails.
pub(super) fn launch(
    objects: Vec<Described>,
    api: &Api,
    removes_objects: bool,
) -> Result<Created, Failure> {
    let mut created = Created::default();
    for Described { object, file } in objects {
        if let Err(failure) = create(&object, api, &mut created) {
            for one in std::mem::take(&mut created.pods) {
                Deletion::request(one.dir, Some(0), api.settings())?.wait(api.machine())?;
            }
            if removes_objects {
                created.remove_objects(api)?;
            }
            return Err(failure.when_creating(&file));
        }
    }
    Ok(created)
}

fn create(object: &Object, api: &Api, created: &mut Created) -> Result<(), Failure> {
    let existing = match object {
        Object::Pod(pod) => {
            let earlier: Vec<&v1::Pod> = created.pods.iter().map(|one| &one.pod).collect();
            wait_for_ports(pod, &earlier, api)?;
            Existing::Refuse
        }
        _ => Existing::Update, // what is stored besides a pod becomes what the manifest says
    };
    let applied = api.apply(object, existing, false)?;
    match (applied.launched, applied.object) {
        (Some(pod), _) => created.pods.push(pod),
        // Claims keep what pods have written.
        (None, object @ (pod_api::Object::ConfigMap(_) | pod_api::Object::Secret(_)))
            if applied.outcome == Outcome::Created =>
        {
            created.objects.push(object);
        }
        (None, _) => {}
    }
    Ok(())
}

/// Who comes first in a manifest is served first: of pods that want the same port of the machine,
/// a later one is created when an earlier one has its ports, or has failed to get them.
pub(in crate::commands) fn wait_for_ports(
    pod: &Pod,
    earlier: &[&v1::Pod],
    api: &Api,
) -> Result<(), Failure> {
    let wanted = ports(&pod.object);
    let rivals = earlier.iter().filter(|one| ports(one).iter().any(|port| wanted.contains(port)));
    let mut rivals: Vec<Option<&String>> = rivals.map(|one| one.metadata.uid.as_ref()).collect();
    if rivals.is_empty() {
        return Ok(());
    }
    let deadline = Instant::now() + HAS_ITS_PORTS_WITHIN;
    let mut follower = api.follow(&[Resource::Pod, Resource::Event])?;
    loop {
        for Change { verb, object } in follower.changes()? {
            match object {
                pod_api::Object::Pod(pod) if verb == Verb::Deleted || has_sandbox(&pod) => {
                    rivals.retain(|uid| *uid != pod.metadata.uid.as_ref());
                }
                pod_api::Object::Event(event) if event.type_.as_deref() == Some("Warning") => {
                    rivals.retain(|uid| *uid != event.involved_object.uid.as_ref());
                }
                _ => {}
            }
        }
        if rivals.is_empty() || follower.wait(None, Some(deadline))? == Woken::TimedOut {
            return Ok(());
        }
    }
}

/// Whether the pod has its network, or has ended without.
fn has_sandbox(pod: &v1::Pod) -> bool {
    pod.status.as_ref().is_some_and(|status| {
        let has_ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
        status.pod_ip.is_some() || has_ended
    })
}

/// The machine's ports that the pod's containers want, by protocol.
fn ports(pod: &v1::Pod) -> Vec<(i32, String)> {
    let spec = pod.spec.iter();
    let containers =
        spec.flat_map(|one| one.init_containers.iter().flatten().chain(&one.containers));
    let ports = containers.flat_map(|one| one.ports.iter().flatten());
    let port = |one: &v1::ContainerPort| {
        let protocol = one.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        one.host_port.filter(|port| *port != 0).map(|port| (port, protocol))
    };
    ports.filter_map(port).collect()
}

/// Deletes the pods that have the names of those to come, in order and with their own grace.
pub(super) fn make_room(objects: &[Described], api: &Api) -> Result<(), Failure> {
    let pods = Pods::new(api.places());
    let mut deletions = Vec::new();
    for one in objects {
        if let Object::Pod(pod) = &one.object
            && let Some(found) = pods.find(&pod.namespace, pod.name.as_str())?
        {
            deletions.push(Deletion::request(found.dir, None, api.settings())?);
        }
    }
    for deletion in deletions {
        deletion.wait(api.machine())?;
    }
    Ok(())
}

/// There is something to run.
pub(super) fn require_pod(objects: &[Described]) -> Result<(), Failure> {
    if objects.iter().any(|one| matches!(one.object, Object::Pod(_))) {
        return Ok(());
    }
    Err(Failure::new(Kind::Manifest, "there is no pod in the manifest to run")
        .hint("minipod apply -f stores ConfigMaps and Secrets"))
}
