//! `port-forward`: local ports that lead to ports of a pod.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use k8s_openapi::api::core::v1;
use pod_api::Pods;
use pod_api::port_forward::{Event, PodNetwork};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::{places, require_root};
use crate::cli::{PlaceArgs, PortForwardArgs};
use crate::failure::{Failure, Kind};
use crate::{screen, selection};

/// A wish: which local port, 0 for any, leads to which port of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair {
    local: u16,
    remote: u16,
}

/// What ends the command, or is told on the way.
enum News {
    Interrupted,
    PodGone,
    Port(Event),
}

pub(crate) fn run(args: &PlaceArgs, forward: &PortForwardArgs) -> Result<(), Failure> {
    require_root()?;
    let found = selection::pod(&Pods::new(&places(args)), &args.namespace, &forward.pod)?;
    let usage = |text: String| Failure::new(Kind::Usage, text);
    let pairs: Vec<Pair> = forward
        .ports
        .iter()
        .map(|text| pair(text, &found.pod).map_err(usage))
        .collect::<Result<_, _>>()?;
    let addresses = addresses(&forward.address).map_err(usage)?;
    let phase = found.pod.status.as_ref().and_then(|status| status.phase.clone());
    let phase = phase.unwrap_or_else(|| "Pending".into());
    if phase != "Running" {
        let text =
            format!("unable to forward port because pod is not running. Current status={phase}");
        return Err(Failure::new(Kind::Failed, text));
    }
    let network = PodNetwork::of(&found.dir).map_err(|error| {
        Failure::of(Kind::Failed, &error).hint(format!("minipod describe pod {}", found.name()))
    })?;
    let signals = Signals::new([SIGINT, SIGTERM])?; // before anybody is told that it listens
    serve(network, listen(&pairs, &addresses)?, signals)
}

