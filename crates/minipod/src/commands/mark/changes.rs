//! What the words of `label` and `annotate` say: `KEY=VALUE` sets, `KEY-` removes.

use std::collections::{BTreeMap, BTreeSet};

use pod_model::{label_key, label_value};

use super::Mark;
use crate::failure::{Failure, Kind};

/// The words that name objects, and those that say what changes, which come last.
pub(super) fn split(words: &[String], mark: Mark) -> Result<(Vec<String>, Vec<String>), Failure> {
    let is_change = |word: &String| {
        (word.contains('=') && !word.starts_with('=')) || (word.ends_with('-') && word != "-")
    };
    let first = words.iter().position(is_change).unwrap_or(words.len());
    let (objects, changes) = words.split_at(first);
    if let Some(late) = changes.iter().find(|word| !is_change(word)) {
        let noun = mark.noun();
        let text = format!("all resources must be specified before {noun} changes: {late}");
        return Err(Failure::new(Kind::Usage, text));
    }
    Ok((objects.to_vec(), changes.to_vec()))
}

/// What is set and what is removed.
#[derive(Debug)]
pub(super) struct Changes {
    mark: Mark,
    set: BTreeMap<String, String>,
    removed: BTreeSet<String>,
    overwrites: bool,
}

impl Changes {
    /// Reads and checks the changes.
    pub(super) fn parse(words: &[String], mark: Mark, overwrites: bool) -> Result<Self, Failure> {
        let mut changes = Self { mark, set: BTreeMap::new(), removed: BTreeSet::new(), overwrites };
        for word in words {
            if let Some((key, value)) = word.split_once('=') {
                changes.check_format(word, (key, value))?;
                changes.set.insert(key.to_owned(), value.to_owned());
            } else {
                let key = word.strip_suffix('-').unwrap_or(word);
                changes.removed.insert(key.to_owned());
            }
        }
        let both: Vec<&str> = changes
            .removed
            .iter()
            .filter(|key| changes.set.contains_key(*key))
            .map(String::as_str)
            .collect();
        if both.is_empty() {
            return Ok(changes);
        }
        let text = match mark {
            Mark::Label => "can not both modify and remove a label in the same command".to_owned(),
            Mark::Annotation => format!(
                "can not both modify and remove the following annotation(s) in the same command: {}",
                both.join(", ")
            ),
        };
        Err(Failure::new(Kind::Usage, text))
    }

    fn check_format(&self, word: &str, (key, value): (&str, &str)) -> Result<(), Failure> {
        let noun = self.mark.noun();
        let wrong = |what: &str, problems: Vec<String>| {
            let text = format!("invalid {noun} {what}: {word:?}: {}", problems.join(";"));
            if problems.is_empty() { Ok(()) } else { Err(Failure::new(Kind::Usage, text)) }
        };
        match self.mark {
            Mark::Label => {
                wrong("key", label_key(key))?;
                wrong("value", label_value(value))
            }
            Mark::Annotation => wrong("key", label_key(&key.to_lowercase())),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        self.mark
    }

    pub(super) fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }

    /// That nothing gets another value unless that is wanted.
    pub(super) fn check(&self, former: &BTreeMap<String, String>) -> Result<(), Failure> {
        if self.overwrites {
            return Ok(());
        }
        let taken = self.set.keys().filter_map(|key| Some((key, former.get(key)?)));
        let taken: Vec<String> =
            taken.map(|(key, value)| format!("'{key}' already has a value ({value})")).collect();
        if taken.is_empty() {
            return Ok(());
        }
        let text = match self.mark {
            Mark::Label => {
                let each = taken.iter().map(|one| format!("{one}, and --overwrite is false"));
                each.collect::<Vec<_>>().join(", ")
            }
            Mark::Annotation => format!(
                "--overwrite is false but found the following declared annotation(s): {}",
                taken.join("; ")
            ),
        };
        Err(Failure::new(Kind::Failed, text))
    }

    pub(super) fn applied_to(&self, former: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut changed = former.clone();
        changed.retain(|key, _| !self.removed.contains(key));
        changed.extend(self.set.clone());
        changed
    }

    /// What became of an object, in kubectl's words.
    pub(super) fn verb(
        &self,
        former: &BTreeMap<String, String>,
        changed: &BTreeMap<String, String>,
    ) -> &'static str {
        match self.mark {
            Mark::Annotation => "annotated",
            Mark::Label if former == changed => "not labeled",
            Mark::Label if changed.len() < former.len() && !self.overwrites => "unlabeled",
            Mark::Label => "labeled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn told(text: &str, mark: Mark) -> String {
        match Changes::parse(&words(text), mark, false) {
            Ok(changes) => changes.check(&former()).unwrap_err().to_string(),
            Err(failure) => failure.to_string(),
        }
    }

    fn former() -> BTreeMap<String, String> {
        [("app", "web"), ("tier", "front")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn objects_come_before_changes() {
        let (objects, changes) = split(&words("pod web a=b c- d="), Mark::Label).unwrap();
        assert_eq!((objects, changes), (words("pod web"), words("a=b c- d=")));
        let late = split(&words("pod a=b web"), Mark::Label).unwrap_err().to_string();
        assert_eq!(late, "error: all resources must be specified before label changes: web\n");
    }

    #[test]
    fn a_label_is_set_or_removed_and_kubectl_says_which() {
        for (text, overwrites, verb, wanted) in [
            ("new=x", false, "labeled", "app=web new=x tier=front"),
            ("app=db", true, "labeled", "app=db tier=front"),
            ("tier-", false, "unlabeled", "app=web"),
            ("none-", false, "not labeled", "app=web tier=front"),
            ("tier- new=", false, "labeled", "app=web new="),
        ] {
            let changes = Changes::parse(&words(text), Mark::Label, overwrites).unwrap();
            assert!(changes.check(&former()).is_ok());
            let changed = changes.applied_to(&former());
            assert_eq!(changes.verb(&former(), &changed), verb, "{text}");
            let changed: Vec<String> = changed.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(changed.join(" "), wanted);
        }
    }

    #[test]
    fn what_cannot_be_is_told_in_kubectls_words() {
        for (text, wanted) in [
            ("app=db", "'app' already has a value (web), and --overwrite is false\n"),
            ("a=b a-", "can not both modify and remove a label in the same command\n"),
            ("a=b/c", "invalid label value: \"a=b/c\": a valid label must be "),
            ("-a=b", "invalid label key: \"-a=b\": "),
        ] {
            let told = told(text, Mark::Label);
            assert!(told.starts_with(&format!("error: {wanted}")), "{told}");
        }
        assert_eq!(
            told("app=db tier=x", Mark::Annotation),
            "error: --overwrite is false but found the following declared annotation(s): 'app' already has a value (web); 'tier' already has a value (front)\n"
        );
        assert_eq!(
            told("app=a/b app-", Mark::Annotation),
            "error: can not both modify and remove the following annotation(s) in the same command: app\n"
        );
    }
}
