//! Command lines that are wrong, or that other programs would take: what to say about them.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Command, CommandFactory, Error};

use crate::cli::Cli;
use crate::failure::{Failure, Kind, near_match};
use crate::other_words::{self, NO_SUCH_KINDS};
use crate::printable::line;
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
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(failure) = other_words(&error, &words) {
        return failure;
    }
    if error.kind() == ErrorKind::MissingSubcommand {
        let mut root = Cli::command();
        root.build();
        screen::narrate(&named(&mut root, &words).render_help().to_string());
        return Failure::silent(Kind::Usage);
    }
    let error = simplified(error, &words);
    // Help goes to standard output, and was asked for; nobody is left to tell if it cannot.
    let _ = error.print();
    match error.exit_code() {
        0 => Failure::silent(Kind::Code(0)),
        _ => Failure::silent(Kind::Usage),
    }
}

/// A guess is worth something only for words of so many letters: shorter ones are near to all.
const GUESSED_FROM: usize = 5;

/// Without what is true and no help: the places that the environment names, how a word would have
/// to be written that is no option, and commands that only look a little like a short word.
fn simplified(mut error: Error, words: &[String]) -> Error {
    let strings: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, line(text))),
            _ => None,
        })
        .collect();
    for (kind, text) in strings {
        error.insert(kind, ContextValue::String(text));
    }
    if let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidSubcommand) {
        let wrong = wrong.clone();
        error.remove(ContextKind::SuggestedSubcommand);
        let mut root = Cli::command();
        root.build();
        let command = named(&mut root, words);
        let near = near_match(&wrong, command.get_subcommands().map(Command::get_name));
        if let Some(near) = near.filter(|_| wrong.chars().count() >= GUESSED_FROM) {
            let near = ContextValue::Strings(vec![near.to_owned()]);
            error.insert(ContextKind::SuggestedSubcommand, near);
        }
    }
    if error.remove(ContextKind::Usage).is_some() {
        let mut root = Cli::command();
        root.build();
        let usage = ContextValue::StyledStr(named(&mut root, words).render_usage());
        error.insert(ContextKind::Usage, usage);
    }
    if error.kind() == ErrorKind::UnknownArgument {
        error.remove(ContextKind::Suggested);
    }
    error
}

/// The command that the words name: they name it in a row, but for options between them.
fn named<'a>(root: &'a mut Command, words: &[String]) -> &'a mut Command {
    let mut command = root;
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word.starts_with('-') {
            if takes_next(command, word) {
                words.next();
            }
            continue;
        }
        // Looked for twice, because the first mutable borrow would last.
        if command.find_subcommand(word).is_none() {
            break;
        }
        command = command.find_subcommand_mut(word).unwrap_or_else(|| unreachable!());
    }
    command
}

/// Whether the word is an option whose value is the next word.
fn takes_next(command: &Command, word: &str) -> bool {
    let is_meant = |arg: &clap::Arg| match word.strip_prefix("--") {
        Some(name) => arg.get_long() == Some(name),
        None => arg.get_short().is_some_and(|short| word == format!("-{short}")),
    };
    let takes_value = |arg: &clap::Arg| arg.get_action().takes_values();
    command.get_arguments().any(|arg| is_meant(arg) && takes_value(arg))
}

/// What is another program's word for something that minipod can do.
fn other_words(error: &Error, words: &[String]) -> Option<Failure> {
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
            let hint = hint.or_else(|| instead_of_command(word, words));
            (format!("unrecognized subcommand '{}'", line(word)), hint?)
        }
        ErrorKind::UnknownArgument => {
            let word = text(ContextKind::InvalidArg)?;
            (
                format!("unexpected argument '{}' found", line(word)),
                instead_of_argument(command, word)?,
            )
        }
        _ => return None,
    };
    Some(Failure::new(Kind::Usage, text).hint(hint))
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

/// What docker, podman and kubectl call otherwise; the words behind the wrong one belong to it.
fn instead_of_command(wrong: &str, words: &[String]) -> Option<String> {
    let from = words.iter().skip_while(|word| *word != wrong);
    let from: Vec<&str> = from.map(String::as_str).take(3).collect();
    let from = if from.is_empty() { vec![wrong] } else { from };
    other_words::of_command(&from).map(str::to_owned)
}

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
        ("apply" | "create" | "delete" | "describe" | "get", "-k" | "--kustomize") => {
            format!("kubectl kustomize DIR | minipod {command} -f -")
        }
        ("create", kind) if other_words::find(NO_SUCH_KINDS, kind).is_some() => {
            other_words::find(NO_SUCH_KINDS, kind)?.to_owned()
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
        let words: Vec<String> = line.split_whitespace().skip(1).map(str::to_owned).collect();
        match other_words(&error, &words) {
            Some(failure) => failure.to_string(),
            None => simplified(error, &words).to_string(),
        }
    }

    #[test]
    fn the_words_of_other_programs_get_the_word_of_this_one() {
        for (line, hint) in [
            ("minipod ps", "minipod get pods"),
            ("minipod stop web", "minipod delete pod NAME"),
            ("minipod pod ps", "minipod get pods"),
            ("minipod pod rm web", "minipod delete pod NAME"),
            ("minipod pod inspect web", "minipod describe pod NAME"),
            ("minipod generate systemd web", "ExecStart=minipod run FILE"),
            ("minipod kube down web.yaml", "minipod delete -f FILE"),
            ("minipod install", "needs no installation"),
            ("minipod unshare", "minipod ns POD"),
            ("minipod kustomize .", "kubectl kustomize DIR | minipod apply -f -"),
            ("minipod apply -k .", "kubectl kustomize DIR | minipod apply -f -"),
            ("minipod container ls", "minipod get pods"),
            ("minipod system df", "minipod image df"),
            ("minipod system prune", "minipod image prune"),
            ("minipod volume ls", "minipod get pvc"),
            ("minipod info", "minipod doctor"),
            ("minipod login docker.io", "podman login"),
            ("minipod create deployment web --image=a", "put its pod template into a manifest"),
            ("minipod create job web --image=a", "restartPolicy: OnFailure"),
            ("minipod create service clusterip a", "there are no Services"),
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
    fn guesses_are_made_for_near_misses_of_words_that_are_long_enough() {
        for (line, guess) in
            [("minipod describ pod a", "describe"), ("minipod delte pod a", "delete")]
        {
            assert!(told(line).contains(&format!("'{guess}'")), "{}", told(line));
        }
        for line in ["minipod lod", "minipod xs", "minipod zebra-crossing", "minipod foo"] {
            assert!(!told(line).contains("tip"), "{}", told(line));
        }
    }

    #[test]
    fn a_mistaken_command_gets_its_own_usage() {
        for (line, usage) in [
            ("minipod frobnicate run", "Usage: minipod [OPTIONS] <COMMAND>"),
            ("minipod frobnicate create", "Usage: minipod [OPTIONS] <COMMAND>"),
            ("minipod -n run get pods --frob", "Usage: minipod get "),
            ("minipod get logs --frob", "Usage: minipod get "),
            ("minipod image pull --frob", "Usage: minipod image pull "),
        ] {
            assert!(told(line).contains(usage), "{line}: {}", told(line));
        }
    }

    #[test]
    fn the_usage_of_a_command_does_not_depend_on_the_environment() {
        let mut root = Cli::command();
        root.build();
        let words = ["get", "pods"].map(str::to_owned);
        let usage = named(&mut root, &words).render_usage().to_string();
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
