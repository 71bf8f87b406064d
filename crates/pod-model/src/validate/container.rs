//! Rules about one container.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::{Findings, metadata, probe};
use crate::quantity::Quantity;

pub(super) fn check(
    container: &Container,
    path: &str,
    volumes: &BTreeSet<String>,
    findings: &mut Findings,
) {
    metadata::label(findings, &format!("{path}.name"), &container.name);
    check_image(container, path, findings);
    check_ports(container, path, findings);
    for (at, variable) in container.env.iter().flatten().enumerate() {
        check_variable(variable, &format!("{path}.env[{at}]"), findings);
    }
    check_mounts(container, path, volumes, findings);
    check_resources(container, path, findings);
    check_security(container, path, findings);
    for (name, one) in [
        ("startupProbe", &container.startup_probe),
        ("livenessProbe", &container.liveness_probe),
        ("readinessProbe", &container.readiness_probe),
    ] {
        if let Some(one) = one {
            probe::check(one, (container, name), &format!("{path}.{name}"), findings);
        }
    }
    if let Some(hooks) = &container.lifecycle {
        let hooks = [("postStart", &hooks.post_start), ("preStop", &hooks.pre_stop)];
        for (name, hook) in hooks {
            if let Some(hook) = hook {
                let path = format!("{path}.lifecycle.{name}");
                probe::check_hook(hook, container, &path, findings);
            }
        }
    }
    let policy = container.termination_message_policy.as_deref();
    let words = ["File", "FallbackToLogsOnError"];
    findings.one_of(&format!("{path}.terminationMessagePolicy"), policy, &words);
}

/// What init containers may not have.
pub(super) fn check_init(container: &Container, path: &str, findings: &mut Findings) {
    let is_sidecar = container.restart_policy.as_deref() == Some("Always");
    if is_sidecar {
        return;
    }
    let why = "may not be set for init containers without restartPolicy=Always";
    for (name, is_set) in [
        ("lifecycle", container.lifecycle.is_some()),
        ("livenessProbe", container.liveness_probe.is_some()),
        ("readinessProbe", container.readiness_probe.is_some()),
        ("startupProbe", container.startup_probe.is_some()),
    ] {
        if is_set {
            findings.forbidden(&format!("{path}.{name}"), why);
        }
    }
}

fn check_image(container: &Container, path: &str, findings: &mut Findings) {
    let field = format!("{path}.image");
    match container.image.as_deref() {
        None | Some("") => findings.required(&field, ""),
        Some(image) if image.trim() != image => {
            let why = "must not have leading or trailing whitespace";
            findings.invalid(&field, &format!("\"{image}\""), why);
        }
        Some(_) => {}
    }
    let policy = container.image_pull_policy.as_deref();
    let words = ["Always", "IfNotPresent", "Never"];
    findings.one_of(&format!("{path}.imagePullPolicy"), policy, &words);
    let policy = container.restart_policy.as_deref();
    findings.one_of(&format!("{path}.restartPolicy"), policy, &["Always", "OnFailure", "Never"]);
}

fn check_ports(container: &Container, path: &str, findings: &mut Findings) {
    let mut names = BTreeSet::new();
    for (at, port) in container.ports.iter().flatten().enumerate() {
        let path = format!("{path}.ports[{at}]");
        for (name, number) in
            [("containerPort", Some(port.container_port)), ("hostPort", port.host_port)]
        {
            let is_wrong = |number: &i32| !(1..=65535).contains(number);
            let unset = name == "hostPort" && number == Some(0);
            if let Some(number) = number.filter(is_wrong).filter(|_| !unset) {
                let field = format!("{path}.{name}");
                let why = "must be between 1 and 65535, inclusive";
                findings.invalid(&field, &number.to_string(), why);
            }
        }
        let protocol = port.protocol.as_deref();
        findings.one_of(&format!("{path}.protocol"), protocol, &["TCP", "UDP", "SCTP"]);
        if let Some(name) = &port.name
            && !names.insert(name)
        {
            findings.duplicate(&format!("{path}.name"), name);
        }
    }
}

