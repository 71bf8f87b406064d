//! Command lines that are wrong, or that other programs would take: what to say about them.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command, CommandFactory, Error};

use crate::cli::Cli;
use crate::failure::{Failure, Kind};
use crate::resource::is_manifest;
use crate::screen;

/// Commands that take a manifest without saying so.
const TAKE_MANIFESTS: [&str; 3] = ["run", "validate", "plan"];

/// The command line in the form that is documented: flags that kubectl takes as `--watch=true` are
/// `--watch`, those that are `=false` are left out, and so is `-f` before the manifest of a command
/// that takes nothing else. What stands behind `--` is somebody else's.
pub(crate) fn plain(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let words: Vec<OsString> = words.into_iter().collect();
    if !words.iter().any(|word| may_be_changed(&word.to_string_lossy())) {
        return words;
    }
    let root = Cli::command();
    let mut command = &root;
    let mut is_ours = true;
    let mut plain = Vec::new();
    for word in words {
        let text = word.to_str().unwrap_or_default();
        is_ours &= text != "--";
        if let Some(found) = command.find_subcommand(text).filter(|_| is_ours) {
            command = found;
        }
        let takes_manifests = is_ours && TAKE_MANIFESTS.contains(&command.get_name());
        let file = text.strip_prefix("--filename=").filter(|_| takes_manifests);
        match (flag(command, text).filter(|_| is_ours), file) {
            (Some((name, true)), _) => plain.push(format!("--{name}").into()),
            (Some((_, false)), _) => {}
            (_, Some(file)) => plain.push(file.into()),
            _ if takes_manifests && matches!(text, "-f" | "--filename") => {}
            _ => plain.push(word),
        }
    }
    plain
}

fn may_be_changed(word: &str) -> bool {
    let is_flag = word.ends_with("=true") || word.ends_with("=false");
    is_flag || word == "-f" || word.starts_with("--filename")
}

/// A flag with its value, if the word is one and the command knows it.
fn flag<'a>(command: &Command, word: &'a str) -> Option<(&'a str, bool)> {
    let (name, value) = word.strip_prefix("--")?.split_once('=')?;
    let is_flag = |arg: &clap::Arg| {
        arg.get_long() == Some(name) && matches!(arg.get_action(), ArgAction::SetTrue)
    };
    let value = value.parse().ok()?;
    command.get_arguments().any(is_flag).then_some((name, value))
}

/// What there is to say about a command line that makes no sense.
pub(crate) fn explained(error: Error) -> Failure {
    if let Some(failure) = other_words(&error) {
        return failure;
    }
    if error.kind() == ErrorKind::MissingSubcommand {
        let mut root = Cli::command();
        root.build();
        screen::narrate(&named(&mut root, std::env::args().skip(1)).render_help().to_string());
        return Failure::silent(Kind::Usage);
    }
    let error = simplified(error);
    // Help goes to standard output, and was asked for; nobody is left to tell if it cannot.
    let _ = error.print();
    match error.exit_code() {
        0 => Failure::silent(Kind::Code(0)),
        _ => Failure::silent(Kind::Usage),
    }
}

/// Without what is true and no help: the places that the environment names, and how a word would
/// have to be written that is no option.
fn simplified(mut error: Error) -> Error {
    if error.remove(ContextKind::Usage).is_some() {
        let mut root = Cli::command();
        root.build();
        let words = std::env::args().skip(1);
        let usage = ContextValue::StyledStr(named(&mut root, words).render_usage());
        error.insert(ContextKind::Usage, usage);
    }
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    error
}

/// The command that the words name.
fn named(root: &mut Command, words: impl Iterator<Item = String>) -> &mut Command {
    words.fold(root, |command, word| {
        // Looked for twice, because the first mutable borrow would last.
        match command.find_subcommand(&word) {
            Some(_) => command.find_subcommand_mut(&word).unwrap_or_else(|| unreachable!()),
            None => command,
        }
    })
}

/// What is another program's word for something that minipod can do.
fn other_words(error: &Error) -> Option<Failure> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let usage = error.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
    let command = usage.split_whitespace().nth(2).unwrap_or_default();
    let (text, hint) = match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand)?;
            let hint = instead_of_argument(command, word);
            let hint = hint.or_else(|| instead_of(word).map(str::to_owned));
            (format!("unrecognized subcommand '{word}'"), hint?)
        }
        ErrorKind::UnknownArgument => {
            let word = text(ContextKind::InvalidArg)?;
            (format!("unexpected argument '{word}' found"), instead_of_argument(command, word)?)
        }
        _ => return None,
    };
    Some(Failure::new(Kind::Usage, text).hint(hint))
}

