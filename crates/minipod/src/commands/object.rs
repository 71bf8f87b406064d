//! The objects that there are, of whatever kind.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use pod_api::objects::StoredObject;
use pod_api::{Objects, Places, Pods, pods};
use serde_json::Value;

use crate::failure::Failure;
use crate::labels::LabelSelector;
use crate::resource::Resource;
use crate::selection;
use crate::views::{age, claims, events, jsonpath, pods as pod_view};

/// An object of any kind, as it is stored.
#[derive(Clone, Debug)]
pub(crate) enum Object {
    Pod(Box<Pod>),
    Event(Box<Event>),
    ConfigMap(Box<ConfigMap>),
    Secret(Box<Secret>),
    Claim(Box<PersistentVolumeClaim>),
}

/// Every object of a kind: pods and others by namespace and name, events by time.
pub(crate) fn list(resource: Resource, places: &Places) -> Result<Vec<Object>, Failure> {
    let pods = Pods::new(places);
    Ok(match resource {
        Resource::Pod => pods.list()?.into_iter().map(|one| Object::Pod(one.pod.into())).collect(),
        Resource::Event => {
            let mut all = Vec::new();
            for dir in pods.directories()? {
                all.extend(pods::events(&dir)?);
            }
            all.sort_by_key(|event| events::last_seen(event).map(|time| time.0));
            all.into_iter().map(|event| Object::Event(event.into())).collect()
        }
        Resource::ConfigMap => stored(places, |one: ConfigMap| Object::ConfigMap(one.into()))?,
        Resource::Secret => stored(places, |one: Secret| Object::Secret(one.into()))?,
        Resource::Claim => stored(places, |one: PersistentVolumeClaim| Object::Claim(one.into()))?,
    })
}

/// The object of that kind and name, if there is one. Events are not asked for by name.
pub(super) fn find(
    resource: Resource,
    places: &Places,
    (namespace, name): (&str, &str),
) -> Result<Option<Object>, Failure> {
    let objects = Objects::new(places);
    Ok(match resource {
        Resource::Pod => {
            let found = Pods::new(places).find(namespace, name)?;
            found.map(|found| Object::Pod(found.pod.into()))
        }
        Resource::Event => None,
        Resource::ConfigMap => {
            objects.find(namespace, name)?.map(|one: ConfigMap| Object::ConfigMap(one.into()))
        }
        Resource::Secret => {
            objects.find(namespace, name)?.map(|one: Secret| Object::Secret(one.into()))
        }
        Resource::Claim => {
            let found: Option<PersistentVolumeClaim> = objects.find(namespace, name)?;
            found.map(|one| Object::Claim(one.into()))
        }
    })
}

/// The objects of a kind with these labels; in one namespace, or in all.
pub(super) fn selected(
    resource: Resource,
    places: &Places,
    namespace: Option<&str>,
    labels: &LabelSelector,
) -> Result<Vec<Object>, Failure> {
    let mut all = list(resource, places)?;
    all.retain(|object| {
        namespace.is_none_or(|namespace| object.namespace() == namespace)
            && labels.matches(object.metadata().labels.as_ref())
    });
    Ok(all)
}

/// That there is no such object, with the one that may be meant.
pub(super) fn not_found(
    resource: Resource,
    places: &Places,
    (namespace, name): (&str, &str),
) -> Failure {
    let known = list(resource, places).unwrap_or_default();
    let known: Vec<(String, String)> = known
        .iter()
        .map(|object| (object.namespace().to_owned(), object.name().to_owned()))
        .collect();
    selection::missing(resource, (namespace, name), &known)
}

fn stored<T: StoredObject>(places: &Places, wrap: fn(T) -> Object) -> Result<Vec<Object>, Failure> {
    Ok(Objects::new(places).list::<T>()?.into_iter().map(wrap).collect())
}

