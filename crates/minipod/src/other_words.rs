//! What users of docker, podman and kubectl type, and what to type here. Data, in the order of the
//! words that a command line begins with; the longest entry that fits is the one that is told.

/// The words of another program, and what there is instead.
pub(crate) type Entry = (&'static str, &'static str);

const MANIFEST: &str = "write it into a manifest: minipod apply -f FILE";
const NO_WORKLOADS: &str = "minipod runs single pods, and no Deployments that could be scaled or \
                            rolled out; a changed image restarts its container: minipod apply -f FILE";
const MADE_ELSEWHERE: &str =
    "images are made elsewhere; minipod pull or minipod load -i ARCHIVE brings them";
const ONE_NODE: &str = "there is one node, this machine";
const NO_SERVICES: &str =
    "there are no Services: minipod port-forward POD PORT, or hostPort in the manifest";
const DATA: &str =
    "a claim is a directory on this machine: minipod get pvc, minipod delete pvc NAME";
const UNIT: &str = "write a unit with ExecStart=minipod run FILE; systemd stops the pod in order";

/// What other programs call otherwise.
pub(crate) const COMMANDS: &[Entry] = &[
    ("auth", "there is no API server to ask"),
    ("autoscale", NO_WORKLOADS),
    ("build", MADE_ELSEWHERE),
    ("certificate", "there is no API server to ask"),
    ("commit", MADE_ELSEWHERE),
    ("compose", MANIFEST),
    ("config", "there is no cluster; minipod doctor tells what this machine allows"),
    ("api-versions", "there is no cluster; minipod api-resources shows what there is"),
    ("cluster-info", "there is no cluster; minipod doctor tells what this machine allows"),
    ("context", "there is no cluster; minipod doctor tells what this machine allows"),
    ("container", "minipod describe pod NAME shows the containers of a pod"),
    ("container exec", "minipod exec POD -c CONTAINER -- COMMAND"),
    ("container inspect", "minipod get pod NAME -o yaml"),
    ("container logs", "minipod logs POD -c CONTAINER"),
    ("container ls", "minipod get pods"),
    ("container ps", "minipod get pods"),
    ("container prune", "minipod delete pods -l LABELS, or minipod delete pods --all"),
    ("container rm", "minipod delete pod NAME"),
    ("container stop", "minipod delete pod NAME"),
    ("cordon", ONE_NODE),
    ("debug", "minipod exec -it POD -- sh"),
    ("diff", "minipod apply -f FILE --dry-run=server tells whether anything would change"),
    ("down", "minipod delete -f FILE"),
    ("drain", ONE_NODE),
    ("edit", "change the manifest, then minipod apply -f FILE"),
    ("export", "minipod save -o ARCHIVE IMAGE"),
    ("expose", NO_SERVICES),
    ("generate", "minipod get pod NAME -o yaml shows the manifest of a pod"),
    ("generate systemd", UNIT),
    (
        "healthcheck",
        "write livenessProbe or readinessProbe into the manifest; minipod describe pod NAME",
    ),
    ("history", "minipod image inspect IMAGE"),
    ("import", "minipod load -i ARCHIVE"),
    ("info", "minipod doctor tells what this machine allows, minipod version the version"),
    ("init", "minipod needs no preparation; minipod doctor tells what this machine allows"),
    ("inspect", "minipod describe pod NAME, or minipod get pod NAME -o yaml"),
    (
        "install",
        "minipod is one program and needs no installation; minipod apply -f FILE creates pods",
    ),
    ("kill", "minipod delete pod NAME --force"),
    ("kube", "minipod run FILE, or minipod apply -f FILE"),
    ("kube apply", "minipod apply -f FILE"),
    ("kube down", "minipod delete -f FILE"),
    ("kube generate", "minipod get pod NAME -o yaml"),
    ("kube play", "minipod run FILE, or minipod apply -f FILE"),
    ("kustomize", "kubectl kustomize DIR | minipod apply -f -"),
    ("list", "minipod get pods"),
    ("login", "minipod uses what podman login, docker login and skopeo login have stored"),
    ("logout", "minipod uses what podman login, docker login and skopeo login have stored"),
    ("ls", "minipod get pods"),
    ("machine", "minipod runs on Linux, in no virtual machine of its own"),
    ("mount", "minipod cp POD:/PATH DIR, or minipod exec POD -- COMMAND"),
    ("network", "each pod has its address on the bridge: minipod get pods -o wide, minipod ns POD"),
    ("patch", "change the manifest, then minipod apply -f FILE"),
    ("pause", "minipod does not stop pods for a while; minipod delete pod NAME ends one"),
    ("play", "minipod run FILE, or minipod apply -f FILE"),
    ("play kube", "minipod run FILE, or minipod apply -f FILE"),
    ("pod", "minipod get pods"),
    ("pod create", MANIFEST),
    ("pod inspect", "minipod describe pod NAME, or minipod get pod NAME -o yaml"),
    ("pod kill", "minipod delete pod NAME --force"),
    ("pod logs", "minipod logs POD --all-containers"),
    ("pod ls", "minipod get pods"),
    ("pod ps", "minipod get pods"),
    ("pod prune", "minipod delete pods -l LABELS, or minipod delete pods --all"),
    ("pod rm", "minipod delete pod NAME"),
    ("pod start", "minipod run FILE, or minipod apply -f FILE"),
    ("pod stats", "minipod top pod"),
    ("pod stop", "minipod delete pod NAME"),
    ("pod top", "minipod top pod"),
    ("port", "minipod get pods -o wide shows addresses, minipod describe pod NAME shows ports"),
    ("proxy", NO_SERVICES),
    ("ps", "minipod get pods"),
    ("push", MADE_ELSEWHERE),
    ("remove", "minipod delete pod NAME"),
    ("replace", "change the manifest, then minipod apply -f FILE, or minipod run --replace FILE"),
    ("restart", "minipod delete pod NAME, then minipod apply -f FILE"),
    ("rm", "minipod delete pod NAME"),
    ("rollout", NO_WORKLOADS),
    ("scale", NO_WORKLOADS),
    ("search", "minipod pull IMAGE; a registry's own pages tell what it has"),
    ("secret", "minipod get secrets, minipod create secret generic NAME --from-literal=KEY=VALUE"),
    ("set", "change the manifest, then minipod apply -f FILE"),
    ("shell", "minipod exec -it POD -- sh"),
    ("start", "minipod run FILE, or minipod apply -f FILE"),
    ("stats", "minipod top pod"),
    ("stop", "minipod delete pod NAME"),
    ("system", "minipod doctor tells what this machine allows"),
    ("system df", "minipod image df"),
    ("system info", "minipod doctor tells what this machine allows"),
    ("system prune", "minipod image prune removes images; minipod delete pods --all removes pods"),
    ("tag", MADE_ELSEWHERE),
    ("taint", ONE_NODE),
    ("uncordon", ONE_NODE),
    ("uninstall", "minipod delete pods -A --all, then remove the program"),
    ("unpause", "minipod does not stop pods for a while"),
    (
        "unshare",
        "minipod exec POD -- COMMAND runs in a pod's namespaces; minipod ns POD shows them",
    ),
    ("up", "minipod run FILE, or minipod apply -f FILE"),
    ("update", "change the manifest, then minipod apply -f FILE"),
    ("volume", DATA),
    ("volume create", "write a PersistentVolumeClaim into a manifest: minipod apply -f FILE"),
    ("volume ls", "minipod get pvc"),
    ("volume rm", "minipod delete pvc NAME"),
];

