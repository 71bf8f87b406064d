//! What may be changed of a pod that exists: little (Kubernetes' `ValidatePodUpdate`).

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::api::core::v1;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A change that is allowed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodUpdate {
    /// `metadata.labels`.
    pub labels: Option<BTreeMap<String, String>>,
    /// `metadata.annotations`.
    pub annotations: Option<BTreeMap<String, String>>,
    /// The new images, by the container's name.
    pub images: BTreeMap<String, String>,
    /// `spec.activeDeadlineSeconds`.
    pub active_deadline_seconds: Option<i64>,
    /// `spec.tolerations`.
    pub tolerations: Option<Vec<v1::Toleration>>,
    /// `spec.terminationGracePeriodSeconds`.
    pub termination_grace_period_seconds: Option<i64>,
    /// `spec.schedulingGates`, of which some may go.
    pub scheduling_gates: Option<Vec<v1::PodSchedulingGate>>,
}

/// A change that is not allowed, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForbiddenUpdate {
    name: String,
    errors: Vec<String>,
    differences: Vec<String>,
}

impl std::error::Error for ForbiddenUpdate {}

impl fmt::Display for ForbiddenUpdate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The Pod \"{}\" is invalid: ", self.name)?;
        if let [error] = self.errors.as_slice() {
            write!(f, "{error}")?;
        } else {
            for error in &self.errors {
                write!(f, "\n* {error}")?;
            }
        }
        for line in &self.differences {
            write!(f, "\n{line}")?;
        }
        Ok(())
    }
}

/// The first part is followed by the fields that differ.
const FORBIDDEN: &str = "spec: Forbidden: pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),\
    `spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

impl PodUpdate {
    /// The change from a pod that exists to the one of a manifest; nothing when they are equal.
    pub fn between(former: &v1::Pod, new: &v1::Pod) -> Result<Option<Self>, ForbiddenUpdate> {
        let old_spec = former.spec.clone().unwrap_or_default();
        let mut new_spec = new.spec.clone().unwrap_or_default();
        new_spec.node_name.clone_from(&old_spec.node_name); // given when the pod was created
        let change = Self {
            labels: new.metadata.labels.clone(),
            annotations: new.metadata.annotations.clone(),
            images: images(&old_spec, &new_spec),
            active_deadline_seconds: new_spec.active_deadline_seconds,
            tolerations: new_spec.tolerations.clone(),
            termination_grace_period_seconds: new_spec.termination_grace_period_seconds,
            scheduling_gates: new_spec.scheduling_gates.clone(),
        };
        let mut changed = former.clone();
        change.apply_to(&mut changed);
        let mut errors = errors(&old_spec, &new_spec);
        let allowed = changed.spec.clone().unwrap_or_default();
        let mut differences = Vec::new();
        if errors.is_empty() && allowed != new_spec {
            errors.push(FORBIDDEN.to_owned());
            let values = [&old_spec, &new_spec].map(|spec| serde_json::to_value(spec).ok());
            compare("spec", values[0].as_ref(), values[1].as_ref(), &mut differences);
        }
        if !errors.is_empty() {
            let name = former.metadata.name.clone().unwrap_or_default();
            return Err(ForbiddenUpdate { name, errors, differences });
        }
        Ok((changed != *former).then_some(change))
    }

    /// Makes the change in a pod.
    pub fn apply_to(&self, pod: &mut v1::Pod) {
        pod.metadata.labels.clone_from(&self.labels);
        pod.metadata.annotations.clone_from(&self.annotations);
        let Some(spec) = &mut pod.spec else {
            return;
        };
        let inits = spec.init_containers.iter_mut().flatten();
        for container in spec.containers.iter_mut().chain(inits) {
            if let Some(image) = self.images.get(&container.name) {
                container.image = Some(image.clone());
            }
        }
        spec.active_deadline_seconds = self.active_deadline_seconds;
        spec.tolerations.clone_from(&self.tolerations);
        spec.scheduling_gates.clone_from(&self.scheduling_gates);
        if spec.termination_grace_period_seconds.is_some_and(|grace| grace < 0)
            && self.termination_grace_period_seconds == Some(1)
        {
            spec.termination_grace_period_seconds = Some(1);
        }
    }
}

