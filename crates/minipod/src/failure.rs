//! How a command fails: what is printed, what the shell gets.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use pod_api::text::words;
use pod_api::{ApiError, Resource};

use crate::screen;

/// Why a command ends without success; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The pod failed, or anything that has no code of its own.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// The manifest is not valid.
    Manifest,
    /// This host cannot do it.
    Host,
    /// There is no such pod, container or image.
    NotFound,
    /// The time given was not enough.
    TimedOut,
    /// The user interrupted it.
    Interrupted,
    /// SIGTERM ended it.
    Terminated,
    /// A code that a program in a container ended with, or one of 125, 126, 127.
    Code(u8),
}

impl Kind {
    /// The exit code of that kind.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Manifest => 3,
            Self::Host => 4,
            Self::NotFound => 5,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
            Self::Terminated => 143,
            Self::Code(code) => code,
        }
    }
}

/// Who says so, where Kubernetes' users would hear it: it decides how the text begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The command itself.
    Command,
    /// The API server, with the reason that it gives, such as `NotFound`.
    Server(&'static str),
    /// The API server, of an object that it does not accept; the text says all of it.
    Verdict,
}

/// A failure with everything that is to be said about it.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    origin: Origin,
    text: String,
    causes: Vec<String>,
    hint: Option<String>,
}

impl Failure {
    /// A failure that is a sentence of its own.
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        let (text, causes) = (words(&text.into()), Vec::new());
        Self { kind, origin: Origin::Command, text, causes, hint: None }
    }

    /// What Kubernetes' API server would answer, with its reason.
    pub(crate) fn server(kind: Kind, reason: &'static str, text: impl Into<String>) -> Self {
        Self { origin: Origin::Server(reason), ..Self::new(kind, text) }
    }

    /// That an object is not accepted: `The Pod "web" is invalid: …`.
    pub(crate) fn invalid(kind: Kind, text: impl Into<String>) -> Self {
        Self { origin: Origin::Verdict, ..Self::new(kind, text) }
    }

    /// A failure without a word: what there is to say has been said.
    pub(crate) fn silent(kind: Kind) -> Self {
        Self::new(kind, "")
    }

    /// An error with its causes.
    pub(crate) fn of(kind: Kind, error: &dyn Error) -> Self {
        let mut failure = Self::new(kind, error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            failure.causes.push(words(&error.to_string()));
            cause = error.source();
        }
        // A transparent error repeats its cause.
        failure.causes.dedup();
        if failure.causes.first() == Some(&failure.text) {
            failure.causes.remove(0);
        }
        failure
    }

    /// What the API answers, with the way out that there is here.
    fn of_api(error: &ApiError) -> Self {
        let text = error.message.clone();
        let about = error.details.as_ref();
        let command = |rest: &str| {
            about.map(|it| format!("minipod delete {} {}{rest}", it.resource.singular(), it.name))
        };
        match error.reason {
            "NotFound" => Self::server(Kind::NotFound, error.reason, text),
            "AlreadyExists" => {
                Self::server(Kind::Failed, error.reason, text).maybe_hint(command(""))
            }
            "Conflict" => Self::server(Kind::Failed, error.reason, text)
                .maybe_hint(command(", then apply again")),
            "Invalid" => {
                let is_pod = about.is_some_and(|it| it.resource == Resource::Pod);
                let again = command(", then apply again").filter(|_| is_pod);
                Self::invalid(Kind::Failed, text).maybe_hint(again)
            }
            "BadRequest" => Self::new(Kind::Failed, text),
            _ => Self::of(Kind::Failed, error),
        }
    }

    /// Adds the way out.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the way out, where there is one.
    #[must_use]
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// The same without the way out.
    pub(crate) fn without_hint(self) -> Self {
        Self { hint: None, ..self }
    }

    /// The same in other words, if there are any for its kind.
    pub(crate) fn reworded(self, words: impl FnOnce(Kind) -> Option<String>) -> Self {
        match words(self.kind) {
            Some(text) => Self { text, origin: Origin::Command, ..self },
            None => self,
        }
    }

    /// The same of an object from that file, if it is the API server's answer.
    #[must_use]
    pub(crate) fn when_creating(self, file: &str) -> Self {
        match self.origin {
            Origin::Server(_) => {
                let text = format!("error when creating \"{file}\": {}", self.text);
                Self { text, ..self }
            }
            Origin::Command | Origin::Verdict => self,
        }
    }

    /// Tells all failures but the last, which is for whoever called: the errors of one object do
    /// not stop the others.
    pub(crate) fn told_but_last(mut failures: Vec<Self>) -> Result<(), Self> {
        let last = failures.pop();
        failures.iter().for_each(|failure| screen::narrate(&failure.to_string()));
        last.map_or(Ok(()), Err)
    }

    /// What the shell gets.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind.code())
    }

    /// Whether there is anything to print.
    pub(crate) fn is_silent(&self) -> bool {
        self.text.is_empty()
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        match (&error as &(dyn Error + 'static)).downcast_ref::<ApiError>() {
            Some(error) => Self::of_api(error),
            None => Self::of(Kind::Failed, &error),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Server(reason) => writeln!(f, "Error from server ({reason}): {}", self.text)?,
            Origin::Command => writeln!(f, "error: {}", self.text)?,
            Origin::Verdict => writeln!(f, "{}", self.text)?,
        }
        for cause in &self.causes {
            writeln!(f, "  because: {cause}")?;
        }
        match &self.hint {
            Some(hint) => writeln!(f, "  try: {hint}"),
            None => Ok(()),
        }
    }
}

/// The one of the known names that is closest to a wrong one, if any is close.
pub(crate) fn near_match<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = wrong.chars().count() / 3 + 1;
    known
        .into_iter()
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many characters have to be added, removed or changed (Levenshtein distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_causes_and_the_way_out() {
        let error = std::io::Error::from_raw_os_error(13);
        assert_eq!(Failure::of(Kind::Host, &error).to_string(), "error: Permission denied\n");
        let error = std::io::Error::other("disk on fire");
        let failure = Failure::of(Kind::Host, &error).hint("put it out");
        assert_eq!(failure.to_string(), "error: disk on fire\n  try: put it out\n");
    }

    #[test]
    fn a_failure_begins_as_kubectl_begins_it() {
        let exists = || Failure::server(Kind::Failed, "AlreadyExists", "pods \"a\" already exists");
        assert_eq!(
            exists().when_creating("a.yaml").to_string(),
            "Error from server (AlreadyExists): error when creating \"a.yaml\": pods \"a\" already exists\n"
        );
        let invalid = Failure::invalid(Kind::Failed, "The Pod \"a\" is invalid: spec: Forbidden");
        let invalid = invalid.when_creating("a.yaml").to_string();
        assert_eq!(invalid, "The Pod \"a\" is invalid: spec: Forbidden\n");
        let full = Failure::new(Kind::Failed, "no space").when_creating("a.yaml").to_string();
        assert_eq!(full, "error: no space\n");
    }

    #[test]
    fn a_near_match_is_found_only_when_it_is_near() {
        let known = ["kubia-init", "kubia-ssl", "web"];
        assert_eq!(near_match("kubia-int", known), Some("kubia-init"));
        assert_eq!(near_match("wep", known), Some("web"));
        assert_eq!(near_match("database", known), None);
    }
}
