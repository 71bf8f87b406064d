//! Arguments of the commands that make and change objects.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCompleter;

use super::ApplyArgs;
use crate::completion::kinds_and_objects;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    after_help = "Examples:\n  minipod create -f kubia-init.yaml\n  minipod create configmap \
    settings --from-literal=level=debug --from-file=app.conf"
)]
pub(crate) struct CreateArgs {
    #[command(flatten)]
    pub(crate) manifests: ApplyArgs,
    #[command(subcommand)]
    pub(crate) object: Option<NewObject>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum NewObject {
    /// Create a ConfigMap from files, directories and literals
    #[command(name = "configmap", alias = "cm")]
    ConfigMap(DataArgs),
    /// Create a Secret
    #[command(subcommand)]
    Secret(NewSecret),
}

#[derive(Debug, Subcommand)]
pub(crate) enum NewSecret {
    /// From files, directories and literals
    Generic(GenericArgs),
    /// With a certificate and its key
    Tls(TlsArgs),
    /// With credentials for a registry, for imagePullSecrets
    DockerRegistry(RegistryArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    /// The object's name
    pub(crate) name: String,
    /// A key and its value
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) from_literal: Vec<String>,
    /// A file under its name or under KEY; or each file of a directory
    #[arg(long, value_name = "[KEY=]PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) from_file: Vec<String>,
    /// A file with lines KEY=VALUE
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) from_env_file: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) result: ResultArgs,
}

#[derive(Debug, Args)]
pub(crate) struct GenericArgs {
    #[command(flatten)]
    pub(crate) data: DataArgs,
    /// The type, which says what keys there are
    #[arg(long = "type", value_name = "TYPE", default_value = "Opaque")]
    pub(crate) kind: String,
}

#[derive(Debug, Args)]
pub(crate) struct TlsArgs {
    /// The object's name
    pub(crate) name: String,
    /// The certificate, with those that vouch for it (PEM)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) cert: PathBuf,
    /// Its key (PEM)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub(crate) key: PathBuf,
    #[command(flatten)]
    pub(crate) result: ResultArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RegistryArgs {
    /// The object's name
    pub(crate) name: String,
    /// The registry
    #[arg(long, value_name = "HOST", default_value = "https://index.docker.io/v1/")]
    pub(crate) docker_server: String,
    /// Who pulls
    #[arg(long, value_name = "NAME")]
    pub(crate) docker_username: String,
    /// The password, or a token
    #[arg(long, value_name = "TEXT")]
    pub(crate) docker_password: String,
    /// Accepted as kubectl's; no registry asks for it
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    pub(crate) docker_email: String,
    #[command(flatten)]
    pub(crate) result: ResultArgs,
}

/// What comes of it.
#[derive(Debug, Args)]
pub(crate) struct ResultArgs {
    #[command(flatten)]
    pub(crate) dry_run: DryRunArgs,
    /// Print the object: yaml, json, name or jsonpath=TEMPLATE
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<String>,
}

/// Whether anything is done.
#[derive(Debug, Args)]
pub(crate) struct DryRunArgs {
    /// client or server: change nothing, and tell what would be done
    #[arg(id = "dry_run", long = "dry-run", value_name = "WHERE", value_enum)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    #[arg(default_value = "none", hide_default_value = true, hide_possible_values = true)]
    pub(crate) mode: DryRun,
}

/// Where something is only tried, as kubectl calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DryRun {
    /// It is done.
    None,
    /// It is checked by itself: what `create` describes may be there already.
    Client,
    /// It is compared with what is there, too.
    Server,
}

impl DryRun {
    /// Whether nothing is done.
    pub(crate) fn is_dry(self) -> bool {
        self != Self::None
    }

    /// How a sentence ends that tells what would be done.
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Client => " (dry run)",
            Self::Server => " (server dry run)",
        }
    }
}

/// Objects, by the manifests that describe them.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// The objects of these manifests, or - for standard input
    #[arg(long = "filename", short, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) file: Vec<PathBuf>,
    /// Manifests in directories below those that are named, too
    #[arg(long, short = 'R')]
    pub(crate) recursive: bool,
}

/// Objects that are not named.
#[derive(Debug, Args)]
pub(crate) struct ChoiceArgs {
    /// All of the namespace
    #[arg(long)]
    pub(crate) all: bool,
    /// In all namespaces
    #[arg(long, short = 'A')]
    pub(crate) all_namespaces: bool,
    /// Those with these labels
    #[arg(long, short = 'l', value_name = "LABELS")]
    pub(crate) selector: Option<String>,
}

impl ChoiceArgs {
    /// Whether objects are chosen, and not named.
    pub(crate) fn is_made(&self) -> bool {
        self.all || self.selector.is_some()
    }

    /// The namespace that they are in; none when that does not matter.
    pub(crate) fn namespace<'a>(&self, named: &'a str) -> Option<&'a str> {
        (!self.all_namespaces).then_some(named)
    }
}

/// Arguments of `label` and `annotate`.
#[derive(Debug, Args)]
pub(crate) struct MarkArgs {
    /// Kind and names, or KIND/NAME; then KEY=VALUE to set and KEY- to remove
    #[arg(value_name = "KIND [NAME] KEY=VALUE", add = ArgValueCompleter::new(kinds_and_objects))]
    pub(crate) what: Vec<String>,
    #[command(flatten)]
    pub(crate) files: FileArgs,
    /// Give another value to what has one
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Show what there is
    #[arg(long)]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
    #[command(flatten)]
    pub(crate) result: ResultArgs,
}
