//! What one can ask about the pods of this machine, and the objects that they refer to.
//!
//! The command line and an API server ask the same here: objects go in, objects come out, or an
//! [`ApiError`]. What an object may say has been checked before (`pod_model`).

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret};

use crate::claims::ClaimDeletion;
use crate::control::Request;
use crate::delete::Deletion;
use crate::error::ApiError;
use crate::follow::{FollowError, Follower};
use crate::launch::{self, LaunchError, Launched};
use crate::machine::Machine;
use crate::object::{Object, last_seen};
use crate::object_store::{Change, Objects};
use crate::objects::{StoredObject, completed};
use crate::places::Places;
use crate::pods::{self, FoundPod, Pods};
use crate::record;
use crate::resource::Resource;
use crate::selectors::{FieldSelector, LabelSelector};
use crate::settings::Settings;
use crate::{client, journal};
use pod_model::PodUpdate;

/// Everything that one can ask.
#[derive(Clone, Debug)]
pub struct Api {
    settings: Settings,
    machine: Arc<dyn Machine>,
}

/// Which objects of a kind are meant.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those of one namespace, or of all.
    pub namespace: Option<String>,
    /// Those with such labels.
    pub labels: LabelSelector,
    /// Those with such fields.
    pub fields: FieldSelector,
}

impl Selection {
    /// Those of one namespace, or of all.
    pub fn of(namespace: Option<&str>) -> Self {
        Self { namespace: namespace.map(str::to_owned), ..Self::default() }
    }

    /// Whether an object is meant.
    pub fn matches(&self, object: &Object) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| object.namespace() == namespace)
            && self.labels.matches(object.metadata().labels.as_ref())
            && self.fields.matches(|field| object.field(field))
    }
}

/// What to do about an object that exists already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Make it like the new one.
    Update,
    /// Refuse.
    Refuse,
    /// Refuse if it does not exist.
    Require,
    /// Nobody looks: what would be made of a manifest where there is nothing.
    Ignore,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is new.
    Created,
    /// It has changed.
    Configured,
    /// There was nothing to change.
    Unchanged,
}

impl Outcome {
    /// In kubectl's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Configured => "configured",
            Self::Unchanged => "unchanged",
        }
    }
}

/// An object that was created or changed.
#[derive(Debug)]
pub struct Applied {
    /// What became of it.
    pub outcome: Outcome,
    /// The object since then.
    pub object: Object,
    /// The pod that was started.
    pub launched: Option<Launched>,
}

/// A deletion that was asked for.
#[derive(Debug)]
pub enum Deleted {
    /// The object is gone.
    Gone,
    /// The pod ends.
    Pod(Deletion),
    /// The claim goes when no pod uses it any more.
    Claim(ClaimDeletion),
}

impl Api {
    /// Asks about the pods of this machine, whose supervisors get these settings.
    pub fn new(settings: Settings, machine: Arc<dyn Machine>) -> Self {
        Self { settings, machine }
    }

    /// Where everything is.
    pub fn places(&self) -> &Places {
        &self.settings.places
    }

    /// What supervisors are told.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What ends and starts processes.
    pub fn machine(&self) -> &dyn Machine {
        &*self.machine
    }

    /// Every object of a kind that is meant: by namespace and name, events by time.
    pub fn list(&self, resource: Resource, meant: &Selection) -> Result<Vec<Object>, ApiError> {
        list(self.places(), resource, meant)
    }

