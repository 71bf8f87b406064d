//! Rules about the pod as a whole, in the order in which Kubernetes looks at them.

use k8s_openapi::api::core::v1::{PodDNSConfig, PodSpec};

use super::findings::Findings;
use super::path::Path;
use super::{container, formats, metadata, ports, resources, scheduling, security, volume};

const MOST_SERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;
const MOST_SEARCH_CHARACTERS: usize = 2048;

pub(super) fn check(spec: &PodSpec, name: &str, findings: &mut Findings) {
    let path = Path::root("spec");
    let volumes = volume::check_all(spec, name, findings);
    container::check_mains(spec, &volumes, findings);
    container::check_inits(spec, &volumes, findings);
    resources::check_pod(spec, &path.child("resources"), findings);
    if spec.host_network == Some(true) {
        ports::check_host_network(&spec.containers, &path.child("containers"), findings);
    }
    let words = ["Always", "OnFailure", "Never"];
    findings.maybe_one_of(&path.child("restartPolicy"), spec.restart_policy.as_ref(), &words);
    let words = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    findings.maybe_one_of(&path.child("dnsPolicy"), spec.dns_policy.as_ref(), &words);
    metadata::labels(spec.node_selector.as_ref(), &path.child("nodeSelector"), findings);
    security::check_pod(spec, &path.child("securityContext"), findings);
    security::check_tracing(spec, &path, findings);
    check_dns(spec, &path.child("dnsConfig"), findings);
    scheduling::check_gates(spec, &path, findings);
    check_host_users(spec, &path, findings);
    check_hostname_override(spec, &path.child("hostnameOverride"), findings);
    check_names(spec, &path, findings);
    let deadline = path.child("activeDeadlineSeconds");
    findings.within(&deadline, spec.active_deadline_seconds, (1, 2_147_483_647));
    for (name, text) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
            findings.invalid_each(&path.child(name), text, &formats::label(text));
        }
    }
    scheduling::check_tolerations(spec, &path.child("tolerations"), findings);
    check_aliases(spec, &path.child("hostAliases"), findings);
    scheduling::check_priority(spec, &path, findings);
    check_os(spec, &path, findings);
    container::check_image_blanks(spec, findings);
    ports::warn_duplicates(container::all(spec), findings);
    warn_duplicates(spec, &path, findings);
}

fn check_dns(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    let is_none = spec.dns_policy.as_deref() == Some("None");
    let Some(config) = &spec.dns_config else {
        if is_none {
            findings.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
        }
        return;
    };
    let servers = config.nameservers.as_deref().unwrap_or_default();
    let field = path.child("nameservers");
    if is_none && servers.is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        return findings.required(&field, why);
    }
    if servers.len() > MOST_SERVERS {
        findings.invalid(&field, servers, "must not have more than 3 nameservers");
    }
    for (at, server) in servers.iter().enumerate() {
        findings.invalid_each(&field.index(at), server, &formats::ip(server));
    }
    check_searches(config, &path.child("searches"), findings);
    for (at, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_ref().is_none_or(String::is_empty) {
            findings.required(&path.child("options").index(at), "must not be empty");
        }
    }
}

fn check_searches(config: &PodDNSConfig, path: &Path, findings: &mut Findings) {
    let searches = config.searches.as_deref().unwrap_or_default();
    if searches.len() > MOST_SEARCHES {
        findings.invalid(path, searches, "must not have more than 32 search paths");
    }
    if searches.join(" ").len() > MOST_SEARCH_CHARACTERS {
        let why = "must not have more than 2048 characters (including spaces) in the search list";
        findings.invalid(path, searches, why);
    }
    for (at, search) in searches.iter().enumerate() {
        let name = search.strip_suffix('.').unwrap_or(search);
        if search != "." {
            findings.invalid_each(&path.index(at), name, &formats::subdomain(name));
        }
    }
}

fn check_host_users(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    if spec.host_users != Some(false) {
        return;
    }
    for (field, name, value) in [
        ("hostNetwork", "hostNetwork", spec.host_network),
        ("hostPID", "HostPID", spec.host_pid),
        ("hostIPC", "HostIPC", spec.host_ipc),
    ] {
        if value == Some(true) {
            findings.placed(&path.child(field), |findings| {
                findings.forbidden(&path.child(name), "when `pod.Spec.HostUsers` is false");
            });
        }
    }
}

fn check_hostname_override(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    let Some(name) = &spec.hostname_override else {
        return;
    };
    if spec.host_network == Some(true) {
        findings.forbidden(path, "may not be specified when `hostNetwork` is true");
    }
    if spec.set_hostname_as_fqdn == Some(true) {
        findings.forbidden(path, "may not be specified when `setHostnameAsFQDN` is true");
    }
    findings.invalid_each(path, name, &formats::subdomain(name));
    if name.len() > 64 {
        findings.too_long(path, 64);
    }
}

fn check_names(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    for (field, name) in
        [("serviceAccountName", &spec.service_account_name), ("nodeName", &spec.node_name)]
    {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            findings.invalid_each(&path.child(field), name, &formats::subdomain(name));
        }
    }
}

fn check_aliases(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    for (at, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = path.index(at);
        findings.invalid_each(&path.child("ip"), &alias.ip, &formats::ip(&alias.ip));
        for (at, name) in alias.hostnames.iter().flatten().enumerate() {
            let shown = path.child("hostnames");
            findings.placed(&shown.index(at), |findings| {
                findings.invalid_each(&shown, name, &formats::subdomain(name));
            });
        }
    }
}

fn check_os(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    let Some(os) = &spec.os else {
        return;
    };
    let name = path.child("os").child("name");
    match os.name.as_str() {
        "" => findings.required(&name, ""),
        "windows" => findings.forbidden(&name, "this is Linux"),
        other => findings.one_of(&name, other, &["linux", "windows"]),
    }
}

/// What Kubernetes warns of.
fn warn_duplicates(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    let mut known = Vec::new();
    for (at, alias) in spec.host_aliases.iter().flatten().enumerate() {
        if known.contains(&alias.ip.as_str()) {
            let field = path.child("hostAliases").index(at).child("ip");
            findings.warn(&field, &format!("duplicate ip {:?}", alias.ip));
        }
        known.push(&alias.ip);
    }
    known.clear();
    for (at, secret) in spec.image_pull_secrets.iter().flatten().enumerate() {
        let field = path.child("imagePullSecrets").index(at).child("name");
        if secret.name.is_empty() {
            findings.warn(&field, "invalid empty name \"\"");
        } else if known.contains(&secret.name.as_str()) {
            findings.warn(&field, &format!("duplicate name {:?}", secret.name));
        }
        known.push(&secret.name);
    }
}
