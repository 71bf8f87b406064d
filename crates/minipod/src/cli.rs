//! The command line: arguments and their help, nothing else.

mod entering;
pub(crate) mod images;
mod knowing;
mod objects;
mod pods;
mod serving;
mod values;

use std::path::PathBuf;

use crate::completion;
use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::ArgValueCompleter;
pub(crate) use entering::{AttachArgs, CopyArgs, ExecArgs, PortForwardArgs};
pub(crate) use knowing::{ApiResourcesArgs, ExplainArgs, VersionArgs};
pub(crate) use objects::{
    ChoiceArgs, CreateArgs, DataArgs, DryRun, DryRunArgs, FileArgs, MarkArgs, NewObject, NewSecret,
    ResultArgs,
};
pub(crate) use pods::{
    DeleteArgs, DescribeArgs, EventsArgs, GetArgs, LogsArgs, RunArgs, TopArgs, Until, WaitArgs,
};
pub(crate) use serving::{KubectlArgs, ServeArgs};

use pod_api::MaxPodDisk;

use images::{ImageCommand, ImagesArgs, LoadArgs, PullArgs, RmiArgs, SaveArgs};

/// Runs Kubernetes pods on this machine, without a cluster
#[derive(Debug, Parser)]
#[command(name = "minipod", version, propagate_version = true)]
#[command(
    after_help = "Start with `minipod run FILE`; `minipod doctor` tells what this machine allows."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) places: PlaceArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where things are; defaults suit a machine, tests use their own.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Places")]
