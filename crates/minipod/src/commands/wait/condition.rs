//! What `wait --for` waits for, and whether it can still come true.

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};

use crate::failure::{Failure, Kind};
use crate::views::jsonpath::{Template, plain};
use columns::pods::is_abandoned;

/// What is waited for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    /// `condition=NAME[=VALUE]`
    Status { name: String, value: String },
    /// `jsonpath=TEMPLATE[=VALUE]`
    JsonPath { template: Template, value: Option<String> },
    /// The pod is gone.
    Delete,
    /// The pod is there.
    Create,
}

/// How it looks for one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    NotYet,
    /// It can no longer come true; why.
    Never(String),
}

impl Condition {
    /// Reads what stands behind `--for=`.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        match text.to_lowercase().as_str() {
            "delete" => return Ok(Self::Delete),
            "create" => return Ok(Self::Create),
            _ => {}
        }
        if let Some(rest) = text.strip_prefix("condition=") {
            let (name, value) = rest.split_once('=').unwrap_or((rest, "true"));
            if !name.is_empty() && !value.is_empty() {
                return Ok(Self::Status { name: name.to_owned(), value: value.to_owned() });
            }
        }
        if let Some(rest) = text.strip_prefix("jsonpath=") {
            let (path, value) = split_path(rest.trim_matches('\''));
            check_path(path)?;
            let template =
                Template::parse_relaxed(path).map_err(|error| Failure::of(Kind::Usage, &error))?;
            let value = value.map(|value| value.trim_matches(['\'', '"']).to_owned());
            if value.as_ref().is_some_and(|value| value.is_empty() || value.starts_with('=')) {
                return Err(Failure::new(
                    Kind::Usage,
                    "jsonpath wait format must be --for=jsonpath='{.status.phase}'=Running or --for=jsonpath='{.status.podIP}'",
                ));
            }
            return Ok(Self::JsonPath { template, value });
        }
        Err(Failure::new(Kind::Usage, format!("unrecognized condition: {text:?}"))
            .hint("condition=Ready, jsonpath='{.status.phase}'=Running, delete or create"))
    }

    /// How it looks for a pod that is there.
    pub(super) fn verdict(&self, pod: &Pod) -> Result<Verdict, Failure> {
        let is_met = match self {
            Self::Delete => return Ok(Verdict::NotYet),
            Self::Create => true,
            Self::Status { name, value } => has_condition(pod, name, value),
            Self::JsonPath { template, value } => {
                let object = serde_json::to_value(pod).unwrap_or_default();
                let found = template.values(&object)?;
                match value {
                    None => !found.is_empty(),
                    Some(value) => found.iter().any(|one| plain(one) == *value),
                }
            }
        };
        if is_met {
            return Ok(Verdict::Met);
        }
        Ok(self.hopeless(pod).map_or(Verdict::NotYet, Verdict::Never))
    }

    /// Why it can no longer come true, if so.
    fn hopeless(&self, pod: &Pod) -> Option<String> {
        if is_abandoned(pod) {
            return Some("its supervisor died".to_owned());
        }
        let status = pod.status.as_ref()?;
        match status.phase.as_deref() {
            Some("Succeeded") => return Some("it has completed".to_owned()),
            Some("Failed") => return Some(failed(status)),
            _ => {}
        }
        let Self::Status { name, value } = self else {
            return None;
        };
        let needs_all = ["ready", "containersready"].contains(&name.to_lowercase().as_str());
        let is_ready_wanted = needs_all && value.eq_ignore_ascii_case("true");
        is_ready_wanted.then(|| ended_for_good(pod.spec.as_ref()?, status))?
    }
}

/// Why a pod can no longer become Ready, if so.
pub(in crate::commands) fn never_ready(pod: &Pod) -> Option<String> {
    Condition::Status { name: "Ready".to_owned(), value: "True".to_owned() }.hopeless(pod)
}