/// The images that differ, of containers that both have.
fn images(old: &v1::PodSpec, new: &v1::PodSpec) -> BTreeMap<String, String> {
    let of = |spec: &v1::PodSpec| {
        let inits = spec.init_containers.iter().flatten();
        let all = inits.chain(&spec.containers);
        all.map(|one| (one.name.clone(), one.image.clone().unwrap_or_default())).collect()
    };
    let known: BTreeMap<String, String> = of(old);
    let mut images: BTreeMap<String, String> = of(new);
    images.retain(|name, image| known.get(name).is_some_and(|known| known != image));
    images
}

/// What has an error of its own.
fn errors(old: &v1::PodSpec, new: &v1::PodSpec) -> Vec<String> {
    let mut errors = Vec::new();
    let inits = |spec: &v1::PodSpec| spec.init_containers.as_ref().map_or(0, Vec::len);
    if old.containers.len() != new.containers.len() {
        errors.push(
            "spec.containers: Forbidden: pod updates may not add or remove containers".into(),
        );
    }
    if inits(old) != inits(new) {
        let text = "spec.initContainers: Forbidden: pod updates may not add or remove containers";
        errors.push(text.into());
    }
    let field = "spec.activeDeadlineSeconds: Invalid value";
    match (old.active_deadline_seconds, new.active_deadline_seconds) {
        (Some(_), None) => {
            errors.push(format!(
                "{field}: null: must not update from a positive integer to nil value"
            ));
        }
        (Some(known), Some(wanted)) if wanted > known => {
            errors.push(format!("{field}: {wanted}: must be less than or equal to previous value"));
        }
        _ => {}
    }
    let known: Vec<&str> = gates(old).collect();
    if let Some(added) = gates(new).find(|gate| !known.contains(gate)) {
        errors.push(format!(
            "spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling \
             gate '{added}'"
        ));
    }
    if !only_adds(old, new) {
        let text = "spec.tolerations: Forbidden: existing toleration can not be modified except its \
                    tolerationSeconds";
        errors.push(text.into());
    }
    errors
}

fn gates(spec: &v1::PodSpec) -> impl Iterator<Item = &str> {
    spec.scheduling_gates.iter().flatten().map(|gate| gate.name.as_str())
}

/// Whether every toleration of the old pod is there in the new one.
fn only_adds(old: &v1::PodSpec, new: &v1::PodSpec) -> bool {
    let without_time =
        |one: &v1::Toleration| v1::Toleration { toleration_seconds: None, ..one.clone() };
    let kept: Vec<_> = new.tolerations.iter().flatten().map(without_time).collect();
    old.tolerations.iter().flatten().all(|one| kept.contains(&without_time(one)))
}

