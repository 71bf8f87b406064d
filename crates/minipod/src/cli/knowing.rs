//! Arguments of the commands that tell what minipod knows.

use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// json or yaml
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<String>,
    /// Accepted as kubectl's; there is no server with a version of its own
    #[arg(long)]
    pub(crate) client: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ApiResourcesArgs {
    /// name, for names only
    #[arg(long, short, value_name = "FORMAT")]
    pub(crate) output: Option<String>,
    /// Without the line of column names
    #[arg(long)]
    pub(crate) no_headers: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minipod explain pod.spec.containers\n  minipod explain \
    pod.spec.volumes --recursive")]
pub(crate) struct ExplainArgs {
    /// A kind, and fields below it
    #[arg(value_name = "KIND[.FIELD]")]
    pub(crate) path: String,
    /// With the fields of fields
    #[arg(long)]
    pub(crate) recursive: bool,
}
