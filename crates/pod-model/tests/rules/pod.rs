//! Rules about the pod as a whole.

use crate::{Row, beside, check, container, pod};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

#[test]
fn a_pod_has_a_name_and_labels_that_kubernetes_takes() {
    let long = "a".repeat(254);
    for (metadata, expected) in [
        ("{}", vec!["metadata.name: Required value: name or generateName is required".to_owned()]),
        ("{name: ''}", vec!["metadata.name: Required value: name or generateName is required".to_owned()]),
        ("{name: p, generateName: p-}", vec![]),
        (
            "{name: p, generateName: P-}",
            vec![format!("metadata.generateName: Invalid value: \"P-\": {SUBDOMAIN}")],
        ),
        ("{generateName: '-'}", vec![format!("metadata.generateName: Invalid value: \"-\": {SUBDOMAIN}"), "from -: cannot use generate name with apply".to_owned()]),
        ("{name: A_b}", vec![format!("metadata.name: Invalid value: \"A_b\": {SUBDOMAIN}")]),
        ("{name: ../x}", vec![format!("metadata.name: Invalid value: \"../x\": {SUBDOMAIN}")]),
        (
            &format!("{{name: {long}}}"),
            vec![format!("metadata.name: Invalid value: \"{long}\": must be no more than 253 characters")],
        ),
        (
            "{name: p, namespace: a.b}",
            vec!["metadata.namespace: Invalid value: \"a.b\": must not contain dots".to_owned()],
        ),
        (
            "{name: p, labels: {a/b/c: x}}",
            vec!["metadata.labels: Invalid value: \"a/b/c\": a valid label key must consist of \
                  alphanumeric characters, '-', '_' or '.', and must start and end with an \
                  alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used \
                  for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS \
                  subdomain prefix and '/' (e.g. 'example.com/MyName')".to_owned()],
        ),
        (
            "{name: p, labels: {/x: z}}",
            vec!["metadata.labels: Invalid value: \"/x\": prefix part must be non-empty".to_owned()],
        ),
        (
            "{name: p, labels: {x: a b}}",
            vec!["metadata.labels: Invalid value: \"a b\": a valid label must be an empty string or \
                  consist of alphanumeric characters, '-', '_' or '.', and must start and end with \
                  an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used \
                  for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')".to_owned()],
        ),
    ] {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {metadata}\nspec: {{containers: [{{name: c, image: i}}]}}\n"
        );
        assert_eq!(crate::messages(&text), expected, "{metadata}");
    }
}

#[test]
fn names_that_could_be_paths_are_refused_everywhere() {
    for name in ["..", ".", "a/b", "a/../b", "-", "a\\0b", &"x".repeat(300)] {
        for text in [
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: \"{name}\"}}\nspec: {{containers: [{{name: c, image: i}}]}}"
            ),
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: \"{name}\"}}\nspec: {{containers: [{{name: c, image: i}}]}}"
            ),
            pod(&format!("{{containers: [{{name: \"{name}\", image: i}}]}}")),
            beside(&format!("volumes: [{{name: \"{name}\", emptyDir: {{}}}}]")),
            beside(&format!("hostname: \"{name}\"")),
            format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: \"{name}\"}}"),
        ] {
            assert!(!crate::messages(&text).is_empty(), "{text}");
        }
    }
}

#[test]
fn a_pod_has_containers_with_names_of_their_own() {
    check(
        &[
            ("{containers: []}", &["spec.containers: Required value"]),
            ("{}", &["spec.containers: Required value"]),
            (
                "{containers: [{}]}",
                &[
                    "spec.containers[0].name: Required value",
                    "spec.containers[0].image: Required value",
                ],
            ),
            ("{containers: [{name: c}]}", &["spec.containers[0].image: Required value"]),
            (
                "{containers: [{name: c, image: i}, {name: c, image: j}]}",
                &["spec.containers[1].name: Duplicate value: \"c\""],
            ),
            (
                "{containers: [{name: c, image: i}], initContainers: [{name: c, image: i}]}",
                &["spec.initContainers[0].name: Duplicate value: \"c\""],
            ),
            (
                "{containers: [{name: c, image: i}], initContainers: [{name: a, image: i}, {name: a, image: i}]}",
                &["spec.initContainers[1].name: Duplicate value: \"a\""],
            ),
            (
                "{containers: [{name: c, image: i}], ephemeralContainers: [{name: e, image: i}]}",
                &[
                    "spec.ephemeralContainers is not supported: Kubernetes adds them to running pods only",
                ],
            ),
        ],
        pod,
    );
}

