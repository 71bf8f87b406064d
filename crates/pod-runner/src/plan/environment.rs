//! The environment of a container (Kubernetes: `envFrom`, `env`, `$(NAME)`, downward API).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvFromSource, EnvVar, EnvVarSource, Secret,
};

use super::downward;
use super::env_file;
use super::{PlanError, PlanInput};

/// What a container finds as `PATH` when nobody says otherwise.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables in the order in which they were first set; a later value replaces an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Environment {
    variables: Vec<(String, String)>,
}

impl Environment {
    /// Sets a variable.
    pub(super) fn set(&mut self, name: &str, value: String) {
        match self.variables.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => self.variables.push((name.to_owned(), value)),
        }
    }

    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// `NAME=value` strings.
    pub(super) fn strings(self) -> Vec<String> {
        self.variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    /// Replaces each `$(NAME)` by the variable's value.
    pub(super) fn expand(&self, text: &str) -> String {
        pod_model::expand(text, |name| self.get(name))
    }
}

/// The variables that the manifest sets, in Kubernetes' order: `envFrom`, then `env`.
pub(super) fn of_manifest(
    input: &PlanInput<'_>,
    container: &Container,
) -> Result<Environment, PlanError> {
    let mut environment = Environment::default();
    for source in container.env_from.iter().flatten() {
        add_source(input, source, &mut environment)?;
    }
    for variable in container.env.iter().flatten() {
        add_variable(input, container, variable, &mut environment)?;
    }
    Ok(environment)
}

/// The whole environment: the defaults, the image's, the manifest's; later ones win. An entry of
/// the image that is no `NAME=value` is nobody's variable and least of all one of minipod's own.
pub(super) fn complete(hostname: &str, image: &[String], manifest: &Environment) -> Environment {
    let mut environment = Environment::default();
    environment.set("PATH", DEFAULT_PATH.to_owned());
    environment.set("HOSTNAME", hostname.to_owned());
    for variable in image.iter().filter(|variable| !variable.contains('\0')) {
        if let Some((name, value)) = variable.split_once('=').filter(|(name, _)| !name.is_empty()) {
            environment.set(name, value.to_owned());
        }
    }
    for (name, value) in &manifest.variables {
        environment.set(name, value.clone());
    }
    environment
}

fn add_source(
    input: &PlanInput<'_>,
    source: &EnvFromSource,
    environment: &mut Environment,
) -> Result<(), PlanError> {
    let prefix = source.prefix.as_deref().unwrap_or_default();
    let mut add = |data: BTreeMap<String, String>| {
        for (key, value) in data {
            environment.set(&format!("{prefix}{key}"), value);
        }
    };
    if let Some(reference) = &source.config_map_ref {
        let optional = reference.optional == Some(true);
        if let Some(map) = input.config_map(&reference.name, optional)? {
            add(map.data.unwrap_or_default());
        }
    }
    if let Some(reference) = &source.secret_ref {
        let optional = reference.optional == Some(true);
        if let Some(secret) = input.secret(&reference.name, optional)? {
            add(secret_texts(secret));
        }
    }
    Ok(())
}

fn secret_texts(secret: Secret) -> BTreeMap<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let data = secret.data.unwrap_or_default();
    data.into_iter().map(|(key, value)| (key, text(value.0))).collect()
}

fn add_variable(
    input: &PlanInput<'_>,
    container: &Container,
    variable: &EnvVar,
    environment: &mut Environment,
) -> Result<(), PlanError> {
    let value = match (&variable.value, &variable.value_from) {
        (Some(value), _) if !value.is_empty() => Some(environment.expand(value)),
        (_, Some(source)) => value_from(input, container, source)?,
        _ => Some(String::new()),
    };
    if let Some(value) = value {
        environment.set(&variable.name, value);
    }
    Ok(())
}

/// The value that a source gives; `None` when it is optional and not there.
fn value_from(
    input: &PlanInput<'_>,
    container: &Container,
    source: &EnvVarSource,
) -> Result<Option<String>, PlanError> {
    if let Some(field) = &source.field_ref {
        return Ok(Some(downward::field(input, &field.field_path)));
    }
    if let Some(resource) = &source.resource_field_ref {
        return downward::resource(input, Some(container), resource).map(Some);
    }
    if let Some(reference) = &source.file_key_ref {
        return env_file::value(input, reference);
    }
    if let Some(reference) = &source.config_map_key_ref {
        let optional = reference.optional == Some(true);
        let map = input.config_map(&reference.name, optional)?;
        let value = map.and_then(|ConfigMap { data, .. }| data?.remove(&reference.key));
        return key_or(value, optional, || {
            missing_key(input, "ConfigMap", &reference.name, &reference.key)
        });
    }
    if let Some(reference) = &source.secret_key_ref {
        let optional = reference.optional == Some(true);
        let secret = input.secret(&reference.name, optional)?;
        let value = secret.and_then(|secret| secret_texts(secret).remove(&reference.key));
        return key_or(value, optional, || {
            missing_key(input, "Secret", &reference.name, &reference.key)
        });
    }
    Ok(None)
}

fn key_or(
    value: Option<String>,
    optional: bool,
    error: impl FnOnce() -> PlanError,
) -> Result<Option<String>, PlanError> {
    if value.is_none() && !optional { Err(error()) } else { Ok(value) }
}

fn missing_key(input: &PlanInput<'_>, kind: &'static str, name: &str, key: &str) -> PlanError {
    let object = format!("{}/{name}", input.pod.namespace);
    PlanError::MissingKey { key: key.to_owned(), kind, object }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_wins_over_the_image_and_the_image_over_the_defaults() {
        let mut manifest = Environment::default();
        manifest.set("B", "manifest".into());
        let image =
            ["A=image", "B=image", "HOSTNAME=image", "PATH*", "HOME", "*", "=x", "", "C=a=b"];
        let image = image.map(String::from);
        let strings = complete("web", &image, &manifest).strings();
        assert_eq!(
            strings,
            [&format!("PATH={DEFAULT_PATH}"), "HOSTNAME=image", "A=image", "B=manifest", "C=a=b"]
        );
    }
}
