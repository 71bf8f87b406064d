//! Rules about how a single container is restarted.

use k8s_openapi::api::core::v1::Container;

use super::findings::Findings;
use super::path::Path;

const MOST_RULES: usize = 20;
const MOST_CODES: usize = 255;

pub(super) fn check(container: &Container, path: &Path, findings: &mut Findings) {
    let policy = path.child("restartPolicy");
    let words = ["Always", "Never", "OnFailure"];
    findings.maybe_one_of(&policy, container.restart_policy.as_ref(), &words);
    let rules = container.restart_policy_rules.as_deref().unwrap_or_default();
    if !rules.is_empty() && container.restart_policy.is_none() {
        findings.required(&policy, "must specify restartPolicy when restart rules are used");
    }
    let list = path.child("restartPolicyRules");
    if rules.len() > MOST_RULES {
        findings.too_many(&list, rules.len(), MOST_RULES);
    }
    for (at, rule) in rules.iter().enumerate() {
        let path = list.index(at);
        findings.one_of(&path.child("action"), &rule.action, &["Restart", "RestartAllContainers"]);
        let path = path.child("exitCodes");
        let Some(codes) = &rule.exit_codes else {
            findings.required(&path, "must be specified");
            continue;
        };
        findings.one_of(&path.child("operator"), &codes.operator, &["In", "NotIn"]);
        let count = codes.values.iter().flatten().count();
        if count > MOST_CODES {
            findings.too_many(&path.child("values"), count, MOST_CODES);
        }
    }
}