#[test]
fn words_are_from_a_list() {
    check(
        &[
            (
                "restartPolicy: Sometimes",
                &[
                    "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
                ],
            ),
            (
                "dnsPolicy: Cluster",
                &["spec.dnsPolicy: Unsupported value: \"Cluster\": supported values: \
                   \"ClusterFirstWithHostNet\", \"ClusterFirst\", \"Default\", \"None\""],
            ),
            (
                "preemptionPolicy: Sometimes",
                &[
                    "spec.preemptionPolicy changes nothing on one machine: nothing competes for the node",
                    "spec.preemptionPolicy: Unsupported value: \"Sometimes\": supported values: \"PreemptLowerPriority\", \"Never\"",
                ],
            ),
            ("os: {name: windows}", &["spec.os.name: Forbidden: this is Linux"]),
            (
                "os: {name: beos}",
                &[
                    "spec.os.name: Unsupported value: \"beos\": supported values: \"linux\", \"windows\"",
                ],
            ),
        ],
        beside,
    );
}

#[test]
fn numbers_and_names_of_the_pod_are_within_bounds() {
    check(
        &[
            (
                "activeDeadlineSeconds: 0",
                &[
                    "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
                ],
            ),
            (
                "activeDeadlineSeconds: 2147483648",
                &[
                    "spec.activeDeadlineSeconds: Invalid value: 2147483648: must be between 1 and 2147483647, inclusive",
                ],
            ),
            ("terminationGracePeriodSeconds: -1", &[]),
            ("hostname: a.b", &["spec.hostname: Invalid value: \"a.b\": must not contain dots"]),
            ("subdomain: a.b", &["spec.subdomain: Invalid value: \"a.b\": must not contain dots"]),
            (
                "hostnameOverride: a, hostNetwork: true",
                &[
                    "spec.hostnameOverride: Forbidden: may not be specified when `hostNetwork` is true",
                ],
            ),
            (
                "hostnameOverride: a, setHostnameAsFQDN: true",
                &[
                    "spec.hostnameOverride: Forbidden: may not be specified when `setHostnameAsFQDN` is true",
                ],
            ),
            (
                "readinessGates: [{conditionType: a b}]",
                &[
                    "spec.readinessGates[0].conditionType: Invalid value: \"a b\": name part must consist of \
                   alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric \
                   character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                   '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
                ],
            ),
        ],
        beside,
    );
}

