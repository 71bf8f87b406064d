//! Rules about identity and confinement.

use pod_model::{ParseOptions, Source};

use crate::{beside, check, container, messages, problems};

#[test]
fn ids_are_within_the_bounds_of_kubernetes() {
    for id in ["-1", "2147483648", "4294967296"] {
        let why = format!("Invalid value: {id}: must be between 0 and 2147483647, inclusive");
        for (fields, path) in [
            (format!("runAsUser: {id}"), "runAsUser"),
            (format!("runAsGroup: {id}"), "runAsGroup"),
            (format!("fsGroup: {id}"), "fsGroup"),
            (format!("supplementalGroups: [{id}]"), "supplementalGroups[0]"),
        ] {
            let found = messages(&beside(&format!("securityContext: {{{fields}}}")));
            assert_eq!(found, [format!("spec.securityContext.{path}: {why}")]);
        }
        let found = messages(&container(&format!("securityContext: {{runAsUser: {id}}}")));
        assert_eq!(found, [format!("spec.containers[0].securityContext.runAsUser: {why}")]);
    }
}

#[test]
fn ids_are_whole_numbers() {
    for id in ["'1000'", "0x10.5", "root", "[1]", "true", "1.5"] {
        let found = messages(&beside(&format!("securityContext: {{runAsUser: {id}}}")));
        assert!(
            found[0].starts_with("spec.securityContext.runAsUser must be a whole number"),
            "{id}: {found:?}"
        );
    }
}

#[test]
fn namespaces_of_the_host_exclude_others() {
    check(
        &[
            (
                "hostPID: true, shareProcessNamespace: true",
                &[
                    "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled",
                ],
            ),
            (
                "hostUsers: false, hostNetwork: true",
                &["spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false"],
            ),
            (
                "hostUsers: false, hostPID: true",
                &["spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false"],
            ),
            (
                "hostUsers: false, hostIPC: true",
                &["spec.HostIPC: Forbidden: when `pod.Spec.HostUsers` is false"],
            ),
        ],
        beside,
    );
}

#[test]
fn sysctls_are_known_and_the_pods_own() {
    let sysctl = |fields: &str| beside(&format!("securityContext: {{sysctls: [{fields}]}}"));
    check(
        &[
            ("{name: net.ipv4.tcp_syncookies, value: '1'}", &[]),
            ("{name: net/ipv4/tcp_syncookies, value: '1'}", &[]),
            ("{value: '1'}", &["spec.securityContext.sysctls[0].name: Required value"]),
            (
                "{name: net..x, value: '1'}",
                &[
                    "spec.securityContext.sysctls[0].name: Invalid value: \"net..x\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
                ],
            ),
            (
                "{name: ../core, value: '1'}",
                &[
                    "spec.securityContext.sysctls[0].name: Invalid value: \"../core\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
                ],
            ),
            (
                "{name: net.ipv4.tcp_syncookies, value: '1'}, {name: net.ipv4.tcp_syncookies, value: '0'}",
                &[
                    "spec.securityContext.sysctls[1].name: Duplicate value: \"net.ipv4.tcp_syncookies\"",
                ],
            ),
            (
                "{name: kernel.core_pattern, value: x}",
                &[
                    "spec.securityContext.sysctls[0].name: Forbidden: forbidden sysctl: \"kernel.core_pattern\" not allowlisted",
                ],
            ),
            (
                "{name: net.ipv4.tcp_syncookies, value: '1+kernel.core_pattern=|/x'}",
                &[
                    "spec.securityContext.sysctls[0].value: Invalid value: \"1+kernel.core_pattern=|/x\": must not contain '+' or line breaks",
                ],
            ),
        ],
        sysctl,
    );
    let on_host = "hostNetwork: true, securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: '1'}]}";
    assert_eq!(
        messages(&beside(on_host)),
        [
            "spec.securityContext.sysctls[0].name: Invalid value: \"net.ipv4.tcp_syncookies\": may not be specified when 'hostNetwork' is true"
        ]
    );
}

