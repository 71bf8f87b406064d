//! The few settings of an image that whoever runs it needs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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
    pub(crate) fn from_document(document: &oci_spec::image::ImageConfiguration) -> Self {
        let Some(config) = document.config() else { return Self::default() };
        let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
        let sorted = |values: &Option<Vec<String>>| {
            let mut values = list(values);
            values.sort();
            values
        };
        let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Self {
            entrypoint: list(config.entrypoint()),
            cmd: list(config.cmd()),
            env: list(config.env()),
            working_dir: text(config.working_dir()),
            user: text(config.user()),
            labels: config.labels().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect(),
            exposed_ports: sorted(config.exposed_ports()),
            volumes: sorted(config.volumes()),
            stop_signal: text(config.stop_signal()),
        }
    }
}
