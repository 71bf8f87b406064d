//! All problems at once: in the order of the text, and where Kubernetes says several things about
//! one place, in its order.

use pod_model::{ParseOptions, Source};

#[test]
fn every_problem_is_shown_with_its_line_a_caret_and_a_way_out() {
    let text = "\
apiVersion: v1
kind: Pod
metadata:
  name: kubia
spec:
  restartPolicy: Alway
  containers:
  - name: Kubia_1
    imag: luksa/kubia
    ports:
    - containerPort: 80800
      name: http
  nodeSelector: {disk: ssd}
";
    let source = Source { name: "kubia.yaml", text };
    let problems = pod_model::parse(&source, &ParseOptions::default()).unwrap_err();
    assert_eq!(problems.errors(), 5);
    insta::assert_snapshot!(problems.render(&source), @r#"
    The Pod "kubia" is invalid:
    kubia.yaml:6:18: error: spec.restartPolicy: Unsupported value: "Alway": supported values: "Always", "OnFailure", "Never"
         6 |   restartPolicy: Alway
           |                  ^
           = did you mean "Always"?
    kubia.yaml:8:5: error: spec.containers[0].image: Required value
         8 |   - name: Kubia_1
           |     ^
    kubia.yaml:8:11: error: spec.containers[0].name: Invalid value: "Kubia_1": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
         8 |   - name: Kubia_1
           |           ^
    kubia.yaml:9:5: error: unknown field "spec.containers[0].imag"
         9 |     imag: luksa/kubia
           |     ^
           = did you mean "image"?
    kubia.yaml:11:22: error: spec.containers[0].ports[0].containerPort: Invalid value: 80800: must be between 1 and 65535, inclusive
        11 |     - containerPort: 80800
           |                      ^
    kubia.yaml:13:3: warning: spec.nodeSelector changes nothing on one machine: there is one node to choose from
        13 |   nodeSelector: {disk: ssd}
           |   ^
    "#);
}

#[test]
fn findings_of_one_place_keep_the_order_of_the_api_server() {
    // All on one line, and all about what is not there.
    let text = "{apiVersion: v1, kind: Pod, metadata: {}, spec: {volumes: [{}], dnsPolicy: None, \
                containers: [{ports: [{}], env: [{}], volumeMounts: [{}], livenessProbe: {}}]}}";
    let source = Source { name: "pod.yaml", text };
    let problems = pod_model::parse(&source, &ParseOptions::default()).unwrap_err();
    let container: Vec<&str> = problems
        .0
        .iter()
        .map(|problem| problem.message.as_str())
        .filter(|message| message.starts_with("spec.containers[0]."))
        .collect();
    assert_eq!(
        container,
        [
            "spec.containers[0].name: Required value",
            "spec.containers[0].image: Required value",
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].env[0].name: Required value",
            "spec.containers[0].volumeMounts[0].name: Required value",
            "spec.containers[0].volumeMounts[0].name: Not found: \"\"",
            "spec.containers[0].volumeMounts[0].mountPath: Required value",
            "spec.containers[0].livenessProbe: Required value: must specify a handler type",
        ]
    );
}

#[test]
fn problems_of_several_documents_are_told_apart() {
    let text = "\
apiVersion: v1
kind: Pod
metadata: {name: a}
spec: {containers: []}
---
a: [
---
apiVersion: v1
kind: Pod
metadata: {name: b}
spec: {containers: []}
";
    let source = Source { name: "two.yaml", text };
    let shown = pod_model::parse(&source, &ParseOptions::default()).unwrap_err().render(&source);
    let heads: Vec<&str> = shown.lines().filter(|line| !line.starts_with(' ')).collect();
    assert_eq!(heads.len(), 5, "{shown}");
    assert_eq!(heads[0], "The Pod \"a\" is invalid:");
    assert!(heads[2].starts_with("two.yaml:7:1: error: the YAML is broken"), "{shown}");
    assert_eq!(heads[3], "The Pod \"b\" is invalid:");
}

#[test]
fn a_long_line_is_shown_around_the_place() {
    let text = format!(
        "{{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {{\"name\": \"p\", \"annotations\": {{\"a\": \"{}\"}}}}, \"spec\": {{\"containers\": 5}}}}",
        "x".repeat(3000)
    );
    let source = Source { name: "pod.json", text: &text };
    let shown = pod_model::parse(&source, &ParseOptions::default()).unwrap_err().render(&source);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.iter().all(|line| line.len() < 150), "{shown}");
    let caret = lines[3].find('^').expect("a caret");
    assert_eq!(&lines[2][caret..=caret], "5", "{shown}");
}
