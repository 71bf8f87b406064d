//! `logs`: what containers wrote, from files, whether they run or not.

use jiff::{SignedDuration, Timestamp};
use pod_runner::follow::{PodChange, PodsFollower};
use pod_runner::log_reader::{self, LogReader};
use pod_runner::places::PodLogs;
use pod_runner::pods::FoundPod;
use pod_runner::{Places, Pods};

use super::places;
use crate::cli::{LogsArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::views::log_line::{self, Format};
use crate::{screen, selection};

pub(crate) fn run(args: &PlaceArgs, logs: &LogsArgs) -> Result<(), Failure> {
    let places = places(args);
    let all = Pods::new(&places);
    let found = selection::pod(&all, &args.namespace, &logs.pod)?;
    let stated = logs.container_flag.as_deref().or(logs.container.as_deref());
    let names = if logs.all_containers && stated.is_none() {
        selection::names_in_start_order(&found.pod)
    } else {
        let (name, note) = selection::container(&found.pod, stated)?;
        if let Some(note) = note {
            screen::narrate(&note);
        }
        vec![name]
    };
    let mut shown = Vec::new();
    for name in &names {
        shown.extend(open(&places, &found, name, logs)?);
    }
    if shown.is_empty() && !logs.follow {
        return Err(nothing_yet(&found, &names, logs));
    }
    for one in &mut shown {
        one.print(logs.tail)?;
    }
    if logs.follow { follow(all, &found, shown) } else { Ok(()) }
}

/// The log of one container and how it is shown.
struct Shown {
    reader: LogReader,
    format: Format,
    since: Option<Timestamp>,
    starts_line: bool,
}

fn open(
    places: &Places,
    found: &FoundPod,
    name: &str,
    logs: &LogsArgs,
) -> Result<Option<Shown>, Failure> {
    let pod_logs: PodLogs = places.pod_logs(found.namespace(), found.name(), found.uid());
    let attempts = log_reader::attempts(&pod_logs, name);
    let attempt = if logs.previous {
        let Some(previous) = attempts.len().checked_sub(2).and_then(|at| attempts.get(at)) else {
            let text = format!(
                "previous terminated container \"{name}\" in pod \"{}\" not found",
                found.name()
            );
            return Err(Failure::new(Kind::Failed, text));
        };
        Some(*previous)
    } else {
        attempts.last().copied()
    };
    let prefix =
        if logs.prefix { format!("[pod/{}/{name}] ", found.name()) } else { String::new() };
    let since = logs.since.and_then(|since| SignedDuration::try_from(since).ok());
    let since = since.and_then(|since| Timestamp::now().checked_sub(since).ok());
    let attempt = match (attempt, logs.follow) {
        (None, false) => return Ok(None),
        (attempt, _) => attempt.unwrap_or(0),
    };
    Ok(Some(Shown {
        reader: LogReader::new(pod_logs.file(name, attempt)),
        format: Format { timestamps: logs.timestamps, prefix },
        since,
        starts_line: true,
    }))
}

impl Shown {
    /// Prints what is new; of the first time only the last lines.
    fn print(&mut self, tail: i64) -> Result<(), Failure> {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let (format, since, starts_line) = (&self.format, self.since, &mut self.starts_line);
        self.reader.read(|line| {
            let Some(line) = log_line::parse(line) else {
                return;
            };
            if log_line::is_since(&line, since) {
                let shown = log_line::show(line, format, *starts_line);
                match lines.last_mut().filter(|_| !*starts_line) {
                    Some(last) => last.extend(shown),
                    None => lines.push(shown),
                }
                *starts_line = line.is_whole;
            }
        })?;
        if let Ok(tail) = usize::try_from(tail) {
            lines.drain(..lines.len().saturating_sub(tail));
        }
        screen::answer_bytes(&lines.concat())
    }
}

/// That there is no log yet, in kubectl's words.
fn nothing_yet(found: &FoundPod, names: &[String], _logs: &LogsArgs) -> Failure {
    let name = names.first().map(String::as_str).unwrap_or_default();
    let status = found.pod.status.clone().unwrap_or_default();
    let statuses = status.container_statuses.into_iter().flatten();
    let mut statuses = statuses.chain(status.init_container_statuses.into_iter().flatten());
    let waiting = statuses.find(|one| one.name == name).and_then(|one| one.state?.waiting);
    let reason = waiting.and_then(|waiting| waiting.reason).unwrap_or_default();
    let text = match reason.as_str() {
        "" | "ContainerCreating" => "ContainerCreating".to_owned(),
        "ErrImagePull" | "ImagePullBackOff" => "trying and failing to pull image".to_owned(),
        other => other.to_owned(),
    };
    let pod = found.name();
    let text = format!("container \"{name}\" in pod \"{pod}\" is waiting to start: {text}");
    Failure::new(Kind::Failed, text).hint(format!("minipod describe pod {pod}"))
}

/// Goes on until the pod has ended or is gone.
fn follow(all: Pods, found: &FoundPod, mut shown: Vec<Shown>) -> Result<(), Failure> {
    let mut follower = PodsFollower::new(all)?;
    loop {
        let mut is_over = false;
        for change in follower.changes()? {
            match change {
                PodChange::Version(pod) if pod.metadata.uid == found.pod.metadata.uid => {
                    let status = pod.status.as_ref();
                    let phase = status.and_then(|status| status.phase.as_deref());
                    is_over = matches!(phase, Some("Succeeded" | "Failed"));
                }
                PodChange::Deleted(pod) if pod.metadata.uid == found.pod.metadata.uid => {
                    is_over = true;
                }
                _ => {}
            }
        }
        for one in &mut shown {
            let _ = follower.also_watch(one.reader.path()); // not there before its first line
            if let Some(parent) = one.reader.path().parent() {
                let _ = follower.also_watch(parent); // not there before its container
            }
            one.print(-1)?;
        }
        if is_over {
            return Ok(());
        }
        follower.wait(None, None)?;
    }
}
