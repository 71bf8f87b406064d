//! `serve` and `kubectl`: the real kubectl on the pods of this machine.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

use api_server::{Options, Server};
use pod_runner::pod_network::host_address;

use super::{api, require_root};
use crate::cli::{KubectlArgs, PlaceArgs, ServeArgs};
use crate::failure::{Failure, Kind};
use crate::screen;

/// Where the server listens when nothing is said.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 7443);
/// The same for a command: any free port.
const ANY_PORT: SocketAddr = SocketAddr::new(LISTEN.ip(), 0);

pub(crate) fn run(places: &PlaceArgs, serve: &ServeArgs) -> Result<ExitCode, Failure> {
    require_root()?;
    if let Some(command) = serve.command.split_first() {
        let listen = serve.listen.unwrap_or(ANY_PORT);
        return around(places, listen, serve.kubeconfig.as_deref(), command);
    }
    let default = super::places(places).kubeconfig();
    let path = serve.kubeconfig.clone().unwrap_or(default);
    let (server, path) = start(places, serve.listen.unwrap_or(LISTEN), path)?;
    screen::answer(&format!("export KUBECONFIG={}\n", path.display()))?;
    Err(server.serve().err().map_or_else(|| Failure::silent(Kind::Failed), Failure::from))
}

pub(crate) fn kubectl(places: &PlaceArgs, kubectl: &KubectlArgs) -> Result<ExitCode, Failure> {
    require_root()?;
    let program = OsString::from("kubectl");
    around(places, ANY_PORT, None, (&program, &kubectl.arguments))
}

fn start(
    places: &PlaceArgs,
    listen: SocketAddr,
    path: PathBuf,
) -> Result<(Server, PathBuf), Failure> {
    let server = Server::new(Options {
        api: api(places),
        listen,
        version: env!("CARGO_PKG_VERSION"),
        node_address: host_address().to_string(),
    })?;
    server.access().write_kubeconfig(server.address(), &path)?;
    Ok((server, path))
}

/// Runs a command beside a server that nobody else knows of, and ends with it.
fn around(
    places: &PlaceArgs,
    listen: SocketAddr,
    kubeconfig: Option<&Path>,
    (program, arguments): (&OsString, &[OsString]),
) -> Result<ExitCode, Failure> {
    let own = super::places(places).kubeconfig_of(std::process::id());
    let (server, path) = start(places, listen, kubeconfig.map_or(own, Path::to_owned))?;
    thread::spawn(move || server.serve());
    let status = Command::new(program).args(arguments).env("KUBECONFIG", &path).status();
    let _ = std::fs::remove_file(&path); // it lets nobody in any more
    let status = status.map_err(|error| {
        let name = program.to_string_lossy();
        let failure = Failure::new(Kind::Host, format!("cannot run {name}: {error}"));
        let is_kubectl = name == "kubectl" && error.kind() == std::io::ErrorKind::NotFound;
        failure.maybe_hint(is_kubectl.then(|| {
            "install it: https://kubernetes.io/docs/tasks/tools/; minipod's own commands need none"
                .to_owned()
        }))
    })?;
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
