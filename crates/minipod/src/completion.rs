//! What a shell offers when the user presses the tabulator: names that exist.
//!
//! The shell starts `minipod -- WORDS…` with `COMPLETE` set; the words tell where to look.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use clap_complete::CompletionCandidate;
use image_puller::Store;
use pod_api::pods::FoundPod;
use pod_api::{Api, Places, Pods, Selection, Settings, containers};
use pod_runner::LinuxMachine;

use crate::printable;
use pod_api::resource::{self, Resource};

/// Kinds and pods, as `get` and `delete` take them; behind a kind, the names of its objects.
pub(crate) fn kinds_and_objects(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = Words::of_this_process();
    let mut named = resource::ALL.into_iter().filter(|kind| *kind != Resource::Event);
    if let Some(kind) = named.find(|kind| words.mentions(kind.names())) {
        return starting_with(current, words.names_of(kind));
    }
    let kinds = resource::ALL.map(|kind| kind.plural().to_owned());
    let pods = words.names_of(Resource::Pod);
    let all = kinds.into_iter().chain(pods.iter().map(|name| format!("pod/{name}")));
    starting_with(current, all.collect())
}

/// Names of pods; behind a pod, names of its containers.
pub(crate) fn pods_and_containers(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = Words::of_this_process();
    let pods = words.pods();
    let all = match pods.iter().find(|found| words.mentions(&[found.name()])) {
        Some(found) => containers::names_in_start_order(&found.pod),
        None => pods.iter().map(|found| found.name().to_owned()).collect(),
    };
    starting_with(current, all)
}

/// Names of pods.
pub(crate) fn pods(current: &OsStr) -> Vec<CompletionCandidate> {
    let pods = Words::of_this_process().pods();
    starting_with(current, pods.iter().map(|found| found.name().to_owned()).collect())
}

/// Names of the containers of the pod that is named on the command line, else of all pods.
pub(crate) fn containers(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = Words::of_this_process();
    let mut pods = words.pods();
    if let Some(at) = pods.iter().position(|found| words.mentions(&[found.name()])) {
        pods = vec![pods.swap_remove(at)];
    }
    let mut all: Vec<String> =
        pods.iter().flat_map(|found| containers::names_in_start_order(&found.pod)).collect();
    all.sort();
    all.dedup();
    starting_with(current, all)
}

/// Images in the store.
pub(crate) fn images(current: &OsStr) -> Vec<CompletionCandidate> {
    let directory = Words::of_this_process().places().images();
    // A store that is not there must not be made, which opening it would do.
    let store = directory.is_dir().then(|| Store::open(&directory).ok()).flatten();
    let images = store.and_then(|store| store.list().ok());
    starting_with(current, images.into_iter().flatten().flat_map(|image| image.names).collect())
}

fn starting_with(current: &OsStr, all: Vec<String>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    // A shell would print it as it is, and nobody wants to type it.
    let fitting = all
        .into_iter()
        .filter(|one| one.starts_with(&*current) && !one.contains(printable::is_obeyed));
    fitting.map(CompletionCandidate::new).collect()
}

/// The command line so far.
struct Words {
    words: Vec<OsString>,
}

impl Words {
    fn of_this_process() -> Self {
        let words = std::env::args_os().skip_while(|word| word != "--").skip(2).collect();
        Self { words }
    }

    fn mentions(&self, names: &[&str]) -> bool {
        let finished = &self.words[..self.words.len().saturating_sub(1)];
        let is_named = |word: &OsString| {
            let word = word.to_string_lossy();
            names.contains(&word.strip_prefix("pod/").unwrap_or(&word))
        };
        finished.iter().any(is_named)
    }

    /// The value of an option: of its flag, else of its variable.
    fn option(&self, flags: &[&str], variable: &str) -> Option<OsString> {
        for (at, word) in self.words.iter().enumerate() {
            let text = word.to_string_lossy();
            if flags.contains(&&*text) {
                return self.words.get(at + 1).cloned();
            }
            let with_value = flags.iter().find_map(|flag| text.strip_prefix(&format!("{flag}=")));
            if let Some(value) = with_value {
                return Some(value.into());
            }
        }
        std::env::var_os(variable)
    }

    fn places(&self) -> Places {
        let default = Places::default();
        let place = |flag: &str, variable: &str, default: PathBuf| {
            self.option(&[flag], variable).map_or(default, PathBuf::from)
        };
        Places {
            state: place("--state-dir", "MINIPOD_STATE_DIR", default.state),
            data: place("--data-dir", "MINIPOD_DATA_DIR", default.data),
            logs: place("--log-dir", "MINIPOD_LOG_DIR", default.logs),
        }
    }

    fn namespace(&self) -> OsString {
        self.option(&["-n", "--namespace"], "").unwrap_or_else(|| "default".into())
    }

    fn api(&self) -> Api {
        let settings = Settings { places: self.places(), ..Settings::of_this_machine() };
        Api::new(settings, Arc::new(LinuxMachine))
    }

    fn names_of(&self, kind: Resource) -> Vec<String> {
        let namespace = self.namespace();
        let all = self.api().list(kind, &Selection::default()).unwrap_or_default();
        let here = all.iter().filter(|object| OsStr::new(object.namespace()) == namespace);
        here.map(|object| object.name().to_owned()).collect()
    }

    fn pods(&self) -> Vec<FoundPod> {
        let namespace = self.namespace();
        let mut found = Pods::new(&self.places()).list().unwrap_or_default();
        found.retain(|found| OsStr::new(found.namespace()) == namespace);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_so_far_tell_where_to_look() {
        let words = ["logs", "pod/web", "--state-dir", "/s", "--log-dir=/l", "-c", "w"];
        let words = Words { words: words.map(OsString::from).to_vec() };
        assert!(words.mentions(&["web"]));
        assert!(!words.mentions(&["w"]), "that word is not finished");
        let places = words.places();
        assert_eq!((places.state, places.logs), ("/s".into(), "/l".into()));
    }
}
