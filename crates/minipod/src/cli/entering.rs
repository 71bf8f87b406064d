//! The commands that enter a running pod.

use clap::Args;
use clap_complete::ArgValueCompleter;

use crate::completion;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod exec -it kubia-init -c kubia -- sh")]
pub(crate) struct ExecArgs {
    /// The pod
    #[arg(add = ArgValueCompleter::new(completion::pods))]
    pub(crate) pod: String,
    /// The container, when the pod has several
    #[arg(long, short, value_name = "NAME")]
    #[arg(add = ArgValueCompleter::new(completion::containers))]
    pub(crate) container: Option<String>,
    /// Pass standard input on
    #[arg(long, short = 'i')]
    pub(crate) stdin: bool,
    /// Give the command a terminal
    #[arg(long, short)]
    pub(crate) tty: bool,
    /// Say nothing but what the command says
    #[arg(long, short)]
    pub(crate) quiet: bool,
    #[arg(hide = true)]
    pub(crate) without_dashes: Vec<String>,
    /// The command and its arguments
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod attach -it kubia-stdin")]
pub(crate) struct AttachArgs {
    /// The pod
    #[arg(add = ArgValueCompleter::new(completion::pods))]
    pub(crate) pod: String,
    /// The container, when the pod has several
    #[arg(long, short, value_name = "NAME")]
    #[arg(add = ArgValueCompleter::new(completion::containers))]
    pub(crate) container: Option<String>,
    /// Pass standard input on, if the container takes it (stdin: true)
    #[arg(long, short = 'i')]
    pub(crate) stdin: bool,
    /// Standard input is a terminal, as the container's is (tty: true)
    #[arg(long, short)]
    pub(crate) tty: bool,
    /// Say nothing but what the container says
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// The keys that leave the container running
    #[arg(long, default_value = "ctrl-p,ctrl-q", value_name = "KEYS")]
    #[arg(value_parser = crate::detach_keys::parse)]
    pub(crate) detach_keys: crate::detach_keys::DetachKeys,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minipod cp kubia-init:/var/log ./log -c kubia\n  minipod cp app.js kubia:/app"
)]
pub(crate) struct CopyArgs {
    /// From where and to where; what is in a container is written [NAMESPACE/]POD:PATH
    #[arg(value_name = "SOURCE DESTINATION")]
    pub(crate) files: Vec<String>,
    /// The container, when the pod has several
    #[arg(long, short, value_name = "NAME")]
    #[arg(add = ArgValueCompleter::new(completion::containers))]
    pub(crate) container: Option<String>,
    /// Do not give files in the container the owners and modes of the originals
    #[arg(long)]
    pub(crate) no_preserve: bool,
    /// Accepted as kubectl's; there is no connection that could break
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_name = "TIMES")]
    pub(crate) retries: i64,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minipod port-forward kubia 8080\n  minipod port-forward kubia 8888:http :9901 --address 0.0.0.0"
)]
pub(crate) struct PortForwardArgs {
    /// The pod
    #[arg(add = ArgValueCompleter::new(completion::pods))]
    pub(crate) pod: String,
    /// LOCAL:REMOTE, REMOTE for both, or :REMOTE for any local port; REMOTE may be a port's name
    #[arg(required = true, value_name = "[LOCAL:]REMOTE")]
    pub(crate) ports: Vec<String>,
    /// Where to listen: localhost or addresses
    #[arg(long, default_value = "localhost", value_delimiter = ',', value_name = "ADDRESS")]
    pub(crate) address: Vec<String>,
}
