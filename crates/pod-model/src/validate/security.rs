//! Rules about identity and confinement.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, PodSecurityContext, PodSpec, SeccompProfile,
};

use super::findings::Findings;
use super::formats;
use super::path::Path;
use crate::capability;

/// User and group ids that Kubernetes takes.
const IDS: (i64, i64) = (0, 2_147_483_647);

/// The sysctls that a kubelet allows: they are the pod's own.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// `securityContext` of the pod.
pub(super) fn check_pod(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    let Some(context) = &spec.security_context else {
        return;
    };
    findings.within(&path.child("fsGroup"), context.fs_group, IDS);
    findings.within(&path.child("runAsUser"), context.run_as_user, IDS);
    findings.within(&path.child("runAsGroup"), context.run_as_group, IDS);
    for (at, group) in context.supplemental_groups.iter().flatten().enumerate() {
        findings.within(&path.child("supplementalGroups").index(at), Some(*group), IDS);
    }
    if spec.host_pid == Some(true) && spec.share_process_namespace == Some(true) {
        // Kubernetes keeps the field here, where no manifest has it.
        findings.placed(&Path::root("spec").child("shareProcessNamespace"), |findings| {
            let why = "ShareProcessNamespace and HostPID cannot both be enabled";
            findings.invalid(&path.child("shareProcessNamespace"), &true, why);
        });
    }
    check_sysctls(spec, context, &path.child("sysctls"), findings);
    findings.maybe_one_of(
        &path.child("fsGroupChangePolicy"),
        context.fs_group_change_policy.as_ref(),
        &["Always", "OnRootMismatch"],
    );
    check_seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), findings);
    check_app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), findings);
    findings.maybe_one_of(
        &path.child("supplementalGroupsPolicy"),
        context.supplemental_groups_policy.as_ref(),
        &["Merge", "Strict"],
    );
}

/// Who sees every process of the machine and may look into each is root on it.
pub(super) fn check_tracing(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    if spec.host_pid != Some(true) {
        return;
    }
    let no_containers = Vec::new();
    let inits = spec.init_containers.as_ref().unwrap_or(&no_containers);
    for (list, containers) in [("initContainers", inits), ("containers", &spec.containers)] {
        for (at, container) in containers.iter().enumerate() {
            let capabilities = container.security_context.as_ref();
            let added =
                capabilities.and_then(|context| context.capabilities.as_ref()?.add.as_ref());
            let names = ["SYS_PTRACE", "CAP_SYS_PTRACE", "ALL"];
            let may_trace = |name: &String| names.contains(&name.to_uppercase().as_str());
            if added.is_some_and(|added| added.iter().any(may_trace)) {
                let path = path.child(list).index(at).child("securityContext");
                findings.warn(
                    &path.child("capabilities").child("add"),
                    "with `hostPID` SYS_PTRACE opens every file and process of the machine",
                );
            }
        }
    }
}

fn check_sysctls(
    spec: &PodSpec,
    context: &PodSecurityContext,
    path: &Path,
    findings: &mut Findings,
) {
    let mut names = BTreeSet::new();
    for (at, sysctl) in context.sysctls.iter().flatten().enumerate() {
        let path = path.index(at);
        let field = path.child("name");
        let wrong = formats::sysctl_name(&sysctl.name);
        let name = sysctl.name.replace('/', ".");
        if sysctl.name.is_empty() {
            findings.required(&field, "");
        } else if !wrong.is_empty() {
            findings.invalid_each(&field, &sysctl.name, &wrong);
        } else if !names.insert(name.clone()) {
            findings.duplicate(&field, &sysctl.name);
        } else if name.starts_with("net.") && spec.host_network == Some(true) {
            let why = "may not be specified when 'hostNetwork' is true";
            findings.invalid(&field, &sysctl.name, why);
        } else if is_ipc(&name) && spec.host_ipc == Some(true) {
            findings.invalid(&field, &sysctl.name, "may not be specified when 'hostIPC' is true");
        } else if !SAFE_SYSCTLS.contains(&name.as_str()) {
            findings.forbidden(&field, &format!("forbidden sysctl: \"{name}\" not allowlisted"));
        }
        if sysctl.value.contains(['\n', '\0', '+']) {
            let why = "must not contain '+' or line breaks";
            findings.invalid(&path.child("value"), &sysctl.value, why);
        }
    }
}

