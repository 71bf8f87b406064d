//! What configMap, secret, downwardAPI and projected volumes contain.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Secret, Volume, VolumeProjection,
};

use super::VolumeError;
use super::payload::{Payload, PayloadFile};
use crate::plan::{self, PlanInput};
use pod_api::text::chain;

/// The mode of a file when the manifest does not give one.
const DEFAULT_MODE: i32 = 0o644;

/// Where the keys of an object go.
struct Selection<'a> {
    items: Option<&'a [KeyToPath]>,
    mode: i32,
    optional: bool,
}

/// The files of the volume, when its kind has any.
pub(super) fn of_volume(
    input: &PlanInput<'_>,
    volume: &Volume,
) -> Result<Option<Payload>, VolumeError> {
    let mut payload = Payload::new();
    if let Some(source) = &volume.config_map {
        let selection = Selection {
            items: source.items.as_deref(),
            mode: source.default_mode.unwrap_or(DEFAULT_MODE),
            optional: source.optional == Some(true),
        };
        add_config_map(input, volume, &source.name, &selection, &mut payload)?;
    } else if let Some(source) = &volume.secret {
        let selection = Selection {
            items: source.items.as_deref(),
            mode: source.default_mode.unwrap_or(DEFAULT_MODE),
            optional: source.optional == Some(true),
        };
        let name = source.secret_name.as_deref().unwrap_or_default();
        add_secret(input, volume, name, &selection, &mut payload)?;
    } else if let Some(source) = &volume.downward_api {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        add_downward(input, volume, source.items.as_deref(), mode, &mut payload)?;
    } else if let Some(source) = &volume.projected {
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        let mut errors = Vec::new();
        for projection in source.sources.iter().flatten() {
            errors.extend(add_projection(input, volume, projection, mode, &mut payload).err());
        }
        if errors.len() > 1 {
            return Err(aggregated(volume, &errors));
        }
        if let Some(error) = errors.pop() {
            return Err(error);
        }
    } else {
        return Ok(None);
    }
    Ok(Some(payload))
}

/// Several errors as Kubernetes writes them together; equal ones count once.
fn aggregated(volume: &Volume, errors: &[VolumeError]) -> VolumeError {
    let mut texts: Vec<String> = Vec::new();
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let message = if texts.len() > 1 { format!("[{}]", texts.join(", ")) } else { texts.concat() };
    VolumeError::source_of(volume, message)
}

fn add_projection(
    input: &PlanInput<'_>,
    volume: &Volume,
    projection: &VolumeProjection,
    mode: i32,
    payload: &mut Payload,
) -> Result<(), VolumeError> {
    if let Some(source) = &projection.config_map {
        let optional = source.optional == Some(true);
        let selection = Selection { items: source.items.as_deref(), mode, optional };
        add_config_map(input, volume, &source.name, &selection, payload)?;
    }
    if let Some(source) = &projection.secret {
        let optional = source.optional == Some(true);
        let selection = Selection { items: source.items.as_deref(), mode, optional };
        add_secret(input, volume, &source.name, &selection, payload)?;
    }
    if let Some(source) = &projection.downward_api {
        add_downward(input, volume, source.items.as_deref(), mode, payload)?;
    }
    Ok(())
}

fn add_config_map(
    input: &PlanInput<'_>,
    volume: &Volume,
    name: &str,
    selection: &Selection<'_>,
    payload: &mut Payload,
) -> Result<(), VolumeError> {
    let found = input
        .config_map(name, selection.optional)
        .map_err(|error| VolumeError::source_of(volume, chain(&error)))?;
    let ConfigMap { data, binary_data, .. } = found.unwrap_or_default();
    let texts = data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
    let bytes = binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
    let missing = "configmap references non-existent config key";
    add_keys(volume, texts.chain(bytes).collect(), selection, missing, payload)
}

fn add_secret(
    input: &PlanInput<'_>,
    volume: &Volume,
    name: &str,
    selection: &Selection<'_>,
    payload: &mut Payload,
) -> Result<(), VolumeError> {
    let found = input
        .secret(name, selection.optional)
        .map_err(|error| VolumeError::source_of(volume, chain(&error)))?;
    let Secret { data, .. } = found.unwrap_or_default();
    let bytes = data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect();
    add_keys(volume, bytes, selection, "references non-existent secret key", payload)
}

fn add_keys(
    volume: &Volume,
    data: BTreeMap<String, Vec<u8>>,
    selection: &Selection<'_>,
    missing: &str,
    payload: &mut Payload,
) -> Result<(), VolumeError> {
    let Some(items) = selection.items else {
        payload.extend(data.into_iter().map(|(key, content)| {
            (key, PayloadFile { content, mode: selection.mode.cast_unsigned() })
        }));
        return Ok(());
    };
    for item in items {
        match data.get(&item.key) {
            Some(content) => {
                let mode = item.mode.unwrap_or(selection.mode).cast_unsigned();
                let file = PayloadFile { content: content.clone(), mode };
                payload.insert(item.path.clone(), file);
            }
            None if selection.optional => {}
            None => {
                let message = format!("{missing}: {}", item.key);
                return Err(VolumeError::source_of(volume, message));
            }
        }
    }
    Ok(())
}

fn add_downward(
    input: &PlanInput<'_>,
    volume: &Volume,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: i32,
    payload: &mut Payload,
) -> Result<(), VolumeError> {
    for item in items.into_iter().flatten() {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => plan::field(input, &field.field_path),
            (None, Some(resource)) => plan::resource(input, None, resource)
                .map_err(|error| VolumeError::source_of(volume, error.to_string()))?,
            (None, None) => String::new(),
        };
        let mode = item.mode.unwrap_or(mode).cast_unsigned();
        payload.insert(item.path.clone(), PayloadFile { content: text.into_bytes(), mode });
    }
    Ok(())
}