/// One path, in braces or not, as kubectl takes it. Anything else would find nothing, and be
/// waited for in vain: `{.status.phase}!=Pending`, `{=True}`, `{}`.
fn check_path(path: &str) -> Result<(), Failure> {
    let wrong = || {
        let text = "unexpected path string, expected a 'name1.name2' or '.name1.name2' or \
                    '{name1.name2}' or '{.name1.name2}'";
        Failure::new(Kind::Usage, text).hint("--for=jsonpath='{.status.phase}'=Running")
    };
    let bare = match path.strip_prefix('{') {
        Some(rest) => rest.strip_suffix('}').ok_or_else(wrong)?,
        None => path,
    };
    let mut depth = 0_usize;
    let is_odd = |one: char| {
        match one {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        matches!(one, '{' | '}') || depth == 0 && matches!(one, '=' | '!' | '<' | '>' | ' ')
    };
    let is_empty = bare.trim_matches(['.', '$', '@']).is_empty();
    if is_empty || bare.chars().any(is_odd) { Err(wrong()) } else { Ok(()) }
}

/// `{.a}=b`, `'{.a}'=b`, `.a=b`: path and value.
fn split_path(text: &str) -> (&str, Option<&str>) {
    let text = text.trim_matches('\'');
    if !text.starts_with('{') {
        return text.split_once('=').map_or((text, None), |(path, value)| (path, Some(value)));
    }
    let end = text.find("}=").or_else(|| text.find("}'=")).map_or(text.len(), |end| end + 1);
    let value = text[end..].trim_start_matches('\'').strip_prefix('=');
    (&text[..end], value)
}

fn has_condition(pod: &Pod, name: &str, value: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions
        .filter(|one| one.type_.eq_ignore_ascii_case(name))
        .any(|one| one.status.eq_ignore_ascii_case(value))
}

fn failed(status: &PodStatus) -> String {
    match status.reason.as_deref().filter(|reason| !reason.is_empty()) {
        Some(reason) => format!("it has failed ({reason})"),
        None => "it has failed".to_owned(),
    }
}

/// A main container that has ended and is not started again keeps the pod from being ready.
fn ended_for_good(spec: &PodSpec, status: &PodStatus) -> Option<String> {
    let of_pod = spec.restart_policy.as_deref().unwrap_or("Always");
    let is_restarted = |container: &Container, code: i32| {
        let policy = container.restart_policy.as_deref().unwrap_or(of_pod);
        container.restart_policy_rules.is_some()
            || policy == "Always"
            || policy == "OnFailure" && code != 0
    };
    let ended = spec.containers.iter().find_map(|container| {
        let statuses = status.container_statuses.iter().flatten();
        let own = statuses.into_iter().find(|one| one.name == container.name)?;
        let code = own.state.as_ref()?.terminated.as_ref()?.exit_code;
        (!is_restarted(container, code)).then_some((&container.name, code))
    });
    ended.map(|(name, code)| {
        format!("container {name} has exited with code {code} and is not restarted")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn verdict(condition: &str, pod: Value) -> Verdict {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        Condition::parse(condition).unwrap().verdict(&pod).unwrap()
    }

    fn pod(policy: &str, phase: &str, code: Option<i32>) -> Value {
        let state = match code {
            Some(code) => json!({"terminated": {"exitCode": code}}),
            None => json!({"running": {}}),
        };
        json!({
            "metadata": {"name": "p"},
            "spec": {"restartPolicy": policy, "containers": [{"name": "a"}]},
            "status": {
                "phase": phase,
                "conditions": [{"type": "Ready", "status": "False"}, {"type": "Initialized", "status": "True"}],
                "containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]
            }
        })
    }

    #[test]
    fn what_could_never_be_met_is_refused_at_once() {
        for condition in [
            "jsonpath={.status.phase}!=Pending",
            "jsonpath={=True}",
            "jsonpath={=True",
            "jsonpath={}=x",
            "jsonpath={.}=x",
            "jsonpath==x",
            "jsonpath={.status.phase}==Running",
            "jsonpath={.status.phase}=",
            "jsonpath=.status.phase!=Pending",
            "jsonpath={.a}{.b}=x",
            "jsonpath=a b",
            "condition=",
            "condition==True",
            "condition=Ready=",
        ] {
            let told = Condition::parse(condition).map_err(|failure| failure.to_string());
            assert!(
                told.is_err_and(|told| told.contains("  try: ") || told.contains("must be")),
                "{condition}"
            );
        }
    }

    #[test]
    fn a_condition_is_met_not_yet_or_never() {
        let never = |why: &str| Verdict::Never(why.to_owned());
        let ended = "container a has exited with code 0 and is not restarted";
        for (condition, pod, wanted) in [
            ("condition=Initialized", pod("Always", "Running", None), Verdict::Met),
            ("condition=initialized=TRUE", pod("Always", "Running", None), Verdict::Met),
            ("condition=Ready=False", pod("Always", "Running", None), Verdict::Met),
            ("condition=Ready", pod("Always", "Running", None), Verdict::NotYet),
            ("condition=Ready", pod("Always", "Running", Some(0)), Verdict::NotYet),
            ("condition=Ready", pod("OnFailure", "Running", Some(1)), Verdict::NotYet),
            ("condition=Ready", pod("OnFailure", "Running", Some(0)), never(ended)),
            ("condition=Ready", pod("Never", "Running", Some(0)), never(ended)),
            ("condition=Ready", pod("Never", "Failed", Some(1)), never("it has failed")),
            ("condition=Ready", pod("Never", "Succeeded", Some(0)), never("it has completed")),
            ("jsonpath={.status.phase}=Running", pod("Never", "Running", None), Verdict::Met),
            ("jsonpath='{.status.phase}'=Running", pod("Never", "Running", None), Verdict::Met),
            ("jsonpath=.status.phase=Failed", pod("Never", "Running", None), Verdict::NotYet),
            (
                "jsonpath={.status.phase}=Failed",
                pod("Never", "Succeeded", None),
                never("it has completed"),
            ),
            ("jsonpath={.status.podIP}", pod("Never", "Running", None), Verdict::NotYet),
            ("jsonpath={.metadata.name}", pod("Never", "Running", None), Verdict::Met),
            (
                "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}=False",
                pod("Never", "Running", None),
                Verdict::Met,
            ),
            ("create", pod("Never", "Running", None), Verdict::Met),
            ("delete", pod("Never", "Failed", None), Verdict::NotYet),
        ] {
            assert_eq!(verdict(condition, pod), wanted, "{condition}");
        }
        assert!(
            Condition::parse("ready").unwrap_err().to_string().contains("unrecognized condition")
        );
    }
}
