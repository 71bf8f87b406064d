//! Arguments of the commands that run, show and end pods.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;

use crate::completion::{containers, kinds_and_objects, pods_and_containers};

use super::{ChoiceArgs, DryRunArgs, FileArgs, ManifestArgs, parse_duration};

/// Until when `run` stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// The pod has ended
    Finished,
    /// The pod is Ready; it goes on
    Ready,
    /// The pod is created; it goes on
    Created,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod run kubia-init.yaml")]
pub(crate) struct RunArgs {
    /// The manifest, or - for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// Delete the pods when they have ended, and the ConfigMaps and Secrets that came with them
    #[arg(long)]
    pub(crate) rm: bool,
    /// Delete the pods after this time, with their grace period (90s, 5m); exit code 124
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) timeout: Option<Duration>,
    /// Delete pods that have the same names first
    #[arg(long)]
    pub(crate) replace: bool,
    /// How long --until=ready wants pods to stay ready (without readiness probe: 1s, with one: 0s)
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) ready_for: Option<Duration>,
    /// End when a container cannot be started, at the second failure that does not mend itself;
    /// the default where standard error is no terminal
    #[arg(long, action = clap::ArgAction::Set, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) fail_fast: Option<bool>,
    /// When to return
    #[arg(long, value_enum, default_value_t = Until::Finished)]
    pub(crate) until: Until,
    /// Return as soon as the pods are created, as --until=created
    #[arg(long, short)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minipod get pods -w\n  minipod get pod kubia-init -o \
    jsonpath='{.status.podIP}'\n  minipod get events --sort-by=.lastTimestamp")]
