//! The volumes of a described pod.

use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, EphemeralVolumeSource, ProjectedVolumeSource, Volume,
};

use super::Page;

pub(super) fn lines(page: &mut Page, volumes: &[Volume]) {
    if volumes.is_empty() {
        return page.field(0, "Volumes", "<none>");
    }
    page.line(0, "Volumes:");
    for volume in volumes {
        page.line(1, &format!("{}:", volume.name));
        match fields(volume) {
            Some((kind, fields)) => {
                page.field(2, "Type", kind);
                fields.iter().for_each(|(name, value)| page.field(2, name, value));
            }
            None => others(page, volume),
        }
    }
}

/// Type and fields of a volume.
type Described = (&'static str, Vec<(&'static str, String)>);

/// Those of the kinds that are nothing but fields.
fn fields(volume: &Volume) -> Option<Described> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "<none>".to_owned());
    let flag = |flag: Option<bool>| flag.unwrap_or(false).to_string();
    if let Some(source) = &volume.host_path {
        return Some((
            "HostPath (bare host directory volume)",
            vec![("Path", source.path.clone()), ("HostPathType", or_none(&source.type_))],
        ));
    }
    if let Some(source) = &volume.empty_dir {
        let limit = source.size_limit.as_ref().filter(|limit| limit.0 != "0");
        return Some((
            "EmptyDir (a temporary directory that shares a pod's lifetime)",
            vec![
                ("Medium", source.medium.clone().unwrap_or_default()),
                ("SizeLimit", limit.map_or_else(|| "<unset>".to_owned(), |limit| limit.0.clone())),
            ],
        ));
    }
    if let Some(source) = &volume.config_map {
        return Some((
            "ConfigMap (a volume populated by a ConfigMap)",
            vec![("Name", source.name.clone()), ("Optional", flag(source.optional))],
        ));
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.clone().unwrap_or_default();
        return Some((
            "Secret (a volume populated by a Secret)",
            vec![("SecretName", name), ("Optional", flag(source.optional))],
        ));
    }
    if let Some(source) = &volume.persistent_volume_claim {
        return Some((
            "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
            vec![("ClaimName", source.claim_name.clone()), ("ReadOnly", flag(source.read_only))],
        ));
    }
    if let Some(source) = &volume.ephemeral {
        return Some(own_claim(source));
    }
    let source = volume.image.as_ref()?;
    Some((
        "Image (a container image or OCI artifact)",
        vec![
            ("Reference", source.reference.clone().unwrap_or_default()),
            ("PullPolicy", source.pull_policy.clone().unwrap_or_default()),
        ],
    ))
}

/// What there is to say of a claim before it is made.
fn own_claim(source: &EphemeralVolumeSource) -> Described {
    let spec = source.volume_claim_template.clone().unwrap_or_default().spec;
    (
        "EphemeralVolume (an inline specification for a volume that gets created and deleted with \
         the pod)",
        vec![
            ("StorageClass", spec.storage_class_name.unwrap_or_default()),
            ("Volume", String::new()),
            ("Capacity", String::new()),
            ("Access Modes", String::new()),
            ("VolumeMode", spec.volume_mode.unwrap_or_default()),
        ],
    )
}

fn others(page: &mut Page, volume: &Volume) {
    if let Some(source) = &volume.downward_api {
        page.field(2, "Type", "DownwardAPI (a volume populated by information about the pod)");
        page.line(2, "Items:");
        source.items.iter().flatten().for_each(|item| downward(page, item));
    } else if let Some(source) = &volume.projected {
        let kind = "Projected (a volume that contains injected data from multiple sources)";
        page.field(2, "Type", kind);
        projected(page, source);
    } else {
        page.line(1, "<unknown>");
    }
}

fn downward(page: &mut Page, item: &DownwardAPIVolumeFile) {
    let field = item.field_ref.as_ref().map(|field| &field.field_path);
    let resource = item.resource_field_ref.as_ref().map(|resource| &resource.resource);
    if let Some(source) = field.or(resource) {
        page.line(3, &format!("{source} -> {}", item.path));
    }
}

fn projected(page: &mut Page, source: &ProjectedVolumeSource) {
    for source in source.sources.iter().flatten() {
        if let Some(secret) = &source.secret {
            page.field(2, "SecretName", &secret.name);
            page.field(2, "Optional", &secret.optional.unwrap_or(false).to_string());
        } else if let Some(map) = &source.config_map {
            page.field(2, "ConfigMapName", &map.name);
            page.field(2, "Optional", &map.optional.unwrap_or(false).to_string());
        } else if source.downward_api.is_some() {
            page.field(2, "DownwardAPI", "true");
        } else if let Some(token) = &source.service_account_token {
            let seconds = token.expiration_seconds.unwrap_or(3600);
            page.field(2, "TokenExpirationSeconds", &seconds.to_string());
        }
    }
}
