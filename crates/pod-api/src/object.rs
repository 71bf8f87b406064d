//! An object of any kind.

use k8s_openapi::api::core::v1::{ConfigMap, Event, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde_json::Value;

use crate::resource::Resource;

/// An object of any kind, as it is stored.
#[derive(Clone, Debug)]
pub enum Object {
    /// A pod.
    Pod(Box<Pod>),
    /// An event.
    Event(Box<Event>),
    /// A ConfigMap.
    ConfigMap(Box<ConfigMap>),
    /// A Secret.
    Secret(Box<Secret>),
    /// A PersistentVolumeClaim.
    Claim(Box<PersistentVolumeClaim>),
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

macro_rules! from {
    ($($kind:ident: $name:ident),* $(,)?) => {
        $(impl From<$kind> for Object {
            fn from(object: $kind) -> Self {
                Self::$name(object.into())
            }
        })*
    };
}

from!(Pod: Pod, Event: Event, ConfigMap: ConfigMap, Secret: Secret, PersistentVolumeClaim: Claim);

impl Object {
    /// The object of that kind that this JSON describes, if it does.
    pub fn from_json(resource: Resource, text: &str) -> Option<Self> {
        Some(match resource {
            Resource::Pod => Self::Pod(serde_json::from_str(text).ok()?),
            Resource::Event => Self::Event(serde_json::from_str(text).ok()?),
            Resource::ConfigMap => Self::ConfigMap(serde_json::from_str(text).ok()?),
            Resource::Secret => Self::Secret(serde_json::from_str(text).ok()?),
            Resource::Claim => Self::Claim(serde_json::from_str(text).ok()?),
        })
    }

    /// Its kind.
    pub fn resource(&self) -> Resource {
        match self {
            Self::Pod(_) => Resource::Pod,
            Self::Event(_) => Resource::Event,
            Self::ConfigMap(_) => Resource::ConfigMap,
            Self::Secret(_) => Resource::Secret,
            Self::Claim(_) => Resource::Claim,
        }
    }

    /// Its metadata.
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Pod(one) => &one.metadata,
            Self::Event(one) => &one.metadata,
            Self::ConfigMap(one) => &one.metadata,
            Self::Secret(one) => &one.metadata,
            Self::Claim(one) => &one.metadata,
        }
    }

    /// Its metadata, to be changed.
    pub fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Pod(one) => &mut one.metadata,
            Self::Event(one) => &mut one.metadata,
            Self::ConfigMap(one) => &mut one.metadata,
            Self::Secret(one) => &mut one.metadata,
            Self::Claim(one) => &mut one.metadata,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.metadata().name.as_deref().unwrap_or_default()
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.metadata().namespace.as_deref().unwrap_or_default()
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        self.metadata().uid.as_deref().unwrap_or_default()
    }

    /// The object as JSON, with its kind.
    pub fn value(&self) -> Value {
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
    pub fn field(&self, name: &str) -> String {
        let name = if name == "source" { "source.component" } else { name };
        let value = self.value();
        let found = name.split('.').try_fold(&value, |value, part| value.get(part));
        match (found, name) {
            (None, "spec.hostNetwork") => "false".to_owned(),
            (found, _) => found.map(plain).unwrap_or_default(),
        }
    }
}

/// When an event was seen last.
pub fn last_seen(event: &Event) -> Option<&Time> {
    event.last_timestamp.as_ref().or(event.first_timestamp.as_ref())
}

/// A scalar as a selector writes it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
