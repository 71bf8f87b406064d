//! What is read strictly: kinds, fields and types.

use pod_model::{Object, ParseOptions, Severity, Source, Unnamed};

use crate::{beside, container, messages, pod, problems};

/// The first problem with its place and its hint.
fn first(text: &str) -> (usize, usize, String, Option<String>) {
    let problem = problems(text).remove(0);
    (problem.place.line, problem.place.column, problem.message, problem.hint)
}

#[test]
fn a_document_says_which_kind_of_object_it_is() {
    let pod = "metadata: {name: p}\nspec: {containers: [{name: c, image: i}]}\n";
    for (text, expected) in [
        (pod.to_owned(), vec!["apiVersion not set", "kind not set"]),
        (format!("kind: Pod\n{pod}"), vec!["apiVersion not set"]),
        (format!("apiVersion: v1\n{pod}"), vec!["kind not set"]),
        (
            format!("apiVersion: v2\nkind: Pod\n{pod}"),
            vec!["no matches for kind \"Pod\" in version \"v2\""],
        ),
        (String::new(), vec!["there is no object in this manifest"]),
        ("# nothing\n---\n".to_owned(), vec!["there is no object in this manifest"]),
        ("hello\n".to_owned(), vec!["an object must be a map of fields"]),
        ("- a\n".to_owned(), vec!["an object must be a map of fields"]),
    ] {
        assert_eq!(messages(&text), expected, "{text}");
    }
}

#[test]
fn other_kinds_are_named_with_what_to_do_instead() {
    for (version, kind, hint) in [
        ("apps/v1", "Deployment", "spec.template"),
        ("batch/v1", "CronJob", "spec.jobTemplate.spec.template"),
        ("v1", "Service", "hostPort"),
        ("v1", "Namespace", "-n NAME"),
        ("v1", "PersistentVolume", "PersistentVolumeClaim is enough"),
        ("v1", "ServiceAccount", "no API server"),
        ("v1", "Node", "one node"),
        ("v1", "LimitRange", "minikube"),
        ("monitoring.example.com/v1", "PodMonitor", "minikube"),
    ] {
        let text = format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: o}}\n");
        let source = Source { name: "o.yaml", text: &text };
        let manifest = pod_model::parse(&source, &ParseOptions::default()).unwrap();
        assert_eq!((manifest.objects, manifest.warnings), (vec![], vec![]));
        let [other] = &manifest.left_out[..] else { panic!("{kind} is not left out") };
        assert_eq!(other.is_workload(), ["Deployment", "CronJob"].contains(&kind));
        let what = "minipod runs Pods, with ConfigMaps, Secrets and PersistentVolumeClaims";
        for (problem, message) in [
            (other.error(), format!("kind {kind} is not supported: {what}")),
            (other.warning(), format!("{kind} \"o\" is left out: {what}")),
        ] {
            assert_eq!((problem.place.line, problem.place.column), (2, 7));
            assert_eq!(problem.message, message);
            assert!(problem.hint.as_deref().is_some_and(|found| found.contains(hint)), "{kind}");
        }
    }
}

#[test]
fn kinds_that_no_cluster_has_are_errors() {
    for (kind, hint) in [
        ("pod", "did you mean \"Pod\"?"),
        ("Configmap", "did you mean \"ConfigMap\"?"),
        ("Zebra", "minikube"),
    ] {
        let (line, column, message, found) = first(&format!("apiVersion: v1\nkind: {kind}\n"));
        assert_eq!((line, column), (2, 7));
        assert!(message.starts_with(&format!("kind {kind} is not supported: minipod runs Pods")));
        assert!(found.as_deref().is_some_and(|found| found.contains(hint)), "{kind}: {found:?}");
    }
}