/// Forwards until somebody interrupts, or the pod goes.
fn serve(
    network: PodNetwork,
    listeners: Vec<(TcpListener, u16)>,
    mut signals: Signals,
) -> Result<(), Failure> {
    let (sender, news) = channel();
    let interrupted = sender.clone();
    thread::spawn(move || {
        signals.forever().next();
        let _ = interrupted.send(News::Interrupted); // or the command has ended
    });
    let network = Arc::new(network);
    let (watched, gone) = (Arc::clone(&network), sender.clone());
    thread::spawn(move || {
        watched.wait_until_gone();
        let _ = gone.send(News::PodGone); // or the command has ended
    });
    for (listener, remote) in listeners {
        let (network, tell) = (Arc::clone(&network), teller(sender.clone()));
        thread::spawn(move || network.forward(&listener, remote, &tell));
    }
    drop(sender);
    for one in news {
        match one {
            News::Interrupted => return Ok(()),
            News::PodGone => return Err(Failure::new(Kind::Failed, "lost connection to pod")),
            News::Port(Event::Handling(port)) => {
                screen::answer(&format!("Handling connection for {port}\n"))?;
            }
            News::Port(Event::Failed(local, remote, why)) => screen::narrate(&format!(
                "an error occurred forwarding {local} -> {remote}: {why}\n"
            )),
            News::Port(Event::Stopped(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

fn teller(sender: Sender<News>) -> Arc<dyn Fn(Event) + Send + Sync> {
    Arc::new(move |event| {
        let _ = sender.send(News::Port(event)); // or the command has ended
    })
}

/// Listens for every pair on every address, and says where. Some may fail; not all.
fn listen(pairs: &[Pair], addresses: &[Vec<IpAddr>]) -> Result<Vec<(TcpListener, u16)>, Failure> {
    let mut listeners = Vec::new();
    for pair in pairs {
        match listen_for(*pair, addresses) {
            Ok(opened) => listeners.extend(opened.into_iter().map(|one| (one, pair.remote))),
            Err(errors) => screen::narrate(&format!(
                "Unable to listen on port {}: Listeners failed to create with the following errors: [{}]\n",
                pair.local,
                errors.join(" ")
            )),
        }
    }
    if listeners.is_empty() {
        let pairs: Vec<String> =
            pairs.iter().map(|pair| format!("{{{} {}}}", pair.local, pair.remote)).collect();
        let text = format!("unable to listen on any of the requested ports: [{}]", pairs.join(" "));
        return Err(Failure::new(Kind::Failed, text));
    }
    for (listener, remote) in &listeners {
        let address = listener.local_addr()?;
        screen::answer(&format!("Forwarding from {address} -> {remote}\n"))?;
    }
    Ok(listeners)
}

/// Listens for one pair: of the addresses that mean the same, one is enough.
fn listen_for(pair: Pair, addresses: &[Vec<IpAddr>]) -> Result<Vec<TcpListener>, Vec<String>> {
    let mut listeners = Vec::new();
    let mut local = pair.local;
    for alternatives in addresses {
        let mut errors = Vec::new();
        let before = listeners.len();
        for address in alternatives {
            match TcpListener::bind((*address, local)) {
                Ok(listener) => {
                    // What the first one got by chance is the port of all.
                    local = listener.local_addr().map_or(local, |address| address.port());
                    listeners.push(listener);
                }
                Err(error) => errors.push(bind_error(*address, local, &error)),
            }
        }
        if listeners.len() == before {
            return Err(errors);
        }
    }
    Ok(listeners)
}

fn bind_error(address: IpAddr, port: u16, error: &io::Error) -> String {
    let (version, shown) = match address {
        IpAddr::V4(address) => ("tcp4", format!("{address}:{port}")),
        IpAddr::V6(address) => ("tcp6", format!("[{address}]:{port}")),
    };
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => "address already in use".to_owned(),
        io::ErrorKind::AddrNotAvailable => "cannot assign requested address".to_owned(),
        _ => error.to_string(),
    };
    format!("unable to create listener: Error listen {version} {shown}: bind: {text}")
}

fn addresses(texts: &[String]) -> Result<Vec<Vec<IpAddr>>, String> {
    let address = |text: &String| match text.as_str() {
        "localhost" => Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]),
        other => match other.parse() {
            Ok(address) => Ok(vec![address]),
            Err(_) => Err(format!("{other} is not a valid IP")),
        },
    };
    texts.iter().map(address).collect()
}

/// Reads `[LOCAL:]REMOTE`.
fn pair(text: &str, pod: &v1::Pod) -> Result<Pair, String> {
    let (local, remote) = match text.split(':').collect::<Vec<_>>().as_slice() {
        [both] => (None, *both),
        [local, remote] => (Some(*local), *remote),
        _ => return Err(format!("invalid port format '{text}'")),
    };
    let number = remote_port(remote, pod)?;
    let local = match local {
        None => number,
        Some("") => 0,
        Some(local) => local
            .parse()
            .map_err(|_| format!("error parsing local port '{local}': it is no port number"))?,
    };
    Ok(Pair { local, remote: number })
}

fn remote_port(text: &str, pod: &v1::Pod) -> Result<u16, String> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let ports: Vec<&v1::ContainerPort> =
        containers.flat_map(|container| container.ports.iter().flatten()).collect();
    let number = match text.parse::<u16>() {
        Ok(0) => return Err("remote port must be > 0".into()),
        Ok(number) => number,
        Err(_) if text.is_empty() || text.chars().all(|one| one.is_ascii_digit()) => {
            return Err(format!("error parsing remote port '{text}': it is no port number"));
        }
        Err(_) => {
            let named = ports.iter().find(|port| port.name.as_deref() == Some(text));
            let named = named.and_then(|port| u16::try_from(port.container_port).ok());
            named.ok_or_else(|| {
                let pod = pod.metadata.name.as_deref().unwrap_or_default();
                format!("Pod '{pod}' does not have a named port '{text}'")
            })?
        }
    };
    let mut same = ports.iter().filter(|port| port.container_port == i32::from(number)).peekable();
    let is_udp = |port: &&&v1::ContainerPort| port.protocol.as_deref() == Some("UDP");
    if same.peek().is_some() && same.all(|port| is_udp(&port)) {
        return Err(format!("UDP protocol is not supported for {text}"));
    }
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> v1::Pod {
        let port = |name: &str, number, protocol: &str| v1::ContainerPort {
            name: Some(name.into()),
            container_port: number,
            protocol: Some(protocol.into()),
            ..v1::ContainerPort::default()
        };
        let ports = vec![port("http", 80, "TCP"), port("dns", 53, "UDP")];
        let container = v1::Container { ports: Some(ports), ..v1::Container::default() };
        let spec = v1::PodSpec { containers: vec![container], ..v1::PodSpec::default() };
        let mut pod = v1::Pod { spec: Some(spec), ..v1::Pod::default() };
        pod.metadata.name = Some("web".into());
        pod
    }

    #[test]
    fn ports_are_read_as_kubectl_reads_them() {
        for (text, local, remote) in [
            ("8080", 8080, 8080),
            ("8080:80", 8080, 80),
            (":80", 0, 80),
            ("0:80", 0, 80),
            ("http", 80, 80),
            ("8080:http", 8080, 80),
        ] {
            assert_eq!(pair(text, &pod()), Ok(Pair { local, remote }), "{text}");
        }
        for (text, error) in [
            ("1:2:3", "invalid port format '1:2:3'"),
            ("80:0", "remote port must be > 0"),
            ("65536", "error parsing remote port '65536': it is no port number"),
            ("x:80", "error parsing local port 'x': it is no port number"),
            ("web", "Pod 'web' does not have a named port 'web'"),
            ("dns", "UDP protocol is not supported for dns"),
            ("53", "UDP protocol is not supported for 53"),
        ] {
            assert_eq!(pair(text, &pod()), Err(error.into()), "{text}");
        }
    }

    #[test]
    fn of_localhost_one_address_is_enough_and_of_others_all_are_needed() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = taken.local_addr().unwrap().port();
        let pair = Pair { local, remote: 80 };
        let errors = listen_for(pair, &addresses(&["127.0.0.1".into()]).unwrap()).unwrap_err();
        let text = format!(
            "unable to create listener: Error listen tcp4 127.0.0.1:{local}: bind: address already in use"
        );
        assert_eq!(errors, [text]);
        let both = ["127.0.0.2".to_owned(), "127.0.0.1".to_owned()];
        assert!(listen_for(pair, &addresses(&both).unwrap()).is_err());
        let any = Pair { local: 0, remote: 80 };
        let opened = listen_for(any, &addresses(&["localhost".into()]).unwrap()).unwrap();
        let ports: Vec<u16> = opened.iter().map(|one| one.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
        assert!(addresses(&["nowhere".into()]).is_err());
    }
}
