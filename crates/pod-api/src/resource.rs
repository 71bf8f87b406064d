//! The kinds of objects that there are, and their names.

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// Pods.
    Pod,
    /// What happened to pods.
    Event,
    /// Configuration for pods.
    ConfigMap,
    /// The same, of which less is shown.
    Secret,
    /// Directories that outlive pods.
    Claim,
}

/// Every kind.
pub const ALL: [Resource; 5] =
    [Resource::Pod, Resource::Event, Resource::ConfigMap, Resource::Secret, Resource::Claim];

impl Resource {
    /// The kind of that name, in any of the forms that kubectl takes.
    pub fn of_word(word: &str) -> Option<Self> {
        let name = word.to_lowercase();
        ALL.into_iter().find(|one| one.names().contains(&name.as_str()))
    }

    /// The kind that manifests call so: `ConfigMap`.
    pub fn of_kind(kind: &str) -> Option<Self> {
        ALL.into_iter().find(|one| one.kind() == kind)
    }

    /// The words that name it.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Pod => &["pod", "pods", "po", "all"],
            Self::Event => &["event", "events", "ev"],
            Self::ConfigMap => &["configmap", "configmaps", "cm"],
            Self::Secret => &["secret", "secrets"],
            Self::Claim => &["persistentvolumeclaim", "persistentvolumeclaims", "pvc"],
        }
    }

    /// As manifests write it.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Pod => "Pod",
            Self::Event => "Event",
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
            Self::Claim => "PersistentVolumeClaim",
        }
    }

    /// The short form of its name, where it has one.
    pub fn short_name(self) -> &'static str {
        self.names().get(2).copied().unwrap_or_default()
    }

    /// In the singular, as in `pod/web`.
    pub fn singular(self) -> &'static str {
        self.names()[0]
    }

    /// In the plural, as in `pods "web" not found`.
    pub fn plural(self) -> &'static str {
        self.names()[1]
    }

    /// The fields that its objects may be selected by.
    pub fn selectable(self) -> &'static [&'static str] {
        match self {
            Self::Pod => &[
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
            Self::Event => &[
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
            Self::Secret => &["metadata.name", "metadata.namespace", "type"],
            _ => &["metadata.name", "metadata.namespace"],
        }
    }
}