#[test]
fn fields_that_kubernetes_does_not_know_are_errors_at_any_depth() {
    for (text, message, hint) in [
        (beside("restartPolice: Never"), "unknown field \"spec.restartPolice\"", Some("restartPolicy")),
        (container("comand: [a]"), "unknown field \"spec.containers[0].comand\"", Some("command")),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: p, restartPolicy: Never}\nspec: {containers: [{name: c, image: i}]}".to_owned(),
            "unknown field \"metadata.restartPolicy\"",
            None,
        ),
        (
            beside("affinity: {nodeAffinity: {required: []}}"),
            "unknown field \"spec.affinity.nodeAffinity.required\"",
            None,
        ),
        (
            beside("tolerations: [{key: a, operater: Exists}]"),
            "unknown field \"spec.tolerations[0].operater\"",
            Some("operator"),
        ),
        (
            beside("volumes: [{name: v, csi: {drivre: d}}]"),
            "unknown field \"spec.volumes[0].csi.drivre\"",
            Some("driver"),
        ),
    ] {
        let found = problems(&text);
        let found = found.iter().find(|one| one.message == message).expect(message);
        assert_eq!(found.severity, Severity::Error);
        let hint = hint.map(|hint| format!("did you mean \"{hint}\"?"));
        if hint.is_some() {
            assert_eq!(found.hint, hint);
        }
    }
}

#[test]
fn a_field_that_is_given_twice_is_an_error_at_the_second_place() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\nspec:\n  containers:\n  - {name: c, image: i, name: d}\n";
    let found: Vec<_> = problems(text)
        .into_iter()
        .map(|one| (one.place.line, one.place.column, one.message))
        .collect();
    assert_eq!(
        found,
        [
            (5, 3, "duplicate field \"metadata.name\"".to_owned()),
            (8, 25, "duplicate field \"spec.containers[0].name\"".to_owned()),
        ]
    );
}

#[test]
fn values_have_the_type_of_their_field() {
    for (text, message, hint) in [
        (
            container("env: [{name: a, value: yes}]"),
            "spec.containers[0].env[0].value must be a string, and is the boolean true",
            Some(
                "put it in quotes to make it a string: y, yes, on and the like are booleans in YAML",
            ),
        ),
        (
            container("env: [{name: a, value: 1e3}]"),
            "spec.containers[0].env[0].value must be a string, and is the number 1000",
            Some("put it in quotes to make it a string"),
        ),
        (
            container("env: [{name: a, value: 5}]"),
            "spec.containers[0].env[0].value must be a string, and is the number 5",
            Some("put it in quotes to make it a string"),
        ),
        (
            container("ports: [{containerPort: '8080'}]"),
            "spec.containers[0].ports[0].containerPort must be a whole number, and is the string \"8080\"",
            Some("without quotes"),
        ),
        (
            container("ports: [{containerPort: 99999999999}]"),
            "spec.containers[0].ports[0].containerPort must be a number of 32 bits, and is 99999999999",
            None,
        ),
        (
            container("tty: 'yes'"),
            "spec.containers[0].tty must be true or false, and is the string \"yes\"",
            Some("without quotes"),
        ),
        (
            container("args: a"),
            "spec.containers[0].args must be a list, and is the string \"a\"",
            None,
        ),
        (
            container("resources: {limits: [cpu]}"),
            "spec.containers[0].resources.limits must be a map, and is a list",
            None,
        ),
        (pod("{containers: {name: c}}"), "spec.containers must be a list, and is a map", None),
        (
            container("command: [sleep, 5]"),
            "spec.containers[0].command[1] must be a string, and is the number 5",
            Some("put it in quotes to make it a string"),
        ),
    ] {
        let (_, _, found, found_hint) = first(&text);
        assert_eq!(found, message);
        assert_eq!(found_hint.as_deref(), hint, "{text}");
    }
    // What follows from a wrong type is not said.
    assert_eq!(messages(&pod("{containers: [{name: 1, image: i}]}")).len(), 1);
}