pub(crate) struct GetArgs {
    /// pods, events, configmaps, secrets or pvc, and names; or KIND/NAME
    #[arg(value_name = "KIND [NAME]")]
    #[arg(add = ArgValueCompleter::new(kinds_and_objects))]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Go on and print each change
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// Print each change, but not what is there now
    #[arg(long)]
    pub(crate) watch_only: bool,
    /// With what happened to each object that is watched: ADDED, MODIFIED, DELETED
    #[arg(long)]
    pub(crate) output_watch_events: bool,
    /// wide, json, yaml, name, jsonpath=TEMPLATE, custom-columns=SPEC
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<String>,
    /// Only those with these labels (app=web,tier!=db,env in (a,b))
    #[arg(long, short = 'l', value_name = "LABELS")]
    pub(crate) selector: Option<String>,
    /// Only those with these fields (status.phase=Running)
    #[arg(long, value_name = "FIELDS")]
    pub(crate) field_selector: Option<String>,
    /// In the order of this field (.metadata.creationTimestamp)
    #[arg(long, value_name = "PATH")]
    pub(crate) sort_by: Option<String>,
    /// In all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
    /// Without the line of column names
    #[arg(long)]
    pub(crate) no_headers: bool,
    /// With a column of labels
    #[arg(long)]
    pub(crate) show_labels: bool,
    /// With a column for each of these labels
    #[arg(long, short = 'L', value_delimiter = ',', value_name = "LABEL")]
    pub(crate) label_columns: Vec<String>,
    /// With the kind before each name
    #[arg(long)]
    pub(crate) show_kind: bool,
    /// Not an error when there is no such object
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    /// Only events about this pod
    #[arg(long = "for", value_name = "pod/NAME")]
    pub(crate) about: Option<String>,
    /// Only events of these types: Normal, Warning
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    pub(crate) types: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod events --for pod/kubia-init --types=Warning -w")]
pub(crate) struct EventsArgs {
    /// Only events about this pod
    #[arg(long = "for", value_name = "pod/NAME")]
    pub(crate) about: Option<String>,
    /// Only these: Normal, Warning
    #[arg(long, value_delimiter = ',', value_name = "TYPES")]
    pub(crate) types: Vec<String>,
    /// Go on and print what happens
    #[arg(long, short)]
    pub(crate) watch: bool,
    /// In all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
    /// json, yaml, name or jsonpath=TEMPLATE
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<String>,
    /// Without the line of column names
    #[arg(long)]
    pub(crate) no_headers: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minipod describe pod kubia-init\n  minipod describe -f \
    kubia-init.yaml\n  minipod describe secrets")]
pub(crate) struct DescribeArgs {
    /// pods, configmaps, secrets or pvc, and names or how they begin; or KIND/NAME
    #[arg(value_name = "KIND [NAME]")]
    #[arg(add = ArgValueCompleter::new(kinds_and_objects))]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Only those with these labels
    #[arg(long, short = 'l', value_name = "LABELS")]
    pub(crate) selector: Option<String>,
    /// In all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
    /// Whether the events are shown, too
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) show_events: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minipod logs kubia-init -c network-check\n  minipod logs \
    -f kubia-init --all-containers --prefix\n  minipod logs -l app=kubia --tail=20")]
pub(crate) struct LogsArgs {
    /// The pod, and perhaps its container
    #[arg(value_name = "POD [CONTAINER]", num_args = 0..=2, required_unless_present = "selector")]
    #[arg(add = ArgValueCompleter::new(pods_and_containers))]
    pub(crate) what: Vec<String>,
    /// The container, when the pod has several
    #[arg(long, short, value_name = "NAME", add = ArgValueCompleter::new(containers))]
    pub(crate) container: Option<String>,
    /// Go on and print what is written
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Of the start before this one
    #[arg(long, short)]
    pub(crate) previous: bool,
    /// Only so many lines from the end; -1 for all (with -l: 10)
    #[arg(long, allow_negative_numbers = true, value_name = "LINES")]
    pub(crate) tail: Option<i64>,
    /// Only what is not older (5s, 2m)
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) since: Option<Duration>,
    /// Only what was written since this date (RFC 3339)
    #[arg(long, value_name = "DATE")]
    pub(crate) since_time: Option<String>,
    /// Only so many bytes
    #[arg(long, value_name = "BYTES")]
    pub(crate) limit_bytes: Option<u64>,
    /// With the date of each line
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Of all containers
    #[arg(long)]
    pub(crate) all_containers: bool,
    /// With the pod's and container's name before each line
    #[arg(long)]
    pub(crate) prefix: bool,
    /// Of all pods with these labels
    #[arg(long, short = 'l', value_name = "LABELS")]
    pub(crate) selector: Option<String>,
    /// How many logs may be followed at once
    #[arg(long, default_value_t = 5, value_name = "NUMBER")]
    pub(crate) max_log_requests: usize,
    /// Go on when one of several logs cannot be read
    #[arg(long)]
    pub(crate) ignore_errors: bool,
    /// How long -f waits for a container that does not run yet
    #[arg(long, default_value = "20s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) pod_running_timeout: Duration,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minipod delete pod kubia-init\n  minipod delete -f \
    kubia-init.yaml\n  minipod delete pods -l app=kubia --now")]
pub(crate) struct DeleteArgs {
    /// pod and names, or pod/NAME
    #[arg(value_name = "KIND [NAME]", add = ArgValueCompleter::new(kinds_and_objects))]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Seconds between asking and killing; -1 for the pod's own
    #[arg(long, allow_negative_numbers = true, default_value_t = -1, value_name = "SECONDS")]
    pub(crate) grace_period: i64,
    /// Kill at once
    #[arg(long)]
    pub(crate) force: bool,
    /// Ask and kill a second later
    #[arg(long)]
    pub(crate) now: bool,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    /// Not an error when there is no such object
    #[arg(long)]
    pub(crate) ignore_not_found: bool,
    /// Whether to wait until nothing is left
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(crate) wait: bool,
    /// How long to wait; exit code 124 when that is not enough
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) dry_run: DryRunArgs,
    /// name, for kind/name only
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minipod wait --for=condition=Ready pod/kubia-init \
    --timeout=60s\n  minipod wait --for=jsonpath='{.status.phase}'=Succeeded pod/job\n  minipod \
    wait --for=delete pod/kubia-init")]
pub(crate) struct WaitArgs {
    /// pod and names, or pod/NAME
    #[arg(value_name = "KIND [NAME]", add = ArgValueCompleter::new(kinds_and_objects))]
    pub(crate) what: Vec<String>,
    /// condition=NAME[=VALUE], jsonpath=TEMPLATE[=VALUE], delete or create
    #[arg(long = "for", required = true, value_name = "CONDITION")]
    pub(crate) condition: String,
    /// How long to wait; 0 looks once; exit code 124 when that is not enough
    #[arg(long, default_value = "30s", allow_hyphen_values = true, value_name = "TIME")]
    pub(crate) timeout: String,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    #[command(flatten)]
    pub(crate) files: FileArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod top pod --containers")]
pub(crate) struct TopArgs {
    /// pod and names, or pod/NAME
    #[arg(value_name = "KIND [NAME]", required = true)]
    #[arg(add = ArgValueCompleter::new(kinds_and_objects))]
    pub(crate) what: Vec<String>,
    /// Each container for itself
    #[arg(long)]
    pub(crate) containers: bool,
    /// Those with these labels
    #[arg(long, short = 'l', value_name = "LABELS")]
    pub(crate) selector: Option<String>,
    /// In all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
    /// cpu or memory, largest first
    #[arg(long, value_name = "FIELD")]
    pub(crate) sort_by: Option<String>,
    /// With a line for all together
    #[arg(long)]
    pub(crate) sum: bool,
    /// Without the line of column names
    #[arg(long)]
    pub(crate) no_headers: bool,
}
