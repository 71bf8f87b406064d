//! One file per command.

mod api_resources;
mod apply;
mod attach;
mod copy;
mod create;
mod delete;
mod describe;
mod doctor;
mod events;
mod exec;
mod explain;
mod get;
mod images;
mod logs;
mod manual;
mod mark;
mod ns;
pub(crate) mod plan;
mod port_forward;
mod post_mortem;
mod result;
mod run;
mod run_output;
mod serve;
mod terminal;
mod top;
mod validate;
mod version;
mod wait;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use pod_api::api::Existing;
use pod_api::{Api, Places, Settings, roots};
use pod_runner::LinuxMachine;

use crate::cli::{Cli, Command, PlaceArgs};
use crate::failure::{Failure, Kind};

/// Runs the command that the command line names.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let places = cli.places;
    if uses_the_roots(&cli.command) {
        secure_roots(&places)?;
    }
    match cli.command {
        Command::Run(args) => return run::run(&places, &args),
        Command::Serve(args) => return serve::run(&places, &args),
        Command::Kubectl(args) => return serve::kubectl(&places, &args),
        Command::Exec(args) => return exec::run(&places, &args),
        Command::Attach(args) => attach::run(&places, &args),
        Command::Copy(args) => copy::run(&places, &args),
        Command::PortForward(args) => port_forward::run(&places, &args),
        Command::Apply(args) => apply::run(&places, &args, Existing::Update),
        Command::Create(args) => create::run(&places, &args),
        Command::Get(args) => get::run(&places, &args),
        Command::Events(args) => events::run(&places, &args),
        Command::Describe(args) => describe::run(&places, &args),
        Command::Logs(args) => logs::run(&places, &args),
        Command::Delete(args) => delete::run(&places, &args),
        Command::Label(args) => mark::run(&places, &args, mark::Mark::Label),
        Command::Annotate(args) => mark::run(&places, &args, mark::Mark::Annotation),
        Command::Wait(args) => wait::run(&places, &args),
        Command::Top(args) => top::run(&places, &args),
        Command::Validate(args) => validate::run(&places, &args),
        Command::Plan(args) => plan::run(&places, &args),
        Command::Pull(args) => images::pull(&places, &args),
        Command::Images(args) => images::list(&places, &args),
        Command::Load(args) => images::load(&places, &args),
        Command::Save(args) => images::save(&places, &args),
        Command::Rmi(args) => images::remove(&places, &args),
        Command::Ns(args) => ns::run(&places, &args),
        Command::Image(command) => images::run(&places, &command),
        Command::Doctor(args) => doctor::run(&places, &args),
        Command::ApiResources(args) => api_resources::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Version(args) => version::run(&args),
        Command::Completion(args) => manual::completion(args.shell),
        Command::Man(args) => manual::pages(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a command reads or writes minipod's directories.
fn uses_the_roots(command: &Command) -> bool {
    !matches!(
        command,
        Command::Validate(_)
            | Command::Doctor(_)
            | Command::ApiResources(_)
            | Command::Explain(_)
            | Command::Version(_)
            | Command::Completion(_)
            | Command::Man(_)
    )
}

/// Makes minipod's directories, or verifies that they are root's alone.
fn secure_roots(args: &PlaceArgs) -> Result<(), Failure> {
    require_root()?;
    roots::secure(&places(args)).map_err(|error| {
        let hint = error.hint();
        Failure::of(Kind::Host, &error).maybe_hint(hint)
    })
}

/// The settings that the command line gives.
pub(crate) fn settings(args: &PlaceArgs) -> Settings {
    Settings {
        places: places(args),
        pod_cidr: args.pod_cidr.clone().filter(|cidr| !cidr.is_empty()),
        pod_cidr6: match args.pod_cidr6.as_str() {
            "auto" | "" => {
                let range = pod_api::settings::AUTO.to_owned();
                pod_runner::pod_network::reaches_ipv6().then_some(range)
            }
            "none" => None,
            cidr => Some(cidr.to_owned()),
        },
        pod_egress: Some(args.pod_egress.clone()).filter(|egress| !egress.is_empty()),
        backoff_scale: args.backoff_scale,
        max_pod_disk: args.max_pod_disk.clone(),
        ..Settings::of_this_machine()
    }
}

/// What this command asks about pods.
pub(crate) fn api(args: &PlaceArgs) -> Api {
    Api::new(settings(args), Arc::new(LinuxMachine))
}

/// The places that the command line gives, from wherever one looks: supervisors have no directory
/// of their own.
pub(crate) fn places(args: &PlaceArgs) -> Places {
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    Places {
        state: absolute(&args.state_dir),
        data: absolute(&args.data_dir),
        logs: absolute(&args.log_dir),
    }
}

/// Pods need namespaces, mounts and a bridge, and what is known of them is root's alone.
pub(crate) fn require_root() -> Result<(), Failure> {
    if pod_api::settings::is_root() {
        return Ok(());
    }
    Err(Failure::new(
        Kind::Host,
        "minipod needs root: its directories, namespaces, mounts and networks are root's alone",
    )
    .hint("sudo minipod …; `minipod doctor` tells what this machine allows"))
}