#[test]
fn the_resolver_is_configured_within_its_limits() {
    let long = format!("dnsConfig: {{searches: [{}]}}", ["a"; 33].join(","));
    let list = format!("[{}]", ["\"a\""; 33].join(","));
    let expected = format!(
        "spec.dnsConfig.searches: Invalid value: {list}: must not have more than 32 search paths"
    );
    assert_eq!(crate::messages(&beside(&long)), [expected]);
    check(
        &[
            (
                "dnsPolicy: None",
                &[
                    "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None",
                ],
            ),
            (
                "dnsPolicy: None, dnsConfig: {}",
                &[
                    "spec.dnsConfig.nameservers: Required value: must provide at least one DNS nameserver when `dnsPolicy` is None",
                ],
            ),
            (
                "dnsConfig: {nameservers: [1.1.1.1, 1.1.1.2, 1.1.1.3, 1.1.1.4]}",
                &[
                    "spec.dnsConfig.nameservers: Invalid value: [\"1.1.1.1\",\"1.1.1.2\",\"1.1.1.3\",\"1.1.1.4\"]: must not have more than 3 nameservers",
                ],
            ),
            (
                "dnsConfig: {nameservers: [one]}",
                &[
                    "spec.dnsConfig.nameservers[0]: Invalid value: \"one\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                ],
            ),
            (
                "dnsConfig: {options: [{value: x}]}",
                &["spec.dnsConfig.options[0]: Required value: must not be empty"],
            ),
            (
                "hostAliases: [{ip: x, hostnames: [a]}]",
                &[
                    "spec.hostAliases[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                ],
            ),
            (
                "hostAliases: [{ip: 1.1.1.1, hostnames: [a]}, {ip: 1.1.1.1, hostnames: [b]}]",
                &["spec.hostAliases[1].ip: duplicate ip \"1.1.1.1\""],
            ),
            (
                "imagePullSecrets: [{name: a}, {name: a}]",
                &["spec.imagePullSecrets[1].name: duplicate name \"a\""],
            ),
        ],
        beside,
    );
}

#[test]
fn ports_of_the_host_are_given_once() {
    let rows: &[Row] = &[
        (
            "{containers: [{name: a, image: i, ports: [{containerPort: 80, hostPort: 8080}]}, \
             {name: b, image: i, ports: [{containerPort: 81, hostPort: 8080}]}]}",
            &["spec.containers[1].ports[0].hostPort: Duplicate value: \"TCP//8080\""],
        ),
        (
            "{containers: [{name: a, image: i, ports: [{containerPort: 80, hostPort: 8080}, \
             {containerPort: 80, hostPort: 8080, protocol: UDP}]}]}",
            &[],
        ),
        (
            "{hostNetwork: true, containers: [{name: a, image: i, ports: [{containerPort: 80, hostPort: 8080}]}]}",
            &[
                "spec.containers[0].ports[0].hostPort: Invalid value: 8080: must match `containerPort` when `hostNetwork` is true",
            ],
        ),
        (
            "{containers: [{name: a, image: i, ports: [{containerPort: 80}]}, {name: b, image: i, ports: [{containerPort: 80}]}]}",
            &[
                "spec.containers[1].ports[0]: duplicate port definition with spec.containers[0].ports[0]",
            ],
        ),
        (
            "{hostPID: true, containers: [{name: a, image: i, securityContext: {capabilities: \
             {add: [NET_ADMIN, SYS_PTRACE]}}}]}",
            &[
                "spec.containers[0].securityContext.capabilities.add: with `hostPID` SYS_PTRACE opens every file and process of the machine",
            ],
        ),
        (
            "{containers: [{name: a, image: i, securityContext: {capabilities: {add: [SYS_PTRACE]}}}]}",
            &[],
        ),
        (
            "{containers: [{name: a, image: i}], initContainers: [{name: b, image: i, ports: \
             [{containerPort: 80, hostPort: 80}, {containerPort: 81, hostPort: 80}]}]}",
            &["spec.initContainers[0].ports[1].hostPort: Duplicate value: \"TCP//80\""],
        ),
    ];
    check(rows, pod);
}

#[test]
fn tolerations_make_sense_although_they_mean_nothing_here() {
    let warning =
        "spec.tolerations changes nothing on one machine: there is one node to choose from";
    for (toleration, message) in [
        (
            "{operator: Equal}",
            "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ),
        (
            "{key: a, operator: Like}",
            "spec.tolerations[0].operator: Unsupported value: \"Like\": supported values: \"Equal\", \"Exists\", \"Gt\", \"Lt\"",
        ),
        (
            "{key: a, effect: Never}",
            "spec.tolerations[0].effect: Unsupported value: \"Never\": supported values: \"NoExecute\", \"NoSchedule\", \"PreferNoSchedule\"",
        ),
    ] {
        let found = crate::messages(&beside(&format!("tolerations: [{toleration}]")));
        assert_eq!(found, [warning, message]);
    }
}

#[test]
fn an_image_has_no_blanks_around_it() {
    assert_eq!(
        crate::messages(&pod("{containers: [{name: c, image: ' i'}]}")),
        [
            "spec.containers[0].image: Invalid value: \" i\": must not have leading or trailing whitespace"
        ]
    );
    assert_eq!(crate::messages(&container("tty: true")), [""; 0]);
}
