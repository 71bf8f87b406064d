//! Watches: what there is, and then every change, as long as the client listens.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pod_api::Selection;
use pod_api::journal::{Verb, Version};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::cache::{Cache, Cursor, Entry};
use crate::kinds::{Kind, Source};
use crate::request::Query;
use crate::respond::{Answer, Failed, stream};
use crate::table::{self, Form};

/// How a watch without a limit ends: not at all.
const FOR_EVER: Duration = Duration::from_hours(24 * 365);
/// How often a client that wants bookmarks gets one while nothing happens.
const BOOKMARK_AFTER: Duration = Duration::from_mins(1);

/// A watch that was asked for.
pub(crate) struct Watch {
    pub(crate) cache: Arc<Cache>,
    pub(crate) kind: &'static Kind,
    pub(crate) meant: Selection,
    pub(crate) form: Form,
}

/// Where a watch begins.
enum Start {
    /// With everything there is.
    Everything { is_marked: bool },
    /// After a version.
    After(Cursor),
}

impl Watch {
    /// Answers with the stream of changes. `others` are the objects of a kind that is not stored.
    pub(crate) fn answer(self, query: &Query, others: Vec<Value>) -> Result<Answer, Failed> {
        let start = self.start(query)?;
        let limit = query.get("timeoutSeconds").and_then(|text| text.parse().ok());
        let deadline = Instant::now() + limit.map_or(FOR_EVER, Duration::from_secs);
        let with_bookmarks = query.is_true("allowWatchBookmarks");
        let (answer, sender) = stream("application/json");
        tokio::spawn(async move {
            // Who does not listen any more needs no end.
            let _ = self.run(start, others, (deadline, with_bookmarks), &sender).await;
        });
        Ok(answer)
    }

    fn start(&self, query: &Query) -> Result<Start, Failed> {
        let is_marked = query.is_true("sendInitialEvents");
        if is_marked && query.get("resourceVersionMatch") != Some("NotOlderThan") {
            return Err(Failed::new(
                422,
                "Invalid",
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: \
                 sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            ));
        }
        match query.get("resourceVersion") {
            None | Some("0") => Ok(Start::Everything { is_marked }),
            Some(_) if is_marked => Ok(Start::Everything { is_marked }),
            Some(text) => {
                let version: Version = text.parse().map_err(|_| {
                    Failed::bad_request(format!("invalid resource version: {text:?}"))
                })?;
                self.cache.after(version).map(Start::After)
            }
        }
    }

    async fn run(
        self,
        start: Start,
        others: Vec<Value>,
        (deadline, with_bookmarks): (Instant, bool),
        sender: &mpsc::Sender<Bytes>,
    ) -> Result<(), mpsc::error::SendError<Bytes>> {
        let mut versions = self.cache.versions();
        versions.mark_unchanged();
        let mut cursor = match start {
            Start::After(cursor) => cursor,
            Start::Everything { is_marked } => {
                let (entries, version) = self.entries();
                for entry in entries {
                    sender.send(self.line(Verb::Added, entry.value(), Some(&entry))).await?;
                }
                for value in &others {
                    sender.send(self.line(Verb::Added, value, None)).await?;
                }
                if is_marked {
                    sender.send(self.bookmark(version, true)).await?;
                }
                match self.cache.after(version) {
                    Ok(cursor) => cursor,
                    Err(failed) => return sender.send(error_line(&failed)).await,
                }
            }
        };
        loop {
            match self.cache.read(&mut cursor) {
                Err(failed) => return sender.send(error_line(&failed)).await,
                Ok(happened) => {
                    for one in happened {
                        let line = self.change(one.verb, &one.entry, one.previous.as_ref());
                        if let Some(line) = line {
                            sender.send(line).await?;
                        }
                    }
                }
            }
            tokio::select! {
                changed = versions.changed() => if changed.is_err() {
                    return Ok(());
                },
                () = sleep_until(deadline) => return Ok(()),
                () = sender.closed() => return Ok(()),
                () = tokio::time::sleep(BOOKMARK_AFTER), if with_bookmarks => {
                    sender.send(self.bookmark(self.cache.version(), false)).await?;
                }
            }
        }
    }

    fn entries(&self) -> (Vec<Arc<Entry>>, Version) {
        match self.kind.source {
            Source::Stored(resource) => {
                let (mut entries, version) = self.cache.list(resource);
                entries.retain(|entry| self.meant.matches(&entry.object));
                (entries, version)
            }
            _ => (Vec::new(), self.cache.version()),
        }
    }

    /// The line of a change, if it is about an object that is meant: one that no longer is, is gone
    /// for this watch, and one that is from now on is new.
    fn change(&self, verb: Verb, entry: &Entry, previous: Option<&Arc<Entry>>) -> Option<Bytes> {
        let Source::Stored(resource) = self.kind.source else {
            return None;
        };
        if entry.object.resource() != resource {
            return None;
        }
        let was_meant = previous.is_some_and(|previous| self.meant.matches(&previous.object));
        let is_meant = verb != Verb::Deleted && self.meant.matches(&entry.object);
        let verb = match (was_meant, is_meant) {
            (false, false) => return None,
            (false, true) => Verb::Added,
            (true, true) => Verb::Modified,
            (true, false) => Verb::Deleted,
        };
        Some(self.line(verb, entry.value(), Some(entry)))
    }

    fn line(&self, verb: Verb, value: &Value, entry: Option<&Entry>) -> Bytes {
        let object = entry.map(|entry| &entry.object);
        let shown = table::one(self.form, self.kind, value, object);
        line(verb.name(), &shown)
    }

    fn bookmark(&self, version: Version, is_first: bool) -> Bytes {
        let mut metadata =
            json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
        if is_first {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = json!({"kind": self.kind.name, "apiVersion": "v1", "metadata": metadata});
        let shown = match self.form {
            Form::Objects => object,
            Form::Metadata => table::metadata(&object),
            _ => {
                let row = json!({"cells": [], "object": table::metadata(&object)});
                table::table(self.kind, vec![row], &version.to_string())
            }
        };
        line("BOOKMARK", &shown)
    }
}

fn line(kind: &str, object: &Value) -> Bytes {
    (json!({"type": kind, "object": object}).to_string() + "\n").into()
}

fn error_line(failed: &Failed) -> Bytes {
    line("ERROR", failed.status())
}