/// Kinds that `create KIND` makes in a cluster and that minipod takes from no manifest either.
pub(crate) const NO_SUCH_KINDS: &[Entry] = &[
    ("clusterrole", "there is no API server that anybody had to be allowed to ask"),
    ("clusterrolebinding", "there is no API server that anybody had to be allowed to ask"),
    (
        "cronjob",
        "minipod runs single pods: put its pod template into a manifest of kind Pod, and minipod run FILE into cron",
    ),
    ("deployment", "minipod runs single pods: put its pod template into a manifest of kind Pod"),
    ("ingress", NO_SERVICES),
    ("job", "minipod runs single pods: a manifest of kind Pod with restartPolicy: OnFailure"),
    ("namespace", "a namespace need not be created: -n NAME, or metadata.namespace"),
    ("ns", "a namespace need not be created: -n NAME, or metadata.namespace"),
    ("pod", "write it into a manifest: minipod create -f FILE"),
    ("poddisruptionbudget", ONE_NODE),
    ("priorityclass", "a pod's priority decides nothing on one machine"),
    ("pvc", "write it into a manifest: minipod create -f FILE"),
    ("quota", "limits stand in the manifest of each pod: resources"),
    ("role", "there is no API server that anybody had to be allowed to ask"),
    ("rolebinding", "there is no API server that anybody had to be allowed to ask"),
    ("service", NO_SERVICES),
    ("serviceaccount", "there is no API server that anybody had to be allowed to ask"),
    ("token", "there is no API server that anybody had to be allowed to ask"),
];

/// The entry for the longest run of words, if there is one.
pub(crate) fn of_command(words: &[&str]) -> Option<&'static str> {
    (1..=words.len()).rev().find_map(|count| find(COMMANDS, &words[..count].join(" ")))
}

/// The entry with these words.
pub(crate) fn find(entries: &[Entry], words: &str) -> Option<&'static str> {
    entries.iter().find(|(known, _)| *known == words).map(|(_, instead)| *instead)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn the_longest_entry_that_fits_is_told() {
        assert_eq!(of_command(&["pod", "rm", "web"]), Some("minipod delete pod NAME"));
        assert_eq!(of_command(&["pod", "xyz"]), Some("minipod get pods"));
        assert_eq!(of_command(&["zebra", "ps"]), None);
    }

    #[test]
    fn what_is_told_begins_with_commands_that_there_are() {
        let root = Cli::command();
        for (words, instead) in COMMANDS.iter().chain(NO_SUCH_KINDS) {
            for (at, _) in instead.match_indices("minipod ") {
                let rest: Vec<&str> = instead[at..].split_whitespace().take(3).collect();
                let name = rest[1].trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-');
                let is_prose = ["runs", "uses", "does", "is", "needs", "version"].contains(&name);
                let found = root.find_subcommand(name);
                assert!(is_prose || found.is_some(), "{words}: {name}");
                let below = found.filter(|one| one.has_subcommands());
                if let (Some(below), Some(second)) = (below, rest.get(2))
                    && ["image"].contains(&name)
                {
                    let second = second.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                    assert!(below.find_subcommand(second).is_some(), "{words}: {name} {second}");
                }
            }
            let first = words.split(' ').next().unwrap_or_default();
            let is_command = COMMANDS.iter().any(|one| one.0 == *words);
            assert!(!is_command || root.find_subcommand(first).is_none(), "{words} is one of ours");
        }
    }
}
