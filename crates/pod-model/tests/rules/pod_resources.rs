//! Resources of a pod as a whole.

use pod_model::{Object, ParseOptions, QosClass, Source, qos_class};
use serde_json::{Value, json};

use crate::check;
use crate::defaults::completed;

/// A pod with these resources, one init container, one sidecar and one main container.
fn with(own: &str) -> String {
    crate::pod(&format!(
        "{{resources: {own}, initContainers: [\
         {{name: a, image: i, resources: {{requests: {{cpu: '2', memory: 10Mi}}}}}}, \
         {{name: b, image: i, restartPolicy: Always, resources: {{requests: {{cpu: 500m}}}}}}], \
         containers: [{{name: c, image: i, resources: {{requests: {{cpu: '1', memory: 1Gi}}}}}}]}}"
    ))
}

/// A pod with these resources and one container with those.
fn one(own: &str, of_container: &str) -> String {
    crate::pod(&format!(
        "{{resources: {own}, containers: [{{name: c, image: i, resources: {of_container}}}]}}"
    ))
}

#[test]
fn a_pod_may_have_processors_and_memory_and_not_less_than_its_containers() {
    check(
        &[
            ("{}", &[]),
            ("{requests: {cpu: '2', memory: 1Gi}, limits: {cpu: '4', memory: 1Gi}}", &[]),
            (
                "{requests: {cpu: 1999m, memory: 1023Mi}}",
                &[
                    "spec.resources.requests[cpu]: Invalid value: \"1999m\": must be greater than or equal to aggregate container requests of 2",
                    "spec.resources.requests[memory]: Invalid value: \"1023Mi\": must be greater than or equal to aggregate container requests of 1Gi",
                ],
            ),
            (
                "{requests: {cpu: '3'}, limits: {cpu: '2'}}",
                &[
                    "spec.resources.requests: Invalid value: \"3\": must be less than or equal to cpu limit of 2",
                ],
            ),
            (
                "{requests: {ephemeral-storage: 1Gi}}",
                &[
                    "spec.resources.requests[ephemeral-storage]: Unsupported value: \"ephemeral-storage\": supported values: \"cpu\", \"hugepages-\", \"memory\"",
                ],
            ),
            (
                "{limits: {mem: 1Gi}}",
                &[
                    "spec.resources.limits[mem]: Invalid value: \"mem\": must be a standard resource type or fully qualified",
                ],
            ),
        ],
        with,
    );
    let text = one("{limits: {cpu: '1'}}", "{limits: {cpu: 1500m}, requests: {cpu: '1'}}");
    let found = crate::problems(&text);
    let message = "spec.resources.containers[0][cpu].limits: Invalid value: \"1500m\": must be less than or equal to pod limits of 1";
    assert_eq!(found[0].message, message);
    let line = text.lines().nth(found[0].place.line - 1).unwrap();
    assert!(line[found[0].place.column - 1..].starts_with("cpu: 1500m"), "{:?}", found[0].place);
}

#[test]
fn what_a_pod_leaves_out_comes_from_its_containers_and_its_limits() {
    let own = |text: &str| -> Value { completed(text)["spec"]["resources"].clone() };
    for (stated, resources) in [
        ("{}", json!({})),
        (
            "{limits: {cpu: '4', memory: 2Gi}}",
            json!({"limits": {"cpu": "4", "memory": "2Gi"}, "requests": {"cpu": "2", "memory": "1Gi"}}),
        ),
        (
            "{limits: {memory: 2Gi}, requests: {memory: 1536Mi}}",
            json!({"limits": {"memory": "2Gi"}, "requests": {"cpu": "2", "memory": "1536Mi"}}),
        ),
        // Not every container has limits.
        ("{requests: {cpu: '4'}}", json!({"requests": {"cpu": "4"}})),
    ] {
        assert_eq!(own(&with(stated)), resources, "{stated}");
    }
    assert_eq!(
        own(&one("{limits: {cpu: '4'}}", "{}")),
        json!({"limits": {"cpu": "4"}, "requests": {"cpu": "4"}})
    );
    assert_eq!(
        own(&one("{requests: {cpu: '4'}}", "{limits: {cpu: '4', memory: 0.5Gi}}")),
        json!({"limits": {"cpu": "4", "memory": "512Mi"}, "requests": {"cpu": "4"}})
    );
}

#[test]
fn the_pods_own_resources_alone_decide_about_its_class() {
    for (own, of_container, class) in [
        ("{limits: {cpu: '1', memory: 1Gi}}", "{}", QosClass::Guaranteed),
        ("{limits: {memory: 1Gi}}", "{limits: {cpu: '1', memory: 1Gi}}", QosClass::Burstable),
        (
            "{limits: {cpu: '1', memory: 1Gi}, requests: {cpu: 500m}}",
            "{limits: {cpu: 500m}}",
            QosClass::Burstable,
        ),
        ("{requests: {cpu: '0'}}", "{}", QosClass::BestEffort),
        ("{}", "{limits: {cpu: '1', memory: 1Gi}}", QosClass::Guaranteed),
        ("{}", "{}", QosClass::BestEffort),
    ] {
        let text = one(own, of_container);
        let source = Source { name: "pod.yaml", text: &text };
        let manifest = pod_model::parse(&source, &ParseOptions::default()).unwrap();
        let Object::Pod(pod) = &manifest.objects[0] else { panic!("no pod") };
        assert_eq!(qos_class(&pod.object), class, "{text}");
    }
}