pub(crate) struct PlaceArgs {
    /// Records, sockets and leases
    #[arg(long, global = true, env = "MINIPOD_STATE_DIR", hide_env_values = true)]
    #[arg(default_value = "/run/minipod", value_name = "DIR")]
    pub(crate) state_dir: PathBuf,
    /// Images, volumes and writable layers
    #[arg(long, global = true, env = "MINIPOD_DATA_DIR", hide_env_values = true)]
    #[arg(default_value = "/var/lib/minipod", value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
    /// Container logs
    #[arg(long, global = true, env = "MINIPOD_LOG_DIR", hide_env_values = true)]
    #[arg(default_value = "/var/log/pods", value_name = "DIR")]
    pub(crate) log_dir: PathBuf,
    /// The network that pods get their addresses from [default: 10.85.0.0/16, or another one if
    /// this machine uses that]
    #[arg(long, global = true, env = "MINIPOD_POD_CIDR", hide_env_values = true)]
    #[arg(value_name = "CIDR", value_parser = values::pod_cidr)]
    pub(crate) pod_cidr: Option<String>,
    /// The network that pods get IPv6 addresses from; none; or auto: one, if this machine has IPv6
    #[arg(long, global = true, env = "MINIPOD_POD_CIDR6", hide_env_values = true)]
    #[arg(default_value = "auto", value_name = "CIDR", value_parser = values::pod_cidr6)]
    pub(crate) pod_cidr6: String,
    /// Where pods may send packets: all; internet: to other pods and public addresses, not to
    /// private networks, cloud metadata or this machine; none: to other pods
    #[arg(long, global = true, env = "MINIPOD_POD_EGRESS", hide_env_values = true)]
    #[arg(default_value = "all", value_name = "WHERE", value_parser = values::pod_egress)]
    pub(crate) pod_egress: String,
    /// Factor on crash-loop and image-pull back-off
    #[arg(long, global = true, env = "MINIPOD_BACKOFF_SCALE", hide_env_values = true)]
    #[arg(default_value_t = 1.0, value_name = "FACTOR")]
    pub(crate) backoff_scale: f64,
    /// How much each pod may write to the disk: a quantity such as 10Gi; auto: what there is, but
    /// the pod that has written most is evicted when less than 10 % is left; or none: no limit
    #[arg(long, global = true, env = "MINIPOD_MAX_POD_DISK", hide_env_values = true)]
    #[arg(default_value = "auto", value_name = "SIZE")]
    pub(crate) max_pod_disk: MaxPodDisk,
    /// The namespace
    #[arg(long, short, global = true, default_value = "default", value_name = "NAME")]
    pub(crate) namespace: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the pods of a manifest in the foreground
    Run(RunArgs),
    /// Create the objects of a manifest, or update them
    Apply(ApplyArgs),
    /// Create the objects of a manifest, or a ConfigMap or Secret
    Create(CreateArgs),
    /// Show pods, events, configmaps or secrets
    Get(GetArgs),
    /// Show what happened, in time order
    Events(EventsArgs),
    /// Show everything about a pod or another object
    Describe(DescribeArgs),
    /// Show what a container wrote
    Logs(LogsArgs),
    /// Run a command in a container
    Exec(ExecArgs),
    /// Show what a running container writes, and write to it
    Attach(AttachArgs),
    /// Copy files between a container and this machine
    #[command(name = "cp")]
    Copy(CopyArgs),
    /// Make ports of a pod local ports
    PortForward(PortForwardArgs),
    /// Delete pods
    Delete(DeleteArgs),
    /// Change the labels of objects
    #[command(after_help = "Examples:\n  minipod label pod kubia tier=front\n  minipod label pod \
        kubia tier=back --overwrite\n  minipod label pods --all tier-")]
    Label(MarkArgs),
    /// Change the annotations of objects
    #[command(after_help = "Examples:\n  minipod annotate pod kubia owner=me\n  minipod annotate \
        pod kubia owner-")]
    Annotate(MarkArgs),
    /// Wait for a condition of pods
    Wait(WaitArgs),
    /// Show what pods use
    Top(TopArgs),
    /// Check a manifest and create nothing
    Validate(ValidateArgs),
    /// Show what would be done for a manifest
    Plan(PlanArgs),
    /// Pull an image
    Pull(PullArgs),
    /// List the images in the store
    Images(ImagesArgs),
    /// Load images from an OCI layout or archive
    Load(LoadArgs),
    /// Save images to an archive or directory
    Save(SaveArgs),
    /// Remove images from the store
    Rmi(RmiArgs),
    /// Show which namespaces a pod's processes share
    Ns(NsArgs),
    /// All commands about images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Let kubectl and Kubernetes' client libraries in
    Serve(ServeArgs),
    /// Run kubectl on the pods of this machine
    Kubectl(KubectlArgs),
    /// Show what this kernel and host allow
    Doctor(DoctorArgs),
    /// Show the kinds of objects that there are
    ApiResources(ApiResourcesArgs),
    /// Show the fields of a kind, and which mean nothing here
    Explain(ExplainArgs),
    /// Show the version
    Version(VersionArgs),
    /// Print completions for a shell
    Completion(CompletionArgs),
    /// Write manual pages
    Man(ManArgs),
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ManifestArgs {
    /// Go on although a field of the manifest cannot mean here what it means in a cluster
    #[arg(long)]
    pub(crate) ignore_unsupported: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod apply -f kubia-init.yaml")]
pub(crate) struct ApplyArgs {
    /// Manifests, or - for standard input
    #[arg(long = "filename", short, required = true, value_name = "FILE")]
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: Vec<PathBuf>,
    /// Manifests in directories below those that are named, too
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) result: ResultArgs,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Manifests, or - for standard input
    #[arg(required = true, value_hint = ValueHint::FilePath)]
    pub(crate) file: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// The manifest, or - for standard input
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// text, json or yaml
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: String,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod ns kubia-init")]
pub(crate) struct NsArgs {
    /// The pod
    #[arg(add = ArgValueCompleter::new(completion::pods))]
    pub(crate) pod: String,
    /// table or json
    #[arg(long, short, default_value = "table", value_name = "FORMAT")]
    pub(crate) output: String,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// text, json or yaml
    #[arg(long, short, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  bash: source <(minipod completion bash)\n  zsh:  source \
    <(minipod completion zsh)\n  fish: minipod completion fish | source")]
pub(crate) struct CompletionArgs {
    /// bash, zsh, fish, elvish or powershell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod man --dir /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Where the pages are written: minipod.1, minipod-run.1 and so on
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// A duration as Go and kubectl write it: `90s`, `1m30s`, `500ms`; a plain number is seconds.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("{text:?} is not a duration such as 90s, 5m or 1h30m");
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(std::time::Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(wrong)?;
        let number: f64 = rest[..end].parse().map_err(|_| wrong())?;
        let unit_end =
            rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        total += number
            * match &rest[end..unit_end] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return Err(wrong()),
            };
        rest = &rest[unit_end..];
    }
    std::time::Duration::try_from_secs_f64(total).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_read_as_kubectl_reads_them() {
        for (text, milliseconds) in
            [("90s", 90_000), ("1m30s", 90_000), ("500ms", 500), ("2h", 7_200_000), ("5", 5_000)]
        {
            assert_eq!(parse_duration(text).unwrap().as_millis(), milliseconds, "{text}");
        }
        for text in ["", "s", "5x", "1m3", "-1s"] {
            assert!(text.is_empty() || parse_duration(text).is_err(), "{text}");
        }
    }
}
