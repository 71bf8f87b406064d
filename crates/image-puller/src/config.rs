//! The few settings of an image that whoever runs it needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::documents;

/// What the image asks for (OCI image-spec, config.md). Empty lists and `None` mean "not set".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`: arguments after the entry point.
    pub cmd: Vec<String>,
    /// `NAME=value`, kept byte for byte and in order.
    pub env: Vec<String>,
    /// `WORKDIR`; not resolved, may lead through links of the image.
    pub working_dir: Option<String>,
    /// `USER`: `name`, `uid`, `name:group` or `uid:gid`; not resolved.
    pub user: Option<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Such as `8080/tcp`, sorted.
    pub exposed_ports: Vec<String>,
    /// Paths, sorted; untrusted text.
    pub volumes: Vec<String>,
    /// `STOPSIGNAL`: a name or a number; not resolved.
    pub stop_signal: Option<String>,
}

impl ImageConfig {
    pub(crate) fn from_document(document: &documents::Configuration) -> Self {
        let config = document.config.clone();
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let labels = config.labels.into_iter();
        Self {
            entrypoint: config.entrypoint,
            cmd: config.cmd,
            env: config.env,
            working_dir: text(config.working_dir),
            user: text(config.user),
            labels: labels.map(|(key, value)| (key, value.unwrap_or_default())).collect(),
            exposed_ports: config.exposed_ports.into_iter().collect(),
            volumes: config.volumes.into_iter().collect(),
            stop_signal: text(config.stop_signal),
        }
    }
}