#[test]
fn confinement_is_consistent() {
    let path = "spec.containers[0].securityContext";
    let context = |fields: &str| messages(&container(&format!("securityContext: {{{fields}}}")));
    assert_eq!(
        context("allowPrivilegeEscalation: false, privileged: true"),
        [format!(
            "{path}: Invalid value: {{\"allowPrivilegeEscalation\":false,\"privileged\":true}}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
        )]
    );
    assert_eq!(
        context("allowPrivilegeEscalation: false, capabilities: {add: [CAP_SYS_ADMIN]}"),
        [format!(
            "{path}: Invalid value: {{\"allowPrivilegeEscalation\":false,\"capabilities\":{{\"add\":[\"CAP_SYS_ADMIN\"]}}}}: cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
        )]
    );
    assert_eq!(
        context("procMount: Unmasked"),
        [format!(
            "{path}.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`"
        )]
    );
    assert_eq!(
        context("procMount: Some"),
        [format!(
            "{path}.procMount: Unsupported value: \"Some\": supported values: \"Default\", \"Unmasked\""
        )]
    );
    assert_eq!(
        context("seccompProfile: {}"),
        [format!(
            "{path}.seccompProfile.type: Required value: type is required when seccompProfile is set"
        )]
    );
    assert_eq!(
        context("seccompProfile: {type: Docker}"),
        [format!(
            "{path}.seccompProfile.type: Unsupported value: \"Docker\": supported values: \"Localhost\", \"RuntimeDefault\", \"Unconfined\""
        )]
    );
    assert_eq!(
        context("seccompProfile: {type: Localhost}"),
        [format!(
            "{path}.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"
        )]
    );
    assert_eq!(
        context("seccompProfile: {type: Localhost, localhostProfile: ../x}"),
        [format!(
            "{path}.seccompProfile.localhostProfile: Invalid value: \"../x\": must not contain '..'"
        )]
    );
    assert_eq!(
        context("seccompProfile: {type: Unconfined, localhostProfile: x}"),
        [format!(
            "{path}.seccompProfile.localhostProfile: Invalid value: {{\"localhostProfile\":\"x\",\"type\":\"Unconfined\"}}: can only be set when seccomp type is Localhost"
        )]
    );
}

#[test]
fn policies_about_groups_are_from_a_list() {
    check(
        &[(
            "securityContext: {supplementalGroupsPolicy: Some}",
            &[
                "spec.securityContext.supplementalGroupsPolicy: Unsupported value: \"Some\": supported values: \"Merge\", \"Strict\"",
            ],
        )],
        beside,
    );
    let found = messages(&beside("securityContext: {fsGroupChangePolicy: Never}"));
    assert!(found.contains(&"spec.securityContext.fsGroupChangePolicy: Unsupported value: \"Never\": supported values: \"Always\", \"OnRootMismatch\"".to_owned()), "{found:?}");
}

#[test]
fn capabilities_are_known_by_their_names() {
    let sets = |fields: &str| {
        problems(&container(&format!("securityContext: {{capabilities: {{{fields}}}}}")))
    };
    for fine in [
        "add: [NET_ADMIN, CAP_SYS_TIME, cap_bpf, Chown]",
        "drop: [ALL], add: [all]",
        "drop: [all, KILL]",
        "add: []",
    ] {
        assert!(sets(fine).is_empty(), "{fine}");
    }
    for (fields, place, name, near) in [
        ("add: [NET_ADMN]", "add[0]", "NET_ADMN", Some("NET_ADMIN")),
        ("drop: [CHOWN, CAP_KIL]", "drop[1]", "CAP_KIL", Some("KILL")),
        ("drop: [al]", "drop[0]", "al", Some("ALL")),
        ("drop: ['']", "drop[0]", "", None),
        ("drop: [CAP_ALL]", "drop[0]", "CAP_ALL", Some("ALL")),
        ("add: [CAP_CAP_KILL]", "add[0]", "CAP_CAP_KILL", None),
        ("add: ['NET_ADMIN ']", "add[0]", "NET_ADMIN ", Some("NET_ADMIN")),
        ("add: [everything]", "add[0]", "everything", None),
    ] {
        let found = sets(fields);
        assert_eq!(found.len(), 1, "{fields}: {found:?}");
        let message = format!(
            "spec.containers[0].securityContext.capabilities.{place}: Invalid value: {name:?}: no capability has this name"
        );
        assert_eq!(found[0].message, message);
        let hint = near.map(|near| format!("did you mean \"{near}\"?"));
        assert_eq!(found[0].hint, hint, "{fields}");
    }
}