    /// The object of that kind and name, if there is one.
    pub fn find(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Object>, ApiError> {
        find(self.places(), resource, namespace, name)
    }

    /// The object of that kind and name.
    pub fn get(&self, resource: Resource, namespace: &str, name: &str) -> Result<Object, ApiError> {
        let found = self.find(resource, namespace, name)?;
        found.ok_or_else(|| ApiError::not_found(resource, name))
    }

    /// Every object of these kinds, and then every change.
    pub fn follow(&self, resources: &[Resource]) -> Result<Follower, FollowError> {
        Follower::new(self.places(), resources)
    }

    /// Creates an object or makes the existing one like it.
    pub fn apply(
        &self,
        object: &pod_model::Object,
        existing: Existing,
        is_dry: bool,
    ) -> Result<Applied, ApiError> {
        match object {
            pod_model::Object::Pod(pod) => self.apply_pod(&pod.object, existing, is_dry),
            pod_model::Object::ConfigMap(one) => self.apply_stored(one, existing, is_dry),
            pod_model::Object::Secret(one) => self.apply_stored(one, existing, is_dry),
            pod_model::Object::PersistentVolumeClaim(one) => {
                self.apply_stored(one, existing, is_dry)
            }
        }
    }

    /// Makes an object that exists like this one, if it is still of this one's version; without a
    /// version, whatever it is.
    pub fn update(&self, object: &Object, is_dry: bool) -> Result<Applied, ApiError> {
        match object {
            Object::Pod(pod) => {
                let found = self.pod(object.namespace(), object.name())?;
                self.update_pod(&found, pod, is_dry)
            }
            Object::ConfigMap(one) => self.apply_stored(&**one, Existing::Require, is_dry),
            Object::Secret(one) => self.apply_stored(&**one, Existing::Require, is_dry),
            Object::Claim(one) => self.apply_stored(&**one, Existing::Require, is_dry),
            Object::Event(_) => {
                Err(ApiError::bad_request("events are written once, and not changed"))
            }
        }
    }

    /// Asks for an object's deletion. `grace` is in seconds, for pods; without one it is the pod's
    /// own.
    pub fn delete(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
        grace: Option<u64>,
    ) -> Result<Deleted, ApiError> {
        let objects = Objects::new(self.places());
        let removed = |is_there: bool| {
            let gone = is_there.then_some(Deleted::Gone);
            gone.ok_or_else(|| ApiError::not_found(resource, name))
        };
        match resource {
            Resource::Pod => {
                let found = self.pod(namespace, name)?;
                Ok(Deleted::Pod(Deletion::request(found.dir, grace, &self.settings)?))
            }
            Resource::Claim => match ClaimDeletion::request(self.places(), namespace, name)? {
                Some(deletion) => Ok(Deleted::Claim(deletion)),
                None => removed(false),
            },
            Resource::ConfigMap => removed(objects.remove::<ConfigMap>(namespace, name)?),
            Resource::Secret => removed(objects.remove::<Secret>(namespace, name)?),
            Resource::Event => Err(ApiError::bad_request("events go with their pod")),
        }
    }

    /// The pod of that name, with its directory, through which its supervisor is asked.
    pub fn pod(&self, namespace: &str, name: &str) -> Result<FoundPod, ApiError> {
        let found = Pods::new(self.places()).find(namespace, name)?;
        found.ok_or_else(|| ApiError::not_found(Resource::Pod, name))
    }

    fn apply_pod(&self, pod: &Pod, existing: Existing, is_dry: bool) -> Result<Applied, ApiError> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let found = match existing {
            Existing::Ignore => None,
            _ => Pods::new(self.places()).find(namespace, name)?,
        };
        let outcome = Outcome::Created;
        match found {
            Some(_) if existing == Existing::Refuse => {
                Err(ApiError::already_exists(Resource::Pod, name))
            }
            Some(found) => self.update_pod(&found, pod, is_dry),
            None if existing == Existing::Require => Err(ApiError::not_found(Resource::Pod, name)),
            None if is_dry => {
                Ok(Applied { outcome, object: Object::Pod(pod.clone().into()), launched: None })
            }
            None => {
                let launched = launch::launch(pod.clone(), &self.settings, self.machine());
                let launched = launched.map_err(|error| match error {
                    LaunchError::AlreadyExists { name } => {
                        ApiError::already_exists(Resource::Pod, &name)
                    }
                    error => ApiError::internal(error),
                })?;
                let object = Object::Pod(launched.pod.clone().into());
                Ok(Applied { outcome, object, launched: Some(launched) })
            }
        }
    }

    /// Kubernetes lets one change little of a pod that exists.
    fn update_pod(&self, found: &FoundPod, new: &Pod, is_dry: bool) -> Result<Applied, ApiError> {
        let name = found.name();
        let refused = |message: String| ApiError::conflict(Resource::Pod, name, message);
        let version = journal::Version::of(&new.metadata);
        if version.is_some() && version != journal::Version::of(&found.pod.metadata) {
            return Err(ApiError::modified(Resource::Pod, name));
        }
        if pods::has_died(&found.pod) {
            return Err(refused(format!("the supervisor of pod \"{name}\" has died")));
        }
        if found.pod.metadata.deletion_timestamp.is_some() {
            return Err(refused(format!("pod \"{name}\" is being deleted")));
        }
        let update = PodUpdate::between(&found.pod, new)
            .map_err(|error| ApiError::invalid(Resource::Pod, name, error.to_string()))?;
        let applied = |outcome, pod: Pod| {
            Ok(Applied { outcome, object: Object::Pod(pod.into()), launched: None })
        };
        let Some(update) = update else {
            return applied(Outcome::Unchanged, found.pod.clone());
        };
        let phase = found.pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if let Some(phase @ ("Succeeded" | "Failed")) = phase {
            let text = format!("pod \"{name}\" has ended ({phase}) and cannot be changed any more");
            return Err(refused(text));
        }
        if is_dry {
            return applied(Outcome::Configured, new.clone());
        }
        client::ask(&found.dir, &Request::Update(Box::new(update)))?;
        let now = record::read_pod(&found.dir)?;
        applied(Outcome::Configured, now)
    }