fn is_ipc(name: &str) -> bool {
    ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|one| name.starts_with(one))
        || name == "kernel.sem"
}

/// `securityContext` of a container.
pub(super) fn check_container(
    container: &Container,
    path: &Path,
    has_host_users: bool,
    findings: &mut Findings,
) {
    let Some(context) = &container.security_context else {
        return;
    };
    findings.within(&path.child("runAsUser"), context.run_as_user, IDS);
    findings.within(&path.child("runAsGroup"), context.run_as_group, IDS);
    let proc_mount = path.child("procMount");
    findings.maybe_one_of(&proc_mount, context.proc_mount.as_ref(), &["Default", "Unmasked"]);
    if has_host_users && context.proc_mount.as_deref() == Some("Unmasked") {
        let why = "`hostUsers` must be false to use `Unmasked`";
        findings.invalid(&proc_mount, "Unmasked", why);
    }
    check_seccomp(context.seccomp_profile.as_ref(), &path.child("seccompProfile"), findings);
    check_app_armor(context.app_armor_profile.as_ref(), &path.child("appArmorProfile"), findings);
    if let Some(capabilities) = &context.capabilities {
        check_capabilities(capabilities, &path.child("capabilities"), findings);
    }
    if context.allow_privilege_escalation != Some(false) {
        return;
    }
    if context.privileged == Some(true) {
        let why = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
        findings.invalid(path, context, why);
    }
    let added = context.capabilities.as_ref().and_then(|sets| sets.add.as_ref());
    if added.into_iter().flatten().any(|name| name == "CAP_SYS_ADMIN") {
        let why = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` \
            CAP_SYS_ADMIN";
        findings.invalid(path, context, why);
    }
}

/// A name that no capability has is an error, although Kubernetes leaves it to the runtime: one that
/// is misspelt in `drop` would keep a capability that nobody wants.
fn check_capabilities(sets: &Capabilities, path: &Path, findings: &mut Findings) {
    for (field, names) in [("add", &sets.add), ("drop", &sets.drop)] {
        for (at, name) in names.iter().flatten().enumerate() {
            if capability::is_known(name) {
                continue;
            }
            findings.invalid(&path.child(field).index(at), name, "no capability has this name");
            if let Some(near) = capability::near(name) {
                findings.hint(&format!("did you mean \"{near}\"?"));
            }
        }
    }
}

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

fn check_seccomp(profile: Option<&SeccompProfile>, path: &Path, findings: &mut Findings) {
    let Some(profile) = profile else {
        return;
    };
    match profile.type_.as_str() {
        "" => {
            let why = "type is required when seccompProfile is set";
            findings.required(&path.child("type"), why);
        }
        kind => findings.one_of(&path.child("type"), kind, &PROFILES),
    }
    let file = path.child("localhostProfile");
    match (profile.type_ == "Localhost", &profile.localhost_profile) {
        (true, None) => findings.required(&file, "must be set when seccomp type is Localhost"),
        (true, Some(name)) => {
            findings.invalid_each(&file, name, &formats::descending_path(name));
        }
        (false, Some(_)) => {
            findings.invalid(&file, profile, "can only be set when seccomp type is Localhost");
        }
        (false, None) => {}
    }
}

fn check_app_armor(profile: Option<&AppArmorProfile>, path: &Path, findings: &mut Findings) {
    let Some(profile) = profile else {
        return;
    };
    match profile.type_.as_str() {
        "" => {
            let why = "type is required when appArmorProfile is set";
            findings.required(&path.child("type"), why);
        }
        kind => findings.one_of(&path.child("type"), kind, &PROFILES),
    }
    let file = path.child("localhostProfile");
    let missing = "must be set when AppArmor type is Localhost";
    match (profile.type_ == "Localhost", profile.localhost_profile.as_deref()) {
        (true, None) => findings.required(&file, missing),
        (true, Some(name)) if name.trim() != name => {
            findings.invalid(&file, name, "must not be padded with whitespace");
        }
        (true, Some("")) => findings.required(&file, missing),
        (false, Some(name)) => {
            findings.invalid(&file, name, "can only be set when AppArmor type is Localhost");
        }
        _ => {}
    }
}
