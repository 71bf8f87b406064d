//! The objects of the store as this process knows them, and what has happened to them of late.
//!
//! One thread follows the store; every list, watch and look-up of every client is answered from
//! memory. Before it answers, a request waits until the thread has read as far as the journal went
//! when the request came: nobody who has been told of a change is shown a state before it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use pod_api::follow::{Change, FollowError, Follower};
use pod_api::journal::{Journal, Verb, Version};
use pod_api::{Object, Places, Resource, resource};
use serde_json::Value;
use tokio::sync::watch;

use crate::respond::Failed;

/// So many changes are kept for watches that fall behind or come back.
const KEPT: usize = 10_000;
/// How long a request waits for the thread that follows the store.
const PATIENCE: Duration = Duration::from_secs(5);

/// One version of an object.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) object: Object,
    value: OnceLock<Value>,
}

impl Entry {
    pub(crate) fn new(object: Object) -> Self {
        Self { object, value: OnceLock::new() }
    }

    /// The object as JSON.
    pub(crate) fn value(&self) -> &Value {
        self.value.get_or_init(|| self.object.value())
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) version: Version,
    pub(crate) verb: Verb,
    pub(crate) entry: Arc<Entry>,
    /// The object before.
    pub(crate) previous: Option<Arc<Entry>>,
}

type Key = (Resource, String, String);

#[derive(Debug)]
struct State {
    objects: BTreeMap<Key, Arc<Entry>>,
    history: VecDeque<Happened>,
    /// How many changes came before the first one that is kept.
    forgotten: u64,
    /// Before the first one that is kept.
    since: Version,
    version: Version,
}

/// What this process knows of the store.
#[derive(Debug)]
pub(crate) struct Cache {
    state: Mutex<State>,
    journal: Journal,
    version: watch::Sender<Version>,
}

/// A place in the history, from which a watch goes on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor(u64);

impl Cache {
    /// Reads everything, and has a thread follow the store from then on.
    pub(crate) fn start(places: &Places) -> Result<Arc<Self>, FollowError> {
        let mut follower = Follower::new(places, &resource::ALL)?;
        let journal = Journal::open(places)?;
        let changes = follower.changes()?;
        let now = follower.version();
        let state = State {
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            forgotten: 0,
            since: now,
            version: now,
        };
        let (version, _) = watch::channel(now);
        let cache = Arc::new(Self { state: Mutex::new(state), journal, version });
        let mut state = cache.state();
        for change in changes {
            state.objects.insert(key(&change.object), Arc::new(Entry::new(change.object)));
        }
        drop(state);
        let followed = Arc::downgrade(&cache);
        thread::spawn(move || {
            while follower.wait(None, None).is_ok() {
                let (Some(cache), Ok(changes)) = (followed.upgrade(), follower.changes()) else {
                    return;
                };
                cache.take(changes, follower.version());
            }
        });
        Ok(cache)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, changes: Vec<Change>, version: Version) {
        let mut state = self.state();
        for change in changes {
            state.take(change, version);
        }
        state.version = version;
        drop(state);
        self.version.send_replace(version);
    }

    /// Waits until everything is known that was in the journal when this was asked.
    pub(crate) async fn catch_up(&self) -> Result<(), Failed> {
        let wanted = self.journal.version().map_err(|error| Failed::internal(&error))?;
        let mut version = self.version.subscribe();
        let caught_up = version.wait_for(|version| *version >= wanted);
        match tokio::time::timeout(PATIENCE, caught_up).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Failed::new(500, "InternalError", "the store cannot be followed")),
        }
    }

    /// The objects of a kind, by namespace and name, with the version of the whole.
    pub(crate) fn list(&self, resource: Resource) -> (Vec<Arc<Entry>>, Version) {
        let state = self.state();
        let first = (resource, String::new(), String::new());
        let found = state.objects.range(first..).take_while(|((kind, ..), _)| *kind == resource);
        (found.map(|(_, entry)| Arc::clone(entry)).collect(), state.version)
    }

    /// The object of that kind and name.
    pub(crate) fn find(
        &self,
        resource: Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Entry>> {
        let key = (resource, namespace.to_owned(), name.to_owned());
        self.state().objects.get(&key).cloned()
    }

    /// The namespaces that objects are in, with `default`.
    pub(crate) fn namespaces(&self) -> (Vec<String>, Version) {
        let state = self.state();
        let mut all: Vec<String> = state.objects.keys().map(|(_, one, _)| one.clone()).collect();
        all.push("default".to_owned());
        all.sort();
        all.dedup();
        (all, state.version)
    }

    /// Where a watch begins that has seen everything up to a version.
    pub(crate) fn after(&self, seen: Version) -> Result<Cursor, Failed> {
        let state = self.state();
        if seen < state.since {
            let (since, now) = (state.since, seen);
            let text = format!("too old resource version: {now} ({since})");
            return Err(Failed::new(410, "Expired", text));
        }
        let known = state.history.iter().take_while(|one| one.version <= seen).count();
        Ok(Cursor(state.forgotten + known as u64))
    }

    /// What has happened since then; the cursor goes on. A watch that has fallen too far behind fails.
    pub(crate) fn read(&self, cursor: &mut Cursor) -> Result<Vec<Happened>, Failed> {
        let state = self.state();
        let Some(known) = cursor.0.checked_sub(state.forgotten) else {
            return Err(Failed::new(410, "Expired", "the watch has fallen too far behind"));
        };
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let new: Vec<Happened> = state.history.iter().skip(known).cloned().collect();
        cursor.0 += new.len() as u64;
        Ok(new)
    }

    /// Tells of every new version.
    pub(crate) fn versions(&self) -> watch::Receiver<Version> {
        self.version.subscribe()
    }

    /// The version of everything that is known.
    pub(crate) fn version(&self) -> Version {
        self.state().version
    }
}

impl State {
    fn take(&mut self, change: Change, read_up_to: Version) {
        let Change { verb, object } = change;
        // What could not be written has no version of its own.
        let version = Version::of(object.metadata()).unwrap_or(read_up_to);
        let key = key(&object);
        let entry = Arc::new(Entry::new(object));
        let previous = match verb {
            Verb::Deleted => self.objects.remove(&key),
            Verb::Added | Verb::Modified => self.objects.insert(key, Arc::clone(&entry)),
        };
        if verb == Verb::Deleted && entry.object.resource() == Resource::Pod {
            self.forget_events_of(entry.object.uid().to_owned(), version);
        }
        self.remember(Happened { version, verb, entry, previous });
    }

    /// A pod's events go with it.
    fn forget_events_of(&mut self, pod: String, version: Version) {
        let is_about = |entry: &Entry| match &entry.object {
            Object::Event(event) => event.involved_object.uid.as_deref() == Some(pod.as_str()),
            _ => false,
        };
        let gone: Vec<Key> = self
            .objects
            .iter()
            .filter(|(_, entry)| is_about(entry))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            if let Some(entry) = self.objects.remove(&key) {
                let previous = Some(Arc::clone(&entry));
                self.remember(Happened { version, verb: Verb::Deleted, entry, previous });
            }
        }
    }

    fn remember(&mut self, happened: Happened) {
        self.history.push_back(happened);
        if self.history.len() > KEPT
            && let Some(oldest) = self.history.pop_front()
        {
            self.forgotten += 1;
            self.since = oldest.version;
        }
    }
}

fn key(object: &Object) -> Key {
    (object.resource(), object.namespace().to_owned(), object.name().to_owned())
}