#[test]
fn numbers_may_be_written_as_yaml_1_1_allows() {
    for port in ["8080", "0x1F90", "0o17620", "017620", "8_080", "8080.0", "8.08e3"] {
        assert_eq!(
            messages(&container(&format!("ports: [{{containerPort: {port}}}]"))),
            [""; 0],
            "{port}"
        );
    }
    assert_eq!(messages(&container("tty: on, stdin: y, stdinOnce: No")), [""; 0]);
}

#[test]
fn fields_that_mean_nothing_here_are_warned_about_but_for_their_defaults() {
    assert_eq!(
        messages(&beside(
            "schedulerName: default-scheduler, serviceAccountName: default, serviceAccount: default, enableServiceLinks: true, priority: 0, tolerations: [], nodeSelector: {kubernetes.io/os: linux}"
        )),
        [""; 0]
    );
    let found = problems(&beside("schedulerName: mine"));
    assert_eq!(found[0].severity, Severity::Warning);
    assert_eq!(
        found[0].message,
        "spec.schedulerName changes nothing on one machine: there is no scheduler"
    );
}

#[test]
fn fields_that_are_not_supported_are_left_out_on_request() {
    let text = beside("resourceClaims: [{name: a}]");
    let source = Source { name: "pod.yaml", text: &text };
    let problems = pod_model::parse(&source, &ParseOptions::default()).unwrap_err();
    assert_eq!(problems.0[0].hint.as_deref(), Some("--ignore-unsupported goes on without it"));
    let options = ParseOptions { ignore_unsupported: true, ..ParseOptions::default() };
    let manifest = pod_model::parse(&source, &options).unwrap();
    assert!(manifest.warnings[0].message.starts_with("spec.resourceClaims is ignored"));
    let Object::Pod(pod) = &manifest.objects[0] else { panic!("no pod") };
    assert_eq!(pod.object.spec.as_ref().unwrap().resource_claims, None);
}

#[test]
fn lists_are_what_is_in_them() {
    let item = "{metadata: {name: a}, spec: {containers: [{name: c, image: i}]}}";
    let typed = item.replacen('{', "{apiVersion: v1, kind: Pod, ", 1);
    let count = |text: &str| {
        let source = Source { name: "list.yaml", text };
        pod_model::parse(&source, &ParseOptions::default()).map(|found| found.objects.len())
    };
    assert_eq!(count(&format!("apiVersion: v1\nkind: List\nitems: [{typed}, {typed}]\n")), Ok(2));
    assert_eq!(
        count(&format!(
            "apiVersion: v1\nkind: PodList\nmetadata: {{resourceVersion: ''}}\nitems: [{item}]\n"
        )),
        Ok(1)
    );
    assert_eq!(count("apiVersion: v1\nkind: List\nitems: []\n"), Ok(0));
    assert_eq!(messages("apiVersion: v1\nkind: List\n"), ["items: Required value"]);
    assert_eq!(
        messages("apiVersion: v1\nkind: List\nitem: []\nitems: []\n"),
        ["unknown field \"item\""]
    );
    let found = messages(&format!("apiVersion: v1\nkind: List\nitems: [{item}]\n"));
    assert_eq!(found, ["apiVersion not set", "kind not set"]);
}

#[test]
fn a_namespace_that_was_asked_for_is_the_one_of_every_object() {
    let options = ParseOptions { namespace: Some("dev".into()), ..ParseOptions::default() };
    let read = |namespace: &str| {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: m{namespace}}}\n");
        pod_model::parse(&Source { name: "m.yaml", text: &text }, &options)
    };
    let Object::ConfigMap(map) = &read("").unwrap().objects[0] else { panic!("no map") };
    assert_eq!(map.metadata.namespace.as_deref(), Some("dev"));
    assert!(read(", namespace: dev").is_ok());
    let problem = read(", namespace: prod").unwrap_err().0.remove(0);
    assert_eq!(
        problem.message,
        "the namespace from the provided object \"prod\" does not match the namespace \"dev\""
    );
    assert_eq!(problem.hint.as_deref(), Some("-n prod"));
}