/// One line for the old and one for the new value of each field that differs.
fn compare(path: &str, old: Option<&Value>, new: Option<&Value>, lines: &mut Vec<String>) {
    match (old, new) {
        (old, new) if old == new => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for key in keys {
                compare(&format!("{path}.{key}"), old.get(key), new.get(key), lines);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if is_list_of_objects(old, new) => {
            for at in 0..old.len().max(new.len()) {
                compare(&format!("{path}[{at}]"), old.get(at), new.get(at), lines);
            }
        }
        (old, new) => {
            lines.extend(old.map(|value| format!("  - {path}: {value}")));
            lines.extend(new.map(|value| format!("  + {path}: {value}")));
        }
    }
}

fn is_list_of_objects(old: &[Value], new: &[Value]) -> bool {
    old.iter().chain(new).all(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Object, ParseOptions, Source};

    const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  activeDeadlineSeconds: 100
  terminationGracePeriodSeconds: -5
  tolerations: [{key: a, operator: Exists}]
  initContainers: [{name: init, image: 'i:1'}]
  containers: [{name: c, image: 'i:1', command: [sleep, '1000']}]
";

    fn pod(text: &str) -> v1::Pod {
        let source = Source { name: "pod.yaml", text };
        let options = ParseOptions { ignore_unsupported: true, ..ParseOptions::default() };
        let mut parsed = crate::parse(&source, &options).unwrap();
        let Object::Pod(pod) = parsed.objects.remove(0) else { panic!("no pod") };
        pod.object
    }

    fn between(old: &str, new: &str) -> Result<Option<PodUpdate>, String> {
        let mut former = pod(POD);
        if let Some(spec) = &mut former.spec {
            spec.node_name = Some("node".into());
        }
        let new = pod(&POD.replace(old, new));
        let change = PodUpdate::between(&former, &new).map_err(|error| error.to_string())?;
        if let Some(change) = &change {
            change.apply_to(&mut former);
            assert_eq!(PodUpdate::between(&former, &new), Ok(None), "now they are equal");
        }
        Ok(change)
    }

    #[test]
    fn the_same_manifest_changes_nothing() {
        assert_eq!(between("", ""), Ok(None));
    }

    #[test]
    fn labels_images_deadline_tolerations_and_a_negative_grace_may_change() {
        let changed = |old: &str, new: &str| between(old, new).unwrap().unwrap();
        let change = changed("{app: web}}", "{app: web, tier: front}, annotations: {a: b}}");
        assert_eq!(change.labels.unwrap().len(), 2);
        let change = changed("{name: c, image: 'i:1'", "{name: c, image: 'i:2'");
        assert_eq!(change.images, BTreeMap::from([("c".into(), "i:2".into())]));
        let change = changed("{name: init, image: 'i:1'", "{name: init, image: 'i:2'");
        assert_eq!(change.images, BTreeMap::from([("init".into(), "i:2".into())]));
        assert_eq!(changed(": 100", ": 50").active_deadline_seconds, Some(50));
        let more = changed("Exists}]", "Exists}, {key: b, operator: Exists}]");
        assert_eq!(more.tolerations.unwrap().len(), 2);
        assert_eq!(changed(": -5", ": 1").termination_grace_period_seconds, Some(1));
    }

    #[test]
    fn everything_else_is_refused_with_the_fields_that_differ() {
        let text = between("'1000'", "'2000'").unwrap_err();
        insta::assert_snapshot!(text, @r#"
        The Pod "web" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)
          - spec.containers[0].command: ["sleep","1000"]
          + spec.containers[0].command: ["sleep","2000"]
        "#);
        let text = between(": -5", ": 10").unwrap_err();
        assert!(text.ends_with(
            "\n  - spec.terminationGracePeriodSeconds: -5\n  + spec.terminationGracePeriodSeconds: 10"
        ), "{text}");
    }

    #[test]
    fn scheduling_gates_only_go() {
        let with =
            |gates: &str| POD.replace("spec:\n", &format!("spec:\n  schedulingGates: {gates}\n"));
        let change = |old: &str, new: &str| {
            PodUpdate::between(&pod(&with(old)), &pod(&with(new)))
                .map_err(|error| error.to_string())
        };
        let left = change("[{name: a}, {name: b}]", "[{name: b}]").unwrap().unwrap();
        assert_eq!(left.scheduling_gates.map(|gates| gates.len()), Some(1));
        assert!(change("[{name: a}]", "[]").unwrap().is_some());
        let refused = change("[{name: a}]", "[{name: c}]").unwrap_err();
        assert!(refused.ends_with("but found new scheduling gate 'c'"), "{refused}");
    }

    #[test]
    fn some_changes_have_an_error_of_their_own() {
        let refused = |old: &str, new: &str| between(old, new).unwrap_err();
        insta::assert_snapshot!(refused(": 100", ": 101"), @r#"
        The Pod "web" is invalid: spec.activeDeadlineSeconds: Invalid value: 101: must be less than or equal to previous value
        "#);
        insta::assert_snapshot!(refused("  activeDeadlineSeconds: 100\n", ""), @r#"
        The Pod "web" is invalid: spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value
        "#);
        insta::assert_snapshot!(refused("key: a", "key: b"), @r#"
        The Pod "web" is invalid: spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds
        "#);
        insta::assert_snapshot!(refused("'1000']}", "'1000']}, {name: d, image: 'i:1'}"), @r#"
        The Pod "web" is invalid: spec.containers: Forbidden: pod updates may not add or remove containers
        "#);
    }
}
