//! What the containers of a running pod write, as it comes.

use k8s_openapi::api::core::v1::Pod;
use pod_api::follow::Follower;
use pod_api::log_reader::{self, LogReader};
use pod_api::places::PodLogs;
use pod_api::{Places, containers};

use crate::failure::Failure;
use crate::screen;
use pod_api::log_line::{self, Format};

/// Colours for the names of containers, in turn.
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Prints the logs of every container of a pod.
pub(super) struct LogPrinter {
    logs: PodLogs,
    containers: Vec<ContainerPrinter>,
}

struct ContainerPrinter {
    name: String,
    prefix: String,
    current: Option<(u32, LogReader)>,
    starts_line: bool,
}

impl LogPrinter {
    /// For a pod that has just been created; with several pods the prefix names the pod too.
    pub(super) fn new(places: &Places, pod: &Pod, is_alone: bool) -> Self {
        let metadata = &pod.metadata;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let (namespace, name) = (text(&metadata.namespace), text(&metadata.name));
        let logs = places.pod_logs(&namespace, &name, &text(&metadata.uid));
        let names = containers::names_in_start_order(pod);
        let printer = |(container, colour): (String, &u8)| {
            let shown = if is_alone { container.clone() } else { format!("{name}/{container}") };
            let prefix = if screen::colours_on_stdout() {
                format!("\x1b[{colour}m[{shown}]\x1b[0m ")
            } else {
                format!("[{shown}] ")
            };
            ContainerPrinter { name: container, prefix, current: None, starts_line: true }
        };
        let containers = names.into_iter().zip(COLOURS.iter().cycle()).map(printer).collect();
        Self { logs, containers }
    }

    /// Prints what is new, and has the follower watch for more. While the pod goes on, what a
    /// container writes comes after the news that it has started.
    pub(super) fn print(
        &mut self,
        follower: &Follower,
        line: &mut OpenLine,
        pod: Option<&Pod>,
    ) -> Result<(), Failure> {
        let _ = follower.also_watch(self.logs.path()); // not there before the first container
        for container in &mut self.containers {
            // Watched before it is read, so that nothing is missed in between.
            let _ = follower.also_watch(&self.logs.container(&container.name)); // not there yet
            let starts = pod.map_or(u32::MAX, |pod| starts(pod, &container.name));
            container.print(&self.logs, starts, line)?;
        }
        Ok(())
    }
}

/// How often a container has been started, as far as the pod's status tells.
fn starts(pod: &Pod, container: &str) -> u32 {
    let status = pod.status.as_ref();
    let inits = status.and_then(|status| status.init_container_statuses.as_ref());
    let mains = status.and_then(|status| status.container_statuses.as_ref());
    let mut all = inits.into_iter().chain(mains).flatten();
    let Some(status) = all.find(|status| status.name == container) else {
        return 0;
    };
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.clone().unwrap_or_default();
    let has_run =
        state.running.is_some() || state.terminated.is_some() || last.terminated.is_some();
    u32::try_from(status.restart_count).unwrap_or(0) + u32::from(has_run)
}

/// Whose line on the screen has no end yet. Another container's output begins a line of its own.
#[derive(Debug, Default)]
pub(super) struct OpenLine {
    owner: Option<String>,
}

impl OpenLine {
    /// Ends an open line before something else is told, if that is seen behind it.
    pub(super) fn make_room(&mut self) -> Result<(), Failure> {
        if screen::is_one_terminal() { self.end_unless_of("") } else { Ok(()) }
    }

    /// Ends the line, if one is open and it is not this owner's.
    pub(super) fn end_unless_of(&mut self, owner: &str) -> Result<(), Failure> {
        match self.owner.take_if(|open| open != owner) {
            Some(_) => screen::answer("\n"),
            None => Ok(()),
        }
    }
}

impl ContainerPrinter {
    fn print(&mut self, logs: &PodLogs, starts: u32, line: &mut OpenLine) -> Result<(), Failure> {
        let attempts = log_reader::attempts(logs, &self.name);
        for attempt in attempts.into_iter().filter(|attempt| *attempt < starts) {
            if self.current.as_ref().is_some_and(|(known, _)| *known >= attempt) {
                continue;
            }
            self.print_current(line)?;
            line.end_unless_of("")?; // what the former start left unfinished
            self.current = Some((attempt, LogReader::new(logs.file(&self.name, attempt))));
        }
        self.print_current(line)
    }

    fn print_current(&mut self, line: &mut OpenLine) -> Result<(), Failure> {
        if line.owner.as_ref() != Some(&self.prefix) {
            self.starts_line = true; // what was unfinished has been cut off
        }
        let Some((_, reader)) = &mut self.current else {
            return Ok(());
        };
        let format = Format { timestamps: false, prefix: self.prefix.clone() };
        let mut text = Vec::new();
        let starts_line = &mut self.starts_line;
        // A log that goes with its deleted pod has been read as far as it was there.
        let _ = reader.read(|line| {
            if let Some(line) = log_line::parse(line) {
                text.extend(log_line::show(line, &format, *starts_line));
                *starts_line = line.is_whole;
            }
        });
        if text.is_empty() {
            return Ok(());
        }
        line.end_unless_of(&self.prefix)?;
        line.owner = (!self.starts_line).then(|| self.prefix.clone());
        screen::answer_bytes(&text)
    }
}
