//! `delete`: graceful, idempotent, leaves nothing.

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Secret};
use pod_model::Object;
use pod_runner::delete::Deletion;
use pod_runner::objects::StoredObject;
use pod_runner::{Objects, Pods};

use super::{places, require_root};
use crate::cli::{DeleteArgs, ManifestArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::{manifest, screen, selection};

/// Something to delete: its kind in the singular, its namespace and its name.
type Target = (&'static str, String, String);

pub(crate) fn run(args: &PlaceArgs, delete: &DeleteArgs) -> Result<(), Failure> {
    let targets = targets(args, delete)?;
    require_root()?;
    let grace = grace(delete);
    let pods = Pods::new(&places(args));
    let mut deletions = Vec::new();
    let mut missing = None;
    for (kind, namespace, name) in targets {
        if kind != "pod" {
            missing = missing.or(remove_object(args, kind, &namespace, &name)?);
            continue;
        }
        match pods.find(&namespace, &name)? {
            Some(found) => {
                deletions.push(Deletion::request(found.dir, grace)?);
                let how = if delete.force { " force deleted" } else { " deleted" };
                screen::answer(&format!("pod \"{name}\"{how} from {namespace} namespace\n"))?;
            }
            None if delete.ignore_not_found || !delete.file.is_empty() => {}
            None => missing = missing.or(Some(selection::not_found(&pods, &namespace, &name))),
        }
    }
    if delete.wait {
        deletions.into_iter().try_for_each(Deletion::wait)?;
    }
    missing.map_or(Ok(()), Err)
}

/// The grace period that is asked for; the pod's own when nothing is said.
fn grace(delete: &DeleteArgs) -> Option<u64> {
    match (delete.force, delete.now, delete.grace_period) {
        (true, ..) => Some(0),
        (_, true, _) => Some(1),
        (_, _, Some(seconds)) => Some(u64::try_from(seconds).unwrap_or(1).max(1)),
        _ => None,
    }
}

fn targets(args: &PlaceArgs, delete: &DeleteArgs) -> Result<Vec<Target>, Failure> {
    if !delete.file.is_empty() {
        let lenient = ManifestArgs { ignore_unsupported: true };
        let objects = manifest::read(&delete.file, args, lenient)?;
        return Ok(objects.iter().map(target_of).collect());
    }
    let stated = delete.kind.as_deref().unwrap_or_default();
    let (kind, mut names) = match stated.split_once('/') {
        Some((kind, name)) => (kind, vec![name.to_owned()]),
        None => (stated, Vec::new()),
    };
    let kind = kind_of(kind)?;
    for name in &delete.name {
        names.push(name.rsplit('/').next().unwrap_or(name).to_owned());
    }
    if delete.all {
        let all = Pods::new(&places(args)).list()?;
        let own = all.iter().filter(|found| found.namespace() == args.namespace);
        names.extend(own.map(|found| found.name().to_owned()));
    } else if names.is_empty() {
        return Err(Failure::new(
            Kind::Usage,
            "resource(s) were provided, but no name was specified",
        )
        .hint("minipod delete pod NAME, or minipod delete -f FILE"));
    }
    Ok(names.into_iter().map(|name| (kind, args.namespace.clone(), name)).collect())
}

fn target_of(object: &Object) -> Target {
    let (kind, metadata) = match object {
        Object::Pod(pod) => ("pod", &pod.object.metadata),
        Object::ConfigMap(map) => ("configmap", &map.metadata),
        Object::Secret(secret) => ("secret", &secret.metadata),
        Object::PersistentVolumeClaim(claim) => ("persistentvolumeclaim", &claim.metadata),
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    (kind, text(&metadata.namespace), text(&metadata.name))
}

/// The kind in the singular, from any of the forms that kubectl takes.
fn kind_of(stated: &str) -> Result<&'static str, Failure> {
    match stated {
        "pod" | "pods" | "po" => Ok("pod"),
        "configmap" | "configmaps" | "cm" => Ok("configmap"),
        "secret" | "secrets" => Ok("secret"),
        "persistentvolumeclaim" | "persistentvolumeclaims" | "pvc" => Ok("persistentvolumeclaim"),
        "" => Err(Failure::new(Kind::Usage, "nothing is named to delete")
            .hint("minipod delete pod NAME, or minipod delete -f FILE")),
        other => Err(Failure::new(Kind::Usage, format!("minipod knows no kind {other:?}"))
            .hint("pod, configmap, secret or persistentvolumeclaim")),
    }
}

fn remove_object(
    args: &PlaceArgs,
    kind: &str,
    namespace: &str,
    name: &str,
) -> Result<Option<Failure>, Failure> {
    let objects = Objects::new(&places(args));
    let removed = match kind {
        "configmap" => remove::<ConfigMap>(&objects, namespace, name),
        "secret" => remove::<Secret>(&objects, namespace, name),
        _ => remove::<PersistentVolumeClaim>(&objects, namespace, name),
    }?;
    if removed {
        screen::answer(&format!("{kind} \"{name}\" deleted from {namespace} namespace\n"))?;
        return Ok(None);
    }
    Ok(Some(Failure::new(Kind::NotFound, format!("{kind}s \"{name}\" not found"))))
}

fn remove<T: StoredObject>(
    objects: &Objects,
    namespace: &str,
    name: &str,
) -> Result<bool, Failure> {
    Ok(objects.remove::<T>(namespace, name)?)
}
