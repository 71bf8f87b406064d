//! The kinds that clients find, and what they may do to them.

use pod_api::Resource;

/// What stands behind a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// Objects of the store.
    Stored(Resource),
    /// The namespaces that objects are in.
    Namespaces,
    /// This machine.
    Nodes,
    /// One of the name `default` in each namespace.
    ServiceAccounts,
}

/// A kind of the core group.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) source: Source,
    pub(crate) plural: &'static str,
    pub(crate) singular: &'static str,
    /// As manifests write it.
    pub(crate) name: &'static str,
    pub(crate) short: &'static [&'static str],
    pub(crate) categories: &'static [&'static str],
    pub(crate) is_namespaced: bool,
    pub(crate) verbs: &'static [&'static str],
}

const ALL_VERBS: &[&str] =
    &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const READ: &[&str] = &["get", "list", "watch"];

/// Every kind.
pub(crate) const KINDS: [Kind; 8] = [
    Kind {
        source: Source::Stored(Resource::Pod),
        plural: "pods",
        singular: "pod",
        name: "Pod",
        short: &["po"],
        categories: &["all"],
        is_namespaced: true,
        verbs: ALL_VERBS,
    },
    Kind {
        source: Source::Stored(Resource::Event),
        plural: "events",
        singular: "event",
        name: "Event",
        short: &["ev"],
        categories: &[],
        is_namespaced: true,
        verbs: READ,
    },
    Kind {
        source: Source::Stored(Resource::ConfigMap),
        plural: "configmaps",
        singular: "configmap",
        name: "ConfigMap",
        short: &["cm"],
        categories: &[],
        is_namespaced: true,
        verbs: ALL_VERBS,
    },
    Kind {
        source: Source::Stored(Resource::Secret),
        plural: "secrets",
        singular: "secret",
        name: "Secret",
        short: &[],
        categories: &[],
        is_namespaced: true,
        verbs: ALL_VERBS,
    },
    Kind {
        source: Source::Stored(Resource::Claim),
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        name: "PersistentVolumeClaim",
        short: &["pvc"],
        categories: &[],
        is_namespaced: true,
        verbs: ALL_VERBS,
    },
    Kind {
        source: Source::Namespaces,
        plural: "namespaces",
        singular: "namespace",
        name: "Namespace",
        short: &["ns"],
        categories: &[],
        is_namespaced: false,
        verbs: READ,
    },
    Kind {
        source: Source::Nodes,
        plural: "nodes",
        singular: "node",
        name: "Node",
        short: &["no"],
        categories: &[],
        is_namespaced: false,
        verbs: READ,
    },
    Kind {
        source: Source::ServiceAccounts,
        plural: "serviceaccounts",
        singular: "serviceaccount",
        name: "ServiceAccount",
        short: &["sa"],
        categories: &[],
        is_namespaced: true,
        verbs: READ,
    },
];

impl Kind {
    /// The kind of that name in a URL.
    pub(crate) fn of_plural(plural: &str) -> Option<&'static Self> {
        KINDS.iter().find(|kind| kind.plural == plural)
    }

    /// The kind of a resource of the store.
    #[cfg(test)]
    pub(crate) fn of_resource(resource: Resource) -> &'static Self {
        let found = KINDS.iter().find(|kind| kind.source == Source::Stored(resource));
        found.unwrap_or(&KINDS[0]) // every resource has one; a test says so
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_the_store_is_found_under_its_own_names() {
        for resource in pod_api::resource::ALL {
            let kind = Kind::of_resource(resource);
            assert_eq!(kind.source, Source::Stored(resource));
            assert_eq!((kind.plural, kind.name), (resource.plural(), resource.kind()));
        }
    }
}