    /// Stores an object that pods refer to.
    fn apply_stored<T: StoredObject + PartialEq>(
        &self,
        object: &T,
        existing: Existing,
        is_dry: bool,
    ) -> Result<Applied, ApiError>
    where
        Object: From<T>,
    {
        let metadata = object.clone().metadata_mut().clone();
        let version = journal::Version::of(&metadata);
        let name = metadata.name.as_deref().unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let mut outcome = Outcome::Created;
        let mut complete = |former: Option<&T>| {
            let former = former.filter(|_| existing != Existing::Ignore);
            if former.is_some() && existing == Existing::Refuse {
                return Err(ApiError::already_exists(T::RESOURCE, name));
            }
            if former.is_none() && existing == Existing::Require {
                return Err(ApiError::not_found(T::RESOURCE, name));
            }
            let known = former.map(|former| former.clone().metadata_mut().resource_version.clone());
            if let (Some(version), Some(known)) = (version, known)
                && known != Some(version.to_string())
            {
                return Err(ApiError::modified(T::RESOURCE, name));
            }
            let new = completed(object.clone(), former)
                .map_err(|error| ApiError::invalid(T::RESOURCE, name, error.to_string()))?;
            outcome = match former {
                None => Outcome::Created,
                Some(former) if *former == new => Outcome::Unchanged,
                Some(_) => Outcome::Configured,
            };
            Ok(new)
        };
        let objects = Objects::new(self.places());
        let stored = if is_dry {
            complete(objects.find(namespace, name)?.as_ref())?
        } else {
            let mut unchanged = None;
            let stored = objects.change(namespace, name, |former| {
                let new = complete(former)?;
                if former == Some(&new) {
                    unchanged = Some(new);
                    return Ok::<_, ApiError>(Change::Keep);
                }
                Ok(Change::Store(new))
            })?;
            match stored.or(unchanged) {
                Some(stored) => stored,
                None => return Err(ApiError::not_found(T::RESOURCE, name)), // it was just stored
            }
        };
        Ok(Applied { outcome, object: stored.into(), launched: None })
    }
}

/// Every object of a kind that is meant: by namespace and name, events by time.
fn list(places: &Places, resource: Resource, meant: &Selection) -> Result<Vec<Object>, ApiError> {
    let pods = Pods::new(places);
    let mut all: Vec<Object> = match resource {
        Resource::Pod => pods.list()?.into_iter().map(|one| one.pod.into()).collect(),
        Resource::Event => {
            let mut events = Vec::new();
            for dir in pods.directories()? {
                events.extend(record::read_events(&dir)?);
            }
            events.sort_by_key(|event| last_seen(event).map(|time| time.0));
            events.into_iter().map(Object::from).collect()
        }
        Resource::ConfigMap => stored::<ConfigMap>(places)?,
        Resource::Secret => stored::<Secret>(places)?,
        Resource::Claim => stored::<PersistentVolumeClaim>(places)?,
    };
    all.retain(|object| meant.matches(object));
    Ok(all)
}

/// The object of that kind and name, if there is one.
fn find(
    places: &Places,
    resource: Resource,
    namespace: &str,
    name: &str,
) -> Result<Option<Object>, ApiError> {
    let objects = Objects::new(places);
    Ok(match resource {
        Resource::Pod => Pods::new(places).find(namespace, name)?.map(|found| found.pod.into()),
        Resource::Event => {
            let events = list(places, resource, &Selection::of(Some(namespace)))?;
            events.into_iter().find(|event| event.name() == name)
        }
        Resource::ConfigMap => objects.find::<ConfigMap>(namespace, name)?.map(Object::from),
        Resource::Secret => objects.find::<Secret>(namespace, name)?.map(Object::from),
        Resource::Claim => {
            objects.find::<PersistentVolumeClaim>(namespace, name)?.map(Object::from)
        }
    })
}

fn stored<T: StoredObject>(places: &Places) -> Result<Vec<Object>, ApiError>
where
    Object: From<T>,
{
    Ok(Objects::new(places).list::<T>()?.into_iter().map(Object::from).collect())
}

#[cfg(test)]
mod tests;
