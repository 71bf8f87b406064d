//! Rules about fields that decide where and in what order a cluster runs pods. They mean nothing on
//! one machine, and a manifest that breaks them would be refused by a cluster all the same.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PodSpec, Toleration};

use super::findings::Findings;
use super::formats;
use super::path::Path;

/// Readiness and scheduling gates.
pub(super) fn check_gates(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    for (at, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let field = path.child("readinessGates").index(at).child("conditionType");
        let text = &gate.condition_type;
        findings.invalid_each(&field, text, &formats::label_key(text));
    }
    let mut names = BTreeSet::new();
    for (at, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let field = path.child("schedulingGates").index(at);
        findings.invalid_each(&field, &gate.name, &formats::label_key(&gate.name));
        if !names.insert(gate.name.as_str()) {
            findings.duplicate(&field, &gate.name);
        }
    }
}

pub(super) fn check_tolerations(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    for (at, one) in spec.tolerations.iter().flatten().enumerate() {
        check_toleration(one, &path.index(at), findings);
    }
}

fn check_toleration(one: &Toleration, path: &Path, findings: &mut Findings) {
    let key = one.key.as_deref().unwrap_or_default();
    let operator = one.operator.as_deref().unwrap_or_default();
    let value = one.value.as_deref().unwrap_or_default();
    if !key.is_empty() {
        findings.invalid_each(&path.child("key"), key, &formats::label_key(key));
    }
    if key.is_empty() && operator != "Exists" {
        let why = "operator must be Exists when `key` is empty, which means \"match all values and \
            all keys\"";
        findings.invalid(&path.child("operator"), operator, why);
    }
    let effect = one.effect.as_deref().unwrap_or_default();
    if one.toleration_seconds.is_some() && effect != "NoExecute" {
        let why = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        findings.invalid(&path.child("effect"), effect, why);
    }
    match operator {
        "" | "Equal" => {
            findings.invalid_each(&path.child("operator"), value, &formats::label_value(value));
        }
        "Exists" if !value.is_empty() => {
            let why = "value must be empty when `operator` is 'Exists'";
            findings.invalid(&path.child("operator"), operator, why);
        }
        _ => {}
    }
    let words = ["Equal", "Exists", "Gt", "Lt"];
    findings.maybe_one_of(&path.child("operator"), one.operator.as_ref(), &words);
    let words = ["NoExecute", "NoSchedule", "PreferNoSchedule"];
    let stated = one.effect.as_ref().filter(|effect| !effect.is_empty());
    findings.maybe_one_of(&path.child("effect"), stated, &words);
}

/// Priorities, and which runtime is asked for.
pub(super) fn check_priority(spec: &PodSpec, path: &Path, findings: &mut Findings) {
    for (field, name) in [
        ("priorityClassName", &spec.priority_class_name),
        ("runtimeClassName", &spec.runtime_class_name),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            findings.invalid_each(&path.child(field), name, &formats::subdomain(name));
        }
    }
    let words = ["PreemptLowerPriority", "Never"];
    let policy = path.child("preemptionPolicy");
    findings.maybe_one_of(&policy, spec.preemption_policy.as_ref(), &words);
}
