//! `apply` and `create`: objects come into being.

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pod_api::control::Request;
use pod_api::launch::{self, LaunchError, Launched};
use pod_api::objects::{StoredObject, completed};
use pod_api::pods::{self, FoundPod};
use pod_api::{Objects, Pods, Settings, client};
use pod_model::{Object, Pod, PodUpdate, Unnamed};
use pod_runner::LinuxMachine;

use super::result::Printer;
use super::run::wait_for_ports;
use super::{require_root, settings};
use crate::cli::{ApplyArgs, DryRun, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::manifest::{self, Described};

/// What to do about an object that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// `apply`: update it.
    Update,
    /// `create`: an error.
    Refuse,
}

/// How objects come into being.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mode {
    pub(crate) existing: Existing,
    pub(crate) dry_run: DryRun,
}

impl Mode {
    /// Whether it matters what is there: not when somebody only wants to see what `create` would
    /// make of a manifest.
    fn compares(self) -> bool {
        (self.existing, self.dry_run) != (Existing::Refuse, DryRun::Client)
    }
}

pub(crate) fn run(places: &PlaceArgs, args: &ApplyArgs, existing: Existing) -> Result<(), Failure> {
    let mode = Mode { existing, dry_run: args.result.dry_run.mode };
    let mut printer = Printer::new(&args.result)?;
    let files = manifest::files(&args.file, args.recursive)?;
    let unnamed = match existing {
        Existing::Update => Unnamed::Refuse("apply"),
        Existing::Refuse => manifest::NAMED,
    };
    let objects = manifest::read_with_files(&files, places, args.manifest, unnamed)?;
    if !mode.dry_run.is_dry() {
        require_root()?;
    }
    let settings = settings(places);
    let mut failures = Vec::new();
    let mut created = Vec::new();
    for Described { object, file } in objects {
        match apply_object(&object, &settings, mode, &mut created) {
            Ok(verb) => printer.print(object.into(), verb, &settings.places)?,
            Err(failure) => failures.push(failure.when_creating(&file)),
        }
    }
    printer.finish()?;
    Failure::told_but_last(failures)
}

/// What became of the object, in one word.
fn apply_object(
    object: &Object,
    settings: &Settings,
    mode: Mode,
    created: &mut Vec<v1::Pod>,
) -> Result<&'static str, Failure> {
    match object {
        Object::Pod(pod) => apply_pod(pod, settings, mode, created),
        other => store(other, settings, mode),
    }
}

/// Stores an object that pods refer to, and returns what became of it, in one word.
pub(crate) fn store(
    object: &Object,
    settings: &Settings,
    mode: Mode,
) -> Result<&'static str, Failure> {
    let stored = Objects::new(&settings.places);
    match object {
        Object::ConfigMap(map) => keep(&stored, &map.metadata, map, mode),
        Object::Secret(secret) => keep(&stored, &secret.metadata, secret, mode),
        Object::PersistentVolumeClaim(claim) => keep(&stored, &claim.metadata, claim, mode),
        Object::Pod(_) => Ok("unchanged"), // a pod is no object that is only stored
    }
}

/// The same, of any kind that is stored.
pub(super) fn keep<T: StoredObject + PartialEq>(
    objects: &Objects,
    metadata: &ObjectMeta,
    object: &T,
    mode: Mode,
) -> Result<&'static str, Failure> {
    let name = metadata.name.as_deref().unwrap_or_default();
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let former = if mode.compares() { objects.find::<T>(namespace, name)? } else { None };
    if former.is_some() && mode.existing == Existing::Refuse {
        return Err(already_exists(T::PLURAL, name));
    }
    let object = completed(object.clone(), former.as_ref())
        .map_err(|error| Failure::invalid(Kind::Failed, error.to_string()))?;
    let verb = match &former {
        None => "created",
        Some(former) if *former == object => "unchanged",
        Some(_) => "configured",
    };
    if !mode.dry_run.is_dry() {
        objects.store(namespace, name, &object)?;
    }
    Ok(verb)
}

fn apply_pod(
    pod: &Pod,
    settings: &Settings,
    mode: Mode,
    created: &mut Vec<v1::Pod>,
) -> Result<&'static str, Failure> {
    let name = pod.name.to_string();
    let found = if mode.compares() {
        Pods::new(&settings.places).find(&pod.namespace, &name)?
    } else {
        None
    };
    match (found, mode.existing) {
        (None, _) if mode.dry_run.is_dry() => Ok("created"),
        (None, _) => {
            wait_for_ports(pod, &created.iter().collect::<Vec<_>>(), settings)?;
            created.push(create_pod(pod.clone(), settings)?.pod);
            Ok("created")
        }
        (Some(_), Existing::Refuse) => Err(already_exists("pods", &name)),
        (Some(found), Existing::Update) => {
            let is_changed = update_pod(&found, &pod.object, mode.dry_run)?;
            Ok(if is_changed { "configured" } else { "unchanged" })
        }
    }
}

/// Makes a pod like the new one, and returns whether there was anything to change. Kubernetes lets
/// one change little of a pod that exists.
pub(super) fn update_pod(
    found: &FoundPod,
    new: &v1::Pod,
    dry_run: DryRun,
) -> Result<bool, Failure> {
    let name = found.name();
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
    let update = PodUpdate::between(&found.pod, new).map_err(|error| invalid(error.to_string()))?;
    let Some(update) = update else {
        return Ok(false);
    };
    let phase = found.pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if let Some(phase @ ("Succeeded" | "Failed")) = phase {
        let text = format!("pod \"{name}\" has ended ({phase}) and cannot be changed any more");
        return Err(refused(text));
    }
    if !dry_run.is_dry() {
        client::ask(&found.dir, &Request::Update(Box::new(update)))?;
    }
    Ok(true)
}

/// Creates a pod.
pub(crate) fn create_pod(pod: Pod, settings: &Settings) -> Result<Launched, Failure> {
    launch::launch(pod.object, settings, &LinuxMachine).map_err(|error| match error {
        LaunchError::AlreadyExists { name } => already_exists("pods", &name),
        error => Failure::of(Kind::Failed, &error),
    })
}

fn already_exists(kinds: &str, name: &str) -> Failure {
    Failure::server(Kind::Failed, "AlreadyExists", format!("{kinds} \"{name}\" already exists"))
        .hint(format!("minipod delete {} {name}", kinds.trim_end_matches('s')))
}