#[test]
fn objects_that_ask_for_nothing_are_taken() {
    for fields in [
        "securityContext: {seLinuxOptions: {}}",
        "securityContext: {seLinuxOptions: {level: '', type: ''}, windowsOptions: {}}",
        "securityContext: {windowsOptions: {hostProcess: false}}",
        "resources: {claims: [], limits: {}}, securityContext: {}",
    ] {
        assert_eq!(messages(&container(fields)), Vec::<String>::new(), "{fields}");
    }
    for fields in [
        "securityContext: {seLinuxOptions: {}}",
        "affinity: {}, nodeSelector: {}, overhead: {}, resources: {}",
        "affinity: {nodeAffinity: {}, podAffinity: {}}",
    ] {
        assert_eq!(messages(&beside(fields)), Vec::<String>::new(), "{fields}");
    }
    // One that asks for something is still refused, and so is an empty kind of volume.
    let asks = "securityContext: {seLinuxOptions: {level: s0}}";
    assert!(!messages(&container(asks)).is_empty());
    for kind in ["csi", "gitRepo", "nfs"] {
        let found = messages(&beside(&format!("volumes: [{{name: v, {kind}: {{}}}}]")));
        assert!(found.iter().any(|message| message.contains("is not supported")), "{found:?}");
    }
}

#[test]
fn an_annotation_for_app_armor_means_the_field() {
    let pod = |value: &str, fields: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    \
             container.apparmor.security.beta.kubernetes.io/c: {value}\n    \
             container.apparmor.security.beta.kubernetes.io/other: {value}\n\
             spec:\n  containers:\n  - {{name: c, image: i{fields}}}\n"
        )
    };
    let profile = |text: &str| {
        let source = Source { name: "pod.yaml", text };
        let manifest = pod_model::parse(&source, &ParseOptions::default()).unwrap();
        let pod_model::Object::Pod(pod) = &manifest.objects[0] else { panic!("no pod") };
        let spec = pod.object.spec.clone().unwrap();
        let context = spec.containers[0].security_context.clone();
        context.and_then(|context| context.app_armor_profile).map(|profile| profile.type_)
    };
    assert_eq!(profile(&pod("unconfined", "")).as_deref(), Some("Unconfined"));
    assert_eq!(profile(&pod("runtime/default", "")).as_deref(), Some("RuntimeDefault"));
    let own = ", securityContext: {appArmorProfile: {type: Unconfined}}";
    assert_eq!(profile(&pod("runtime/default", own)).as_deref(), Some("Unconfined"));
    assert_eq!(profile(&pod("else", "")), None);
    // What the field cannot have, the annotation cannot, either.
    let field = "securityContext: {appArmorProfile: {type: Localhost, localhostProfile: mine}}";
    let by_field = messages(&container(field));
    assert_eq!(messages(&pod("localhost/mine", "")), by_field);
    assert_eq!(
        messages(&pod("localhost/mine", ", securityContext: {privileged: false}")),
        by_field
    );
    let place = problems(&pod("localhost/mine", "")).first().map(|problem| problem.place.line);
    assert!(place.is_none_or(|line| line == 6), "it is said where the annotation is: {place:?}");
}
