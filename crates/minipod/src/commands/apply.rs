//! `apply` and `create`: objects come into being.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pod_model::{Object, Pod, PodUpdate, Unnamed};
use pod_runner::control::Request;
use pod_runner::launch::{self, LaunchError, Launched};
use pod_runner::objects::{StoredObject, completed};
use pod_runner::pods::{self, FoundPod};
use pod_runner::{Objects, Pods, Settings, client};

use super::{require_root, settings};
use crate::cli::{ApplyArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::manifest::{self, Described};
use crate::screen;

/// What to do about an object that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// `apply`: update it.
    Update,
    /// `create`: an error.
    Refuse,
}

pub(crate) fn run(places: &PlaceArgs, args: &ApplyArgs, existing: Existing) -> Result<(), Failure> {
    let with_names_only = names_only(args.output.as_deref())?;
    let files = manifest::files(&args.file, args.recursive)?;
    let unnamed = match existing {
        Existing::Update => Unnamed::Refuse("apply"),
        Existing::Refuse => manifest::NAMED,
    };
    let objects = manifest::read_with_files(&files, places, args.manifest, unnamed)?;
    require_root()?;
    let settings = settings(places);
    let mut failures = Vec::new();
    for Described { object, file } in objects {
        let line = match object {
            Object::Pod(pod) => apply_pod(*pod, &settings, existing),
            other => store(&other, &settings, existing),
        };
        match line {
            Ok(line) if with_names_only => {
                let name = line.split_whitespace().next().unwrap_or_default();
                screen::answer(&format!("{name}\n"))?;
            }
            Ok(line) => screen::answer(&line)?,
            Err(failure) => failures.push(failure.when_creating(&file)),
        }
    }
    // The errors of one object do not stop the others; the last one is told by whoever called.
    Failure::told_but_last(failures)
}

/// Whether names are all that is to be printed, which is the only other form that there is.
pub(super) fn names_only(output: Option<&str>) -> Result<bool, Failure> {
    match output {
        None => Ok(false),
        Some("name") => Ok(true),
        Some(other) => {
            let text = format!("unexpected -o output mode: {other}");
            Err(Failure::new(Kind::Usage, text).hint("-o name"))
        }
    }
}

/// Stores an object that pods refer to, and returns the line that says so.
pub(crate) fn store(
    object: &Object,
    settings: &Settings,
    existing: Existing,
) -> Result<String, Failure> {
    let stored = Objects::new(&settings.places);
    match object {
        Object::ConfigMap(map) => keep(&stored, &map.metadata, map, ("configmap", existing)),
        Object::Secret(secret) => keep(&stored, &secret.metadata, secret, ("secret", existing)),
        Object::PersistentVolumeClaim(claim) => {
            keep(&stored, &claim.metadata, claim, ("persistentvolumeclaim", existing))
        }
        Object::Pod(_) => Ok(String::new()),
    }
}

fn keep<T: StoredObject + PartialEq>(
    objects: &Objects,
    metadata: &ObjectMeta,
    object: &T,
    (kind, existing): (&str, Existing),
) -> Result<String, Failure> {
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let former = objects.find::<T>(namespace, name)?;
    let object = match existing {
        Existing::Update => completed(object.clone(), former.as_ref())
            .map_err(|error| Failure::invalid(Kind::Failed, error.to_string()))?,
        Existing::Refuse => completed(object.clone(), None)?,
    };
    let verb = match (&former, existing) {
        (None, _) => "created",
        (Some(_), Existing::Refuse) => {
            return Err(already_exists(&format!("{kind}s"), name));
        }
        (Some(former), Existing::Update) if *former == object => "unchanged",
        (Some(_), Existing::Update) => "configured",
    };
    objects.store(namespace, name, &object)?;
    Ok(format!("{kind}/{name} {verb}\n"))
}

fn apply_pod(pod: Pod, settings: &Settings, existing: Existing) -> Result<String, Failure> {
    let name = pod.name.to_string();
    let found = Pods::new(&settings.places).find(&pod.namespace, &name)?;
    match (found, existing) {
        (None, _) => create_pod(pod, settings).map(|_| format!("pod/{name} created\n")),
        (Some(_), Existing::Refuse) => Err(already_exists("pods", &name)),
        (Some(found), Existing::Update) => update_pod(&found, &pod, &name),
    }
}

/// Kubernetes lets one change little of a pod that exists.
fn update_pod(found: &FoundPod, pod: &Pod, name: &str) -> Result<String, Failure> {
    let again = format!("minipod delete pod {name}, then apply again");
    let refused = |text: String| Failure::new(Kind::Failed, text).hint(again.clone());
    let invalid = |text: String| Failure::invalid(Kind::Failed, text).hint(again.clone());
    if pods::has_died(&found.pod) {
        return Err(refused(format!("the supervisor of pod \"{name}\" has died")));
    }
    if found.pod.metadata.deletion_timestamp.is_some() {
        return Err(Failure::new(Kind::Failed, format!("pod \"{name}\" is being deleted"))
            .hint("wait until it is gone, then apply again"));
    }
    let update =
        PodUpdate::between(&found.pod, &pod.object).map_err(|error| invalid(error.to_string()))?;
    let Some(update) = update else {
        return Ok(format!("pod/{name} unchanged\n"));
    };
    let phase = found.pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if let Some(phase @ ("Succeeded" | "Failed")) = phase {
        let text = format!("pod \"{name}\" has ended ({phase}) and cannot be changed any more");
        return Err(refused(text));
    }
    client::ask(&found.dir, &Request::Update(Box::new(update)))?;
    Ok(format!("pod/{name} configured\n"))
}

/// Creates a pod.
pub(crate) fn create_pod(pod: Pod, settings: &Settings) -> Result<Launched, Failure> {
    launch::launch(pod.object, settings).map_err(|error| match error {
        LaunchError::AlreadyExists { name } => already_exists("pods", &name),
        error => Failure::of(Kind::Failed, &error),
    })
}

fn already_exists(kinds: &str, name: &str) -> Failure {
    Failure::server(Kind::Failed, "AlreadyExists", format!("{kinds} \"{name}\" already exists"))
        .hint(format!("minipod delete {} {name}", kinds.trim_end_matches('s')))
}