/// What docker, podman and kubectl call otherwise.
fn instead_of(command: &str) -> Option<&'static str> {
    Some(match command {
        "ps" | "ls" | "list" => "minipod get pods",
        "rm" | "stop" | "kill" | "down" | "remove" => "minipod delete pod NAME",
        "restart" => "minipod delete pod NAME, then minipod apply -f FILE",
        "start" | "up" | "play" | "kube" => "minipod run FILE, or minipod apply -f FILE",
        "inspect" => "minipod describe pod NAME, or minipod get pod NAME -o yaml",
        "stats" => "minipod top pod",
        "edit" | "patch" | "replace" | "set" => "change the manifest, then minipod apply -f FILE",
        "scale" | "rollout" | "autoscale" => {
            "minipod runs single pods, and no Deployments that could be scaled or rolled out; a \
             changed image restarts its container: minipod apply -f FILE"
        }
        "expose" | "proxy" => {
            "there are no Services: minipod port-forward POD PORT, or hostPort in the manifest"
        }
        "diff" => "minipod apply -f FILE --dry-run=server tells whether anything would change",
        "cordon" | "uncordon" | "drain" | "taint" => "there is one node, this machine",
        "auth" | "certificate" => "there is no API server to ask",
        "debug" | "shell" => "minipod exec -it POD -- sh",
        "build" | "commit" | "tag" | "push" => {
            "images are made elsewhere; minipod pull or minipod load -i ARCHIVE brings them"
        }
        "import" => "minipod load -i ARCHIVE",
        "export" => "minipod save -o ARCHIVE IMAGE",
        "login" => "minipod uses what podman login, docker login and skopeo login have stored",
        "config" | "cluster-info" | "context" | "api-versions" => {
            "there is no cluster; minipod doctor tells what this machine allows"
        }
        _ => return None,
    })
}

/// Options of `docker run`, `podman run` and `kubectl run` that say what to run.
const DESCRIBED_BY_MANIFESTS: [&str; 15] = [
    "-i",
    "-t",
    "-p",
    "-v",
    "-e",
    "--image",
    "--name",
    "--volume",
    "--env",
    "--publish",
    "--port",
    "--interactive",
    "--tty",
    "--restart",
    "--command",
];

/// What other programs take as arguments of commands of that name.
fn instead_of_argument(command: &str, word: &str) -> Option<String> {
    let is_option = word.starts_with('-');
    Some(match (command, word) {
        ("run", option) if DESCRIBED_BY_MANIFESTS.contains(&option) => {
            "minipod runs a manifest, which names images, ports, volumes and variables: minipod \
             run FILE"
                .to_owned()
        }
        ("apply" | "create", "--validate") => {
            "manifests are always validated in full; minipod validate FILE does nothing else"
                .to_owned()
        }
        ("create", "pod" | "deployment" | "job" | "pvc" | "service") => {
            "write it into a manifest: minipod create -f FILE".to_owned()
        }
        ("create", "namespace" | "ns") => {
            "a namespace need not be created: -n NAME, or metadata.namespace".to_owned()
        }
        ("apply" | "create", _) if !is_option && is_manifest(word) => {
            format!("minipod {command} -f {word}")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn told(line: &str) -> String {
        let words = line.split_whitespace().map(OsString::from);
        let error = Cli::try_parse_from(plain(words)).unwrap_err();
        match other_words(&error) {
            Some(failure) => failure.to_string(),
            None => simplified(error).to_string(),
        }
    }

    #[test]
    fn the_words_of_other_programs_get_the_word_of_this_one() {
        for (line, hint) in [
            ("minipod ps", "minipod get pods"),
            ("minipod stop web", "minipod delete pod NAME"),
            ("minipod run -it busybox -- sh", "minipod run FILE"),
            ("minipod run web --image=nginx", "minipod run FILE"),
            ("minipod apply web.yaml", "minipod apply -f web.yaml"),
            ("minipod create namespace dev", "-n NAME"),
            ("minipod create web.yaml", "minipod create -f web.yaml"),
            ("minipod apply -f web.yaml --validate=false", "minipod validate FILE"),
            ("minipod scale deploy/web --replicas=3", "minipod runs single pods"),
            ("minipod rollout status deploy/web", "minipod runs single pods"),
            ("minipod expose pod web --port=80", "there are no Services"),
        ] {
            let told = told(line);
            assert!(told.starts_with("error: un") && told.contains("  try: "), "{told}");
            assert!(told.contains(hint), "{told}");
        }
    }

    #[test]
    fn an_unknown_option_is_not_proposed_as_a_value() {
        assert!(!told("minipod get pods --chunk-size").contains("tip"));
        assert!(told("minipod get pods --outptu wide").contains("--output"));
    }

    #[test]
    fn the_usage_of_a_command_does_not_depend_on_the_environment() {
        let mut root = Cli::command();
        root.build();
        let words = ["get", "pods"].map(str::to_owned).into_iter();
        let usage = named(&mut root, words).render_usage().to_string();
        assert_eq!(usage, "Usage: minipod get [OPTIONS] [KIND [NAME]]...");
    }

    #[test]
    fn options_are_taken_as_kubectl_takes_them() {
        let taken = |line: &str| {
            let words = plain(line.split_whitespace().map(OsString::from));
            words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
        };
        for (line, expected) in [
            ("minipod get pods --watch=false -o wide", "minipod get pods -o wide"),
            ("minipod get pods --all-namespaces=true", "minipod get pods --all-namespaces"),
            ("minipod delete pod a --wait=false", "minipod delete pod a --wait=false"),
            ("minipod exec a --tty=true -- b --tty=true", "minipod exec a --tty -- b --tty=true"),
            ("minipod run -f web.yaml --rm", "minipod run web.yaml --rm"),
            ("minipod validate --filename=a --filename b", "minipod validate a b"),
            ("minipod apply -f web.yaml", "minipod apply -f web.yaml"),
            ("minipod logs -f web", "minipod logs -f web"),
            ("minipod get pods --watch=maybe", "minipod get pods --watch=maybe"),
        ] {
            assert_eq!(taken(line), expected);
        }
    }
}
