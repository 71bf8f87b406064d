//! Arguments of the commands that let kubectl in.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  minipod serve\n  minipod serve -- sh -c 'kubectl apply -f \
    kubia-init.yaml && kubectl get pods -w'")]
pub(crate) struct ServeArgs {
    /// The address to listen on; with a command, a free port of the loopback
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Where to write the kubeconfig; without it, into the state directory
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// A command to run with KUBECONFIG set; the server ends with it
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
#[command(after_help = "Example:\n  minipod kubectl get pods")]
pub(crate) struct KubectlArgs {
    /// What kubectl is to do
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENT")]
    pub(crate) arguments: Vec<OsString>,
}