#[test]
fn what_servers_write_is_read_and_forgotten() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  uid: ../../etc\n  creationTimestamp: null\n  \
                resourceVersion: '5'\n  managedFields: [{manager: kubectl}]\n  ownerReferences: [{name: x, kind: k, apiVersion: v1, uid: z}]\n\
                spec: {containers: [{name: c, image: i}]}\nstatus: {phase: Running}\n";
    let source = Source { name: "pod.yaml", text };
    let manifest = pod_model::parse(&source, &ParseOptions::default()).unwrap();
    assert_eq!(manifest.warnings, []);
    let Object::Pod(pod) = &manifest.objects[0] else { panic!("no pod") };
    assert_eq!((pod.uid.0.as_str(), &pod.object.status), ("", &None));
    assert_eq!(pod.object.metadata.managed_fields, None);
}

#[test]
fn an_object_without_a_name_gets_one_where_it_is_created() {
    let read = |metadata: &str, unnamed: Unnamed| {
        let text = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {metadata}\n");
        let options = ParseOptions { unnamed, ..ParseOptions::default() };
        pod_model::parse(&Source { name: "m.yaml", text: &text }, &options)
    };
    let ending = Unnamed::EndWith(|| "x7k2p".to_owned());
    let name = |metadata: &str| {
        let Object::ConfigMap(map) = read(metadata, ending).unwrap().objects.remove(0) else {
            panic!("no map")
        };
        (map.metadata.name.unwrap(), map.metadata.generate_name)
    };
    assert_eq!(name("{generateName: web-}"), ("web-x7k2p".to_owned(), Some("web-".to_owned())));
    assert_eq!(name("{name: own, generateName: web-}").0, "own");
    let long = "a".repeat(100);
    assert_eq!(name(&format!("{{generateName: {long}}}")).0, format!("{}x7k2p", &long[..58]));
    assert!(read("{generateName: Web-}", ending).is_err());
    let problem = read("{generateName: web-}", Unnamed::Refuse("apply")).unwrap_err().0.remove(0);
    assert_eq!(problem.message, "from web-: cannot use generate name with apply");
    assert_eq!((problem.place.line, problem.place.column), (3, 26));
    assert!(read("{name: own, generateName: web-}", Unnamed::Refuse("apply")).is_ok());
}

#[test]
fn a_pod_that_comes_from_a_server_is_taken_without_its_token() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, uid: u}\nspec:\n  containers:\n  - name: c\n    \
                image: i\n    volumeMounts:\n    - {name: kube-api-access-x2b4c, mountPath: \
                /var/run/secrets/kubernetes.io/serviceaccount}\n    - {name: own, mountPath: /own}\n  nodeName: \
                elsewhere\n  tolerations: [{key: k, operator: Exists}]\n  volumes:\n  - {name: own, emptyDir: {}}\n  - \
                name: kube-api-access-x2b4c\n    projected: {sources: [{serviceAccountToken: {path: token}}, \
                {configMap: {name: kube-root-ca.crt}}]}\n";
    let manifest =
        pod_model::parse(&Source { name: "p.yaml", text }, &ParseOptions::default()).unwrap();
    let said: Vec<_> =
        manifest.warnings.iter().map(|one| (one.place.line, one.message.as_str())).collect();
    assert_eq!(said, [(15, "the service account's volume is left out: there is no API server")]);
    let Object::Pod(pod) = &manifest.objects[0] else { panic!("no pod") };
    let spec = pod.object.spec.as_ref().unwrap();
    assert_eq!(spec.volumes.as_ref().unwrap().len(), 1);
    assert_eq!(spec.containers[0].volume_mounts.as_ref().unwrap().len(), 1);
    // What somebody wrote is not taken for a server's.
    let text = text.replace("kube-api-access-x2b4c", "token").replace(", uid: u", "");
    let problems = messages(&text);
    assert!(problems.iter().any(|one| one.ends_with("is no API server to issue tokens")));
    assert!(problems.iter().any(|one| one.starts_with("spec.nodeName changes nothing")));
}
