//! The row of an object in the table of its kind.

use jiff::Timestamp;
use pod_api::objects::StoredObject;
use pod_api::{Object, Resource};

use super::{age, claims, events, pods as pod_view};

/// The names of a kind's columns.
pub fn header(resource: Resource, is_wide: bool) -> Vec<&'static str> {
    match resource {
        Resource::Pod => pod_view::header(is_wide),
        Resource::Event => events::header(is_wide),
        Resource::ConfigMap => vec!["NAME", "DATA", "AGE"],
        Resource::Secret => vec!["NAME", "TYPE", "DATA", "AGE"],
        Resource::Claim => claims::header(is_wide),
    }
}

/// The cells of an object's row.
pub fn row(object: &Object, is_wide: bool, now: Timestamp) -> Vec<String> {
    let name = || object.name().to_owned();
    let age = || age::age(object.metadata().creation_timestamp.as_ref(), now);
    match object {
        Object::Pod(pod) => pod_view::row(pod, is_wide, now),
        Object::Event(event) => events::row(event, is_wide, now),
        Object::ConfigMap(one) => vec![name(), one.count().to_string(), age()],
        Object::Secret(one) => {
            let kind = one.type_.clone().unwrap_or_else(|| "Opaque".to_owned());
            vec![name(), kind, one.count().to_string(), age()]
        }
        Object::Claim(claim) => claims::row(claim, is_wide, now),
    }
}
