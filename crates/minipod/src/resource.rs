//! How a command line names kinds and objects.

use pod_api::resource::{ALL, Resource};

use crate::failure::{Failure, Kind, near_match};

/// The kind of that name, in any of the forms that kubectl takes.
pub(crate) fn of_word(word: &str) -> Result<Resource, Failure> {
    if let Some(known) = Resource::of_word(word) {
        return Ok(known);
    }
    let name = word.to_lowercase();
    let text = format!("the server doesn't have a resource type \"{word}\"");
    // Short words are near to `po` and `cm`, whatever they mean.
    let is_long = name.chars().count() >= 5;
    let near = || near_match(&name, ALL.iter().flat_map(|one| one.names()).copied());
    let hint = match of_a_cluster(&name) {
        Some(hint) => hint.to_owned(),
        None if is_manifest(&name) => format!("-f {word}"),
        None => match near().filter(|_| is_long) {
            Some(near) => format!("did you mean {near}?"),
            None => ALL.map(Resource::plural).join(", "),
        },
    };
    Err(Failure::new(Kind::Usage, text).hint(hint))
}

/// What there is instead of something that only a cluster has.
fn of_a_cluster(name: &str) -> Option<&'static str> {
    Some(match name {
        "node" | "nodes" | "no" => "there is one node, this machine: minipod doctor shows it",
        "service" | "services" | "svc" | "endpoints" | "ep" | "ingress" | "ingresses" | "ing" => {
            "there are no services; minipod get pods -o wide shows the addresses of pods"
        }
        "namespace" | "namespaces" | "ns" => "minipod get pods -A shows all namespaces",
        "deployment" | "deployments" | "deploy" | "replicaset" | "replicasets" | "rs"
        | "statefulset" | "statefulsets" | "sts" | "daemonset" | "daemonsets" | "ds" | "job"
        | "jobs" | "cronjob" | "cronjobs" | "cj" => "minipod runs pods only: minipod get pods",
        "persistentvolume" | "persistentvolumes" | "pv" | "storageclass" | "storageclasses"
        | "sc" => "a claim is a directory on this machine: minipod get pvc",
        "serviceaccount" | "serviceaccounts" | "sa" => "there is no API server to talk to",
        "container" | "containers" => "minipod describe pod NAME shows the containers of a pod",
        "image" | "images" => "minipod images",
        "crd" | "crds" | "customresourcedefinition" | "customresourcedefinitions" => {
            "there is no API server; minipod api-resources shows the kinds that there are"
        }
        _ => return None,
    })
}

/// Whether a word is more likely a file than anything else.
pub(crate) fn is_manifest(word: &str) -> bool {
    word.contains('/') || [".yaml", ".yml", ".json"].iter().any(|end| word.ends_with(end))
}

/// Objects of one kind: those of these names, or all when no name is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) resource: Resource,
    pub(crate) names: Vec<String>,
    /// Where they are, if it is somewhere else than the command line says.
    pub(crate) namespace: Option<String>,
}

/// What the words of a command line name: `pods`, `pod web db`, `pod/web secret/key`,
/// `pods,configmaps`.
pub(crate) fn parse(words: &[String]) -> Result<Vec<Named>, Failure> {
    let Some(first) = words.first() else {
        return Err(Failure::new(Kind::Usage, "You must specify the type of resource.")
            .hint("pods, events, configmaps, secrets or persistentvolumeclaims"));
    };
    if words.iter().any(|word| word.contains('/')) {
        return slashed(words);
    }
    let kinds = first.split(',').map(of_word).collect::<Result<Vec<_>, _>>()?;
    let named = |resource| Named { resource, names: words[1..].to_vec(), namespace: None };
    Ok(kinds.into_iter().map(named).collect())
}

fn slashed(words: &[String]) -> Result<Vec<Named>, Failure> {
    let mut found: Vec<Named> = Vec::new();
    for word in words {
        let Some((kind, name)) = word.split_once('/') else {
            return Err(Failure::new(
                Kind::Usage,
                "there is no need to specify a resource type as a separate argument when passing \
                 arguments in resource/name form",
            )
            .hint("pod/NAME, or pod NAME"));
        };
        if name.is_empty() || name.contains('/') {
            let text = "arguments in resource/name form must have a single resource and name";
            return Err(Failure::new(Kind::Usage, text));
        }
        let resource = of_word(kind)?;
        match found.iter_mut().find(|known| known.resource == resource) {
            Some(known) => known.names.push(name.to_owned()),
            None => {
                found.push(Named { resource, names: vec![name.to_owned()], namespace: None });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Vec<(Resource, String)>, String> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let named = parse(&words).map_err(|failure| failure.to_string())?;
        Ok(named.into_iter().map(|one| (one.resource, one.names.join("+"))).collect())
    }

    #[test]
    fn objects_are_named_as_kubectl_lets_one_name_them() {
        use Resource::{ConfigMap, Pod, Secret};
        for (words, wanted) in [
            ("po", vec![(Pod, "")]),
            ("pod web db", vec![(Pod, "web+db")]),
            ("pod/web pods/db secret/key", vec![(Pod, "web+db"), (Secret, "key")]),
            ("pods,cm", vec![(Pod, ""), (ConfigMap, "")]),
        ] {
            let wanted = wanted.into_iter().map(|(kind, names)| (kind, names.to_owned())).collect();
            assert_eq!(parsed(words), Ok(wanted), "{words}");
        }
        for (word, hint) in [
            ("nodes", "minipod doctor"),
            ("svc", "addresses of pods"),
            ("deploy", "minipod get pods"),
            ("web.yaml", "-f web.yaml"),
            ("zebras", "pods, events"),
        ] {
            let told = parsed(word).unwrap_err();
            assert!(told.contains(hint), "{told}");
        }
        assert!(parsed("secretz").unwrap_err().contains("did you mean secret?"));
        for word in ["foo", "podz", "crd"] {
            assert!(!parsed(word).unwrap_err().contains("did you mean"), "{word}");
        }
        assert!(parsed("pod web/").unwrap_err().contains("no need to specify"));
    }
}