/// The names of a kind's columns.
pub(super) fn header(resource: Resource, is_wide: bool) -> Vec<&'static str> {
    match resource {
        Resource::Pod => pod_view::header(is_wide),
        Resource::Event => events::header(is_wide),
        Resource::ConfigMap => vec!["NAME", "DATA", "AGE"],
        Resource::Secret => vec!["NAME", "TYPE", "DATA", "AGE"],
        Resource::Claim => claims::header(is_wide),
    }
}

/// The fields that objects of a kind may be selected by.
pub(super) fn selectable(resource: Resource) -> &'static [&'static str] {
    match resource {
        Resource::Pod => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        Resource::Event => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
            "metadata.name",
            "metadata.namespace",
        ],
        Resource::Secret => &["metadata.name", "metadata.namespace", "type"],
        _ => &["metadata.name", "metadata.namespace"],
    }
}

impl From<pod_model::Object> for Object {
    fn from(object: pod_model::Object) -> Self {
        match object {
            pod_model::Object::Pod(pod) => Self::Pod(pod.object.into()),
            pod_model::Object::ConfigMap(one) => Self::ConfigMap(one.into()),
            pod_model::Object::Secret(one) => Self::Secret(one.into()),
            pod_model::Object::PersistentVolumeClaim(one) => Self::Claim(one.into()),
        }
    }
}

impl Object {
    /// Its kind.
    pub(super) fn resource(&self) -> Resource {
        match self {
            Self::Pod(_) => Resource::Pod,
            Self::Event(_) => Resource::Event,
            Self::ConfigMap(_) => Resource::ConfigMap,
            Self::Secret(_) => Resource::Secret,
            Self::Claim(_) => Resource::Claim,
        }
    }

    pub(super) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Pod(one) => &one.metadata,
            Self::Event(one) => &one.metadata,
            Self::ConfigMap(one) => &one.metadata,
            Self::Secret(one) => &one.metadata,
            Self::Claim(one) => &one.metadata,
        }
    }

    pub(super) fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Pod(one) => &mut one.metadata,
            Self::Event(one) => &mut one.metadata,
            Self::ConfigMap(one) => &mut one.metadata,
            Self::Secret(one) => &mut one.metadata,
            Self::Claim(one) => &mut one.metadata,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    pub(crate) fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    /// The object as JSON, with its kind.
    pub(super) fn value(&self) -> Value {
        let value = match self {
            Self::Pod(one) => serde_json::to_value(one),
            Self::Event(one) => serde_json::to_value(one),
            Self::ConfigMap(one) => serde_json::to_value(one),
            Self::Secret(one) => serde_json::to_value(one),
            Self::Claim(one) => serde_json::to_value(one),
        };
        let mut value = value.unwrap_or_default();
        if let Value::Object(map) = &mut value {
            map.insert("apiVersion".into(), "v1".into());
            map.insert("kind".into(), self.resource().kind().into());
        }
        value
    }

    /// A field by its dotted name, for field selectors; a field that is not there is empty.
    pub(super) fn field(&self, name: &str) -> String {
        let name = if name == "source" { "source.component" } else { name };
        let value = self.value();
        let found = name.split('.').try_fold(&value, |value, part| value.get(part));
        match (found, name) {
            (None, "spec.hostNetwork") => "false".to_owned(),
            (found, _) => found.map(jsonpath::plain).unwrap_or_default(),
        }
    }

    /// The cells of its row.
    pub(super) fn row(&self, is_wide: bool, now: Timestamp) -> Vec<String> {
        let name = || self.name().to_owned();
        let age = || age::age(self.metadata().creation_timestamp.as_ref(), now);
        match self {
            Self::Pod(pod) => pod_view::row(pod, is_wide, now),
            Self::Event(event) => events::row(event, is_wide, now),
            Self::ConfigMap(one) => vec![name(), one.count().to_string(), age()],
            Self::Secret(one) => {
                let kind = one.type_.clone().unwrap_or_else(|| "Opaque".to_owned());
                vec![name(), kind, one.count().to_string(), age()]
            }
            Self::Claim(claim) => claims::row(claim, is_wide, now),
        }
    }
}