fn check_variable(variable: &EnvVar, path: &str, findings: &mut Findings) {
    let field = format!("{path}.name");
    if variable.name.is_empty() {
        findings.required(&field, "");
    } else if variable.name.contains('=') || !variable.name.is_ascii() {
        let why = "a valid environment variable name must consist only of printable ASCII \
            characters other than '='";
        findings.invalid(&field, &format!("\"{}\"", variable.name), why);
    }
    let has_value = variable.value.as_ref().is_some_and(|value| !value.is_empty());
    if has_value && variable.value_from.is_some() {
        let why = "may not be specified when `value` is not empty";
        findings.invalid(&format!("{path}.valueFrom"), "\"\"", why);
    }
}

fn check_mounts(
    container: &Container,
    path: &str,
    volumes: &BTreeSet<String>,
    findings: &mut Findings,
) {
    let known: Vec<&str> = volumes.iter().map(String::as_str).collect();
    let mut targets = BTreeSet::new();
    for (at, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let path = format!("{path}.volumeMounts[{at}]");
        if mount.name.is_empty() {
            findings.required(&format!("{path}.name"), "");
        } else if !volumes.contains(&mount.name) {
            findings.not_found(&format!("{path}.name"), &mount.name, &known);
        }
        let target = &mount.mount_path;
        if target.is_empty() {
            findings.required(&format!("{path}.mountPath"), "");
        } else if !targets.insert(target) {
            let field = format!("{path}.mountPath");
            findings.invalid(&field, &format!("\"{target}\""), "must be unique");
        }
        let propagation = mount.mount_propagation.as_deref();
        let words = ["None", "HostToContainer", "Bidirectional"];
        findings.one_of(&format!("{path}.mountPropagation"), propagation, &words);
        if let Some(below) = &mount.sub_path {
            if below.starts_with('/') {
                let field = format!("{path}.subPath");
                findings.invalid(&field, &format!("\"{below}\""), "must be a relative path");
            } else if below.split('/').any(|part| part == "..") {
                let field = format!("{path}.subPath");
                findings.invalid(&field, &format!("\"{below}\""), "must not contain '..'");
            }
        }
    }
}

fn check_resources(container: &Container, path: &str, findings: &mut Findings) {
    let Some(resources) = &container.resources else {
        return;
    };
    let lists = [("limits", &resources.limits), ("requests", &resources.requests)];
    for (list, quantities) in lists {
        for (name, text) in quantities.iter().flatten() {
            let field = format!("{path}.resources.{list}.{name}");
            match Quantity::parse(&text.0) {
                Err(error) => {
                    findings.invalid(&field, &format!("\"{}\"", text.0), &error.to_string());
                }
                Ok(quantity) if quantity.is_negative() => {
                    let why = "must be greater than or equal to 0";
                    findings.invalid(&field, &format!("\"{}\"", text.0), why);
                }
                Ok(_) => {}
            }
        }
    }
    for (name, request) in resources.requests.iter().flatten() {
        let limit = resources.limits.as_ref().and_then(|limits| limits.get(name));
        let (Some(Ok(limit)), Ok(amount)) =
            (limit.map(|limit| Quantity::parse(&limit.0)), Quantity::parse(&request.0))
        else {
            continue;
        };
        if amount > limit {
            let field = format!("{path}.resources.requests");
            let why = format!("must be less than or equal to {name} limit");
            findings.invalid(&field, &format!("\"{}\"", request.0), &why);
        }
    }
}

fn check_security(container: &Container, path: &str, findings: &mut Findings) {
    let Some(context) = &container.security_context else {
        return;
    };
    let path = format!("{path}.securityContext");
    let is_privileged = context.privileged == Some(true);
    if is_privileged && context.allow_privilege_escalation == Some(false) {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        findings.invalid(&path, "{}", why);
    }
    findings.not_negative(&format!("{path}.runAsUser"), context.run_as_user);
    findings.not_negative(&format!("{path}.runAsGroup"), context.run_as_group);
    if let Some(profile) = &context.seccomp_profile {
        let words = ["Localhost", "RuntimeDefault", "Unconfined"];
        let field = format!("{path}.seccompProfile.type");
        findings.one_of(&field, Some(&profile.type_), &words);
    }
}
