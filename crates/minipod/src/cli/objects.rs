//! Arguments of `create`: from manifests, or an object from files and literals.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::ApplyArgs;

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
    /// client: only print what would be created
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true)]
    #[arg(default_value = "none", default_missing_value = "client", hide_default_value = true)]
    #[arg(value_parser = ["none", "client"], hide_possible_values = true)]
    pub(crate) dry_run: String,
    /// Print the object: yaml, json or name
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<String>,
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
