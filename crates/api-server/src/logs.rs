//! `log`: what a container writes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use pod_api::log_stream::{LogOptions, LogStream};
use pod_api::pods::FoundPod;
use pod_api::watch::Watcher;
use pod_api::{Object, Resource, containers, log_instance};
use tokio::sync::mpsc;

use crate::request::Query;
use crate::respond::{Answer, Failed, stream};
use crate::server::Shared;

/// How often the container's state is looked at while its log says nothing.
const LOOKS_AGAIN: Duration = Duration::from_millis(200);

/// Answers with the log, and goes on with it if that is asked for.
pub(crate) fn answer(
    shared: &Arc<Shared>,
    found: FoundPod,
    query: &Query,
) -> Result<Answer, Failed> {
    let container = container_of(&found, query.get("container"))?;
    let instance = log_instance::choose(&found.pod, &container, query.is_true("previous"))?;
    let options = options(query)?;
    let places = shared.api.places().clone();
    let mut log = LogStream::new(&places, &found, &container, &instance, &options);
    let follows = query.is_true("follow") && !query.is_true("previous");
    let (answer, sender) = stream("text/plain");
    let shared = Arc::clone(shared);
    tokio::task::spawn_blocking(move || {
        let _ = if follows {
            follow(&shared, &found, (&container, &instance), &mut log, &sender)
        } else {
            send(&mut log, &sender)
        };
    });
    Ok(answer)
}

/// The container that is named, or the only one.
pub(crate) fn container_of(found: &FoundPod, stated: Option<&str>) -> Result<String, Failed> {
    let name = found.name();
    let names = containers::names(&found.pod);
    let is_default = stated.is_none() && names.len() > 1;
    let choice = containers::choose(&found.pod, stated).map_err(|_| {
        let stated = stated.unwrap_or_default();
        Failed::bad_request(format!("container {stated} is not valid for pod {name}"))
    })?;
    let mains = found.pod.spec.as_ref().map_or(0, |spec| spec.containers.len());
    if is_default && mains > 1 {
        let list = names.join(" ");
        let text =
            format!("a container name must be specified for pod {name}, choose one of: [{list}]");
        return Err(Failed::bad_request(text));
    }
    Ok(choice.0)
}

fn options(query: &Query) -> Result<LogOptions, Failed> {
    let number = |name: &str| match query.get(name) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| {
            Failed::bad_request(format!("{name}: Invalid value: {text:?}: must be a number"))
        }),
    };
    let ago = number("sinceSeconds")?.map(|seconds| {
        let seconds = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        Timestamp::now().checked_sub(seconds).unwrap_or(Timestamp::MIN)
    });
    let date = match query.get("sinceTime") {
        None => None,
        Some(text) => Some(text.parse::<Timestamp>().map_err(|error| {
            Failed::bad_request(format!("sinceTime: Invalid value: {text:?}: {error}"))
        })?),
    };
    Ok(LogOptions {
        tail: number("tailLines")?.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX)),
        since: ago.or(date),
        limit_bytes: number("limitBytes")?,
        timestamps: query.is_true("timestamps"),
        prefix: false,
    })
}

/// That nobody listens any more.
struct Gone;

impl From<std::io::Error> for Gone {
    /// A log that cannot be read any more has come to its end.
    fn from(_: std::io::Error) -> Self {
        Self
    }
}

fn send(log: &mut LogStream, sender: &mpsc::Sender<Bytes>) -> Result<(), Gone> {
    log.read(|text| sender.blocking_send(Bytes::copy_from_slice(text)).map_err(|_| Gone))
}

fn follow(
    shared: &Shared,
    found: &FoundPod,
    (container, instance): (&str, &log_instance::Instance),
    log: &mut LogStream,
    sender: &mpsc::Sender<Bytes>,
) -> Result<(), Gone> {
    let watcher = Watcher::new();
    loop {
        if let Some(directory) = log.path().parent() {
            let _ = watcher.add(directory); // not there, then nothing will come
        }
        let _ = watcher.add(log.path()); // the same
        // What is known of the container comes before its log is read, so that nothing is missed.
        let now = shared.cache.find(Resource::Pod, found.namespace(), found.name());
        let now = now.filter(|entry| entry.object.uid() == found.uid());
        let has_ended = now.is_none_or(|entry| match &entry.object {
            Object::Pod(pod) => log_instance::has_ended(pod, container, instance),
            _ => true,
        });
        send(log, sender)?;
        if has_ended || log.is_exhausted() || sender.is_closed() {
            return Ok(());
        }
        let _ = watcher.wait(None, Some(std::time::Instant::now() + LOOKS_AGAIN))?;
    }
}
