//! `logs`: what containers wrote, from files, whether they run or not.

mod follow;

use jiff::{SignedDuration, Timestamp};
use pod_api::log_stream::{LogOptions, LogStream};
use pod_api::pods::FoundPod;
use pod_api::{ApiError, Pods, containers, log_instance};

use super::places;
use crate::cli::{LogsArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::{screen, selection};
use pod_api::selectors::LabelSelector;

/// With a selector, only so many lines of each log unless told otherwise.
const TAIL_WITH_SELECTOR: i64 = 10;

pub(crate) fn run(args: &PlaceArgs, logs: &LogsArgs) -> Result<(), Failure> {
    let options = Options::new(logs)?;
    let pods = Pods::new(&places(args));
    let wanted = wanted(args, logs, &pods)?;
    if logs.follow {
        let (count, most) = (wanted.len(), logs.max_log_requests);
        if count > most {
            let text = format!(
                "you are attempting to follow {count} log streams, but maximum allowed concurrency \
                 is {most}, use --max-log-requests to increase the limit"
            );
            return Err(Failure::new(Kind::Usage, text));
        }
        return follow::run(args, wanted, &options);
    }
    for (found, container) in &wanted {
        match show(args, found, container, &options) {
            Err(failure) if logs.ignore_errors && !failure.is_silent() => {
                screen::narrate(&failure.to_string());
            }
            shown => shown?,
        }
    }
    Ok(())
}

fn show(
    args: &PlaceArgs,
    found: &FoundPod,
    container: &str,
    options: &Options<'_>,
) -> Result<(), Failure> {
    let instance = log_instance::choose(&found.pod, container, options.logs.previous)
        .map_err(|error| cannot_show(error, found))?;
    let mut stream = LogStream::new(&places(args), found, container, &instance, &options.shown);
    if !stream.exists() {
        let id = instance.container_id;
        return screen::answer(&format!("unable to retrieve container logs for {id}"));
    }
    stream.read(screen::answer_bytes)
}

/// The error, with the way out for a container that has not run yet.
fn cannot_show(error: ApiError, found: &FoundPod) -> Failure {
    let hint = format!("minipod describe pod {}, or logs -f to wait", found.name());
    let hint = log_instance::is_waiting(&error).then_some(hint);
    Failure::from(error).maybe_hint(hint)
}

/// What is to be shown of each log.
struct Options<'a> {
    logs: &'a LogsArgs,
    shown: LogOptions,
}

impl<'a> Options<'a> {
    fn new(logs: &'a LogsArgs) -> Result<Self, Failure> {
        let usage = |text: &str| Err(Failure::new(Kind::Usage, text));
        if logs.since.is_some() && logs.since_time.is_some() {
            return usage("at most one of `sinceTime` or `sinceSeconds` may be specified");
        }
        if logs.limit_bytes == Some(0) {
            return usage("--limit-bytes must be greater than 0");
        }
        let tail = logs.tail.unwrap_or(match logs.selector {
            Some(_) => TAIL_WITH_SELECTOR,
            None => -1,
        });
        if tail < -1 {
            return usage("--tail must be greater than or equal to -1");
        }
        if logs.selector.is_some() && !logs.what.is_empty() {
            return usage("only a selector (-l) or a POD name is allowed");
        }
        let since = match (&logs.since, &logs.since_time) {
            (Some(since), _) => {
                let seconds = SignedDuration::from_secs_f64(since.as_secs_f64().round());
                Timestamp::now().checked_sub(seconds).ok()
            }
            (None, Some(date)) => Some(date.parse().map_err(|error| {
                Failure::new(Kind::Usage, format!("--since-time {date:?} is no date: {error}"))
                    .hint("--since-time=2026-01-02T15:04:05Z")
            })?),
            (None, None) => None,
        };
        let shown = LogOptions {
            tail: usize::try_from(tail).ok(),
            since,
            limit_bytes: logs.limit_bytes,
            timestamps: logs.timestamps,
            prefix: logs.prefix,
        };
        Ok(Self { logs, shown })
    }
}

/// The containers whose logs are asked for, in the order in which they are shown.
fn wanted(
    args: &PlaceArgs,
    logs: &LogsArgs,
    pods: &Pods,
) -> Result<Vec<(FoundPod, String)>, Failure> {
    let found = match (&logs.selector, logs.what.first()) {
        (Some(selector), _) => {
            let labels =
                LabelSelector::parse(selector).map_err(|error| Failure::of(Kind::Usage, &error))?;
            let found = selection::labelled(pods, Some(&args.namespace), &labels)?;
            if found.is_empty() {
                screen::narrate(&format!("No resources found in {} namespace.\n", args.namespace));
            }
            found
        }
        (None, Some(name)) => vec![selection::pod_with_logs(pods, &args.namespace, name)?],
        (None, None) => Vec::new(),
    };
    let stated = logs.container.as_deref().or(logs.what.get(1).map(String::as_str));
    if let (true, Some(stated)) = (logs.all_containers, stated) {
        let text =
            format!("--all-containers=true should not be specified with container name {stated}");
        return Err(Failure::new(Kind::Usage, text));
    }
    let mut wanted = Vec::new();
    for one in found {
        if logs.all_containers {
            let names = containers::names_in_start_order(&one.pod);
            wanted.extend(names.into_iter().map(|name| (one.clone(), name)));
            continue;
        }
        let (name, note) = selection::container(&one.pod, stated)?;
        screen::narrate(&note.unwrap_or_default());
        wanted.push((one, name));
    }
    Ok(wanted)
}
