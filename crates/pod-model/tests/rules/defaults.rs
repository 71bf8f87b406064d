//! What Kubernetes fills in.

use pod_model::{Object, ParseOptions, Source};
use serde_json::{Value, json};

pub(crate) fn completed(text: &str) -> Value {
    let source = Source { name: "pod.yaml", text };
    let manifest = pod_model::parse(&source, &ParseOptions::default()).unwrap();
    match manifest.objects.into_iter().next().unwrap() {
        Object::Pod(pod) => serde_json::to_value(pod.object).unwrap(),
        Object::Secret(secret) => serde_json::to_value(secret).unwrap(),
        Object::PersistentVolumeClaim(claim) => serde_json::to_value(claim).unwrap(),
        Object::ConfigMap(map) => serde_json::to_value(map).unwrap(),
    }
}

#[test]
fn a_pod_is_completed_as_an_api_server_completes_it() {
    let pod = completed(&crate::pod("{containers: [{name: c, image: i}]}"));
    assert_eq!(
        pod,
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": { "name": "p", "namespace": "default" },
            "spec": {
                "containers": [{
                    "name": "c",
                    "image": "i",
                    "imagePullPolicy": "Always",
                    "resources": {},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst",
                "enableServiceLinks": true,
                "restartPolicy": "Always",
                "schedulerName": "default-scheduler",
                "securityContext": {},
                "serviceAccount": "default",
                "serviceAccountName": "default",
                "terminationGracePeriodSeconds": 30,
            },
        })
    );
}

#[test]
fn each_default_of_kubernetes_is_there() {
    let mode = json!(0o644);
    for (fields, pointer, value) in [
        (
            "containers: [{name: c, image: 'i:1'}]",
            "/spec/containers/0/imagePullPolicy",
            json!("IfNotPresent"),
        ),
        (
            "containers: [{name: c, image: 'i@sha256:00'}]",
            "/spec/containers/0/imagePullPolicy",
            json!("IfNotPresent"),
        ),
        (
            "containers: [{name: c, image: 'r:5000/i'}]",
            "/spec/containers/0/imagePullPolicy",
            json!("Always"),
        ),
        (
            "containers: [{name: c, image: i, ports: [{containerPort: 80}]}]",
            "/spec/containers/0/ports/0/protocol",
            json!("TCP"),
        ),
        (
            "hostNetwork: true, containers: [{name: c, image: i, ports: [{containerPort: 80}]}]",
            "/spec/containers/0/ports/0/hostPort",
            json!(80),
        ),
        (
            "containers: [{name: c, image: i, resources: {limits: {cpu: '1.5', memory: 1024Mi}}}]",
            "/spec/containers/0/resources",
            json!({"limits": {"cpu": "1500m", "memory": "1Gi"}, "requests": {"cpu": "1500m", "memory": "1Gi"}}),
        ),
        (
            "containers: [{name: c, image: i, livenessProbe: {httpGet: {port: 80}, periodSeconds: 0}}]",
            "/spec/containers/0/livenessProbe",
            json!({"httpGet": {"path": "/", "port": 80, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}),
        ),
        (
            "containers: [{name: c, image: i, lifecycle: {preStop: {httpGet: {port: 80}}}}]",
            "/spec/containers/0/lifecycle/preStop/httpGet/scheme",
            json!("HTTP"),
        ),
        (
            "containers: [{name: c, image: i, env: [{name: a, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]",
            "/spec/containers/0/env/0/valueFrom/fieldRef/apiVersion",
            json!("v1"),
        ),
        (
            "serviceAccount: mine, containers: [{name: c, image: i}]",
            "/spec/serviceAccountName",
            json!("mine"),
        ),
        (
            "containers: [{name: c, image: i}], volumes: [{name: v}]",
            "/spec/volumes/0/emptyDir",
            json!({}),
        ),
        (
            "containers: [{name: c, image: i}], volumes: [{name: v, hostPath: {path: /a}}]",
            "/spec/volumes/0/hostPath/type",
            json!(""),
        ),
        (
            "containers: [{name: c, image: i}], volumes: [{name: v, configMap: {name: m}}]",
            "/spec/volumes/0/configMap/defaultMode",
            mode.clone(),
        ),
        (
            "containers: [{name: c, image: i}], volumes: [{name: v, secret: {secretName: m}}]",
            "/spec/volumes/0/secret/defaultMode",
            mode.clone(),
        ),
        (
            "containers: [{name: c, image: i}], volumes: [{name: v, projected: {sources: []}}]",
            "/spec/volumes/0/projected/defaultMode",
            mode.clone(),
        ),
        (
            "containers: [{name: c, image: i}], volumes: [{name: v, downwardAPI: {items: [{path: a, fieldRef: {fieldPath: metadata.name}}]}}]",
            "/spec/volumes/0/downwardAPI",
            json!({"defaultMode": 0o644, "items": [{"path": "a", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}]}),
        ),
    ] {
        let pod = completed(&crate::pod(&format!("{{{fields}}}")));
        assert_eq!(pod.pointer(pointer), Some(&value), "{fields}");
    }
}

#[test]
fn other_objects_are_completed_too() {
    let secret = completed(
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: eA==, b: eA==}\nstringData: {b: z}\n",
    );
    assert_eq!(secret["type"], json!("Opaque"));
    assert_eq!(secret["data"], json!({"a": "eA==", "b": "eg=="}));
    assert_eq!(secret.get("stringData"), None);
    let claim = completed(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: c}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}\n",
    );
    assert_eq!(claim["spec"]["volumeMode"], json!("Filesystem"));
    assert_eq!(claim["spec"]["resources"]["requests"]["storage"], json!("1Gi"));
}

#[test]
fn completing_a_completed_pod_changes_nothing() {
    let text = crate::pod(
        "{containers: [{name: c, image: i, ports: [{containerPort: 80}], resources: {limits: {memory: 1Gi}}, \
         livenessProbe: {tcpSocket: {port: 80}}}], volumes: [{name: v, configMap: {name: m}}]}",
    );
    let once = completed(&text);
    let twice = completed(&serde_json::to_string_pretty(&once).unwrap());
    assert_eq!(once, twice);
}
