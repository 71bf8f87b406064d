//! A machine of our own for each test: a network namespace that plays the machine, others that
//! play pods and the internet.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use sandbox::network::{
    Egress, HostPort, NetworkError, NetworkSettings, PodAddress, PodNetworkRequest, Protocol,
    attach, detach, loopback_up,
};
use tempfile::TempDir;

/// How long anything may take before it counts as not happening.
const DEADLINE: Duration = Duration::from_secs(2);
/// How long to wait for what must not happen.
const PATIENCE: Duration = Duration::from_millis(200);

/// A network namespace, there as long as this value.
pub(crate) struct Namespace(File);

impl Namespace {
    /// A new one with its loopback up.
    pub(crate) fn new() -> Self {
        let open = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            loopback_up().unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        Self(std::thread::spawn(open).join().unwrap())
    }

    /// As for a pod: nothing is up.
    pub(crate) fn bare() -> Self {
        let open = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            File::open("/proc/thread-self/ns/net").unwrap()
        };
        Self(std::thread::spawn(open).join().unwrap())
    }

    /// Runs something on a thread of its own inside the namespace.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `ip` with these words.
    pub(crate) fn ip(&self, words: &str) -> String {
        self.run(|| {
            let output = Command::new("ip").args(words.split_whitespace()).output().unwrap();
            let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "ip {words}: {complaint}");
            String::from_utf8(output.stdout).unwrap()
        })
    }

    /// Sets a switch below `/proc/sys/net`.
    pub(crate) fn set(&self, switch: &str, value: &str) {
        self.run(|| std::fs::write(format!("/proc/sys/net/{switch}"), value)).unwrap();
    }

    /// What a switch below `/proc/sys/net` says.
    pub(crate) fn get(&self, switch: &str) -> String {
        let text = self.run(|| std::fs::read_to_string(format!("/proc/sys/net/{switch}"))).unwrap();
        text.trim().to_owned()
    }

    /// A TCP listener inside.
    pub(crate) fn listen(&self, address: &str) -> TcpListener {
        self.run(|| TcpListener::bind(address).unwrap())
    }

    /// A UDP socket inside.
    pub(crate) fn udp(&self, address: &str) -> UdpSocket {
        let socket = self.run(|| UdpSocket::bind(address).unwrap());
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// Connects from inside, and checks on the other end that a byte comes through both ways.
    /// Returns the address from which the other end saw the connection come.
    pub(crate) fn talk(&self, to: impl Into<SocketAddr>, listener: &TcpListener) -> IpAddr {
        let to = to.into();
        let mut stream = self
            .run(|| TcpStream::connect_timeout(&to, DEADLINE))
            .unwrap_or_else(|error| panic!("cannot reach {to}: {error}"));
        let (mut other, from) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        other.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut byte = [0];
        stream.write_all(b"?").unwrap();
        other.read_exact(&mut byte).unwrap();
        other.write_all(b"!").unwrap();
        stream.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"!");
        from.ip()
    }

    /// Tries to connect from inside and tells how it failed.
    pub(crate) fn fails_to_reach(&self, to: impl Into<SocketAddr>) -> ErrorKind {
        let to = to.into();
        let result = self.run(|| TcpStream::connect_timeout(&to, PATIENCE));
        result.expect_err(&format!("{to} can be reached")).kind()
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A machine with a lease directory of its own.
pub(crate) struct Machine {
    pub(crate) namespace: Arc<Namespace>,
    pub(crate) settings: NetworkSettings,
    directory: Arc<TempDir>,
}

/// The machine's address on the wire to the internet.
pub(crate) const MACHINE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// The internet's.
pub(crate) const INTERNET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// A pod as the network sees it.
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) namespace: Namespace,
    pub(crate) address: PodAddress,
}

impl Machine {
    /// A machine without a wire.
    pub(crate) fn new() -> Self {
        let directory = Arc::new(TempDir::new().unwrap());
        let settings = NetworkSettings::new(directory.path().join("network"));
        let namespace = Arc::new(Namespace::new());
        // A new namespace takes its switches over from the machine that the tests run on.
        for switch in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            namespace.run(|| std::fs::write(format!("/proc/sys/net/{switch}"), "0")).unwrap();
        }
        Self { namespace, settings, directory }
    }

    /// The same machine with another pod network on it.
    pub(crate) fn second_network(&self) -> Self {
        let settings = NetworkSettings {
            bridge: NetworkSettings::bridge_for("/elsewhere"),
            cidr: "10.86.0.0/16".parse().unwrap(),
            ..NetworkSettings::new(self.directory.path().join("elsewhere"))
        };
        let (namespace, directory) = (self.namespace.clone(), self.directory.clone());
        Self { namespace, settings, directory }
    }

    /// A machine and, at the other end of a wire, the internet.
    pub(crate) fn with_internet() -> (Self, Namespace) {
        let (machine, internet) = (Self::new(), Namespace::new());
        for end in [&machine.namespace, &internet] {
            end.run(|| std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"))
                .unwrap();
        }
        let raw = std::os::fd::AsRawFd::as_raw_fd(&internet.0);
        let path = format!("/proc/{}/fd/{raw}", std::process::id());
        machine
            .namespace
            .ip(&format!("link add wire mtu 1400 type veth peer name wire mtu 1400 netns {path}"));
        machine.namespace.ip("address add 192.0.2.2/24 dev wire");
        machine.namespace.ip("link set wire up");
        internet.ip("address add 192.0.2.1/24 dev wire");
        internet.ip("link set wire up");
        machine.namespace.ip("route add default via 192.0.2.1");
        // The kernel notices a moment later that the wire is up, unless it is asked.
        for end in [&machine.namespace, &internet] {
            assert!(end.ip("link show dev wire").contains("LOWER_UP"));
        }
        (machine, internet)
    }

    /// Attaches a pod with a uid like those of Kubernetes.
    pub(crate) fn pod(&self, host_ports: &[HostPort]) -> Pod {
        self.try_pod(&fresh_uid(), host_ports).unwrap()
    }

    /// Attaches a pod; its namespace goes if that fails.
    pub(crate) fn try_pod(&self, uid: &str, host_ports: &[HostPort]) -> Result<Pod, NetworkError> {
        let namespace = Namespace::bare();
        let address = self.attach(uid, &namespace, host_ports)?;
        Ok(Pod { uid: uid.to_owned(), namespace, address })
    }

    pub(crate) fn attach(
        &self,
        uid: &str,
        namespace: &Namespace,
        host_ports: &[HostPort],
    ) -> Result<PodAddress, NetworkError> {
        let request = PodNetworkRequest {
            pod_uid: uid,
            namespace: namespace.as_fd(),
            host_ports,
            egress: Egress::All,
            resolvers: &[],
        };
        self.namespace.run(|| attach(&self.settings, &request))
    }

    /// Attaches a pod that may not send packets everywhere.
    pub(crate) fn confined_pod(&self, egress: Egress, resolvers: &[IpAddr]) -> Pod {
        self.confined(egress, resolvers, &[tcp(8080, 80)])
    }

    fn confined(&self, egress: Egress, resolvers: &[IpAddr], host_ports: &[HostPort]) -> Pod {
        let (uid, namespace) = (fresh_uid(), Namespace::bare());
        let request = PodNetworkRequest {
            pod_uid: &uid,
            namespace: namespace.as_fd(),
            host_ports,
            egress,
            resolvers,
        };
        let address = self.namespace.run(|| attach(&self.settings, &request)).unwrap();
        Pod { uid, namespace, address }
    }

    /// A pod that reaches other pods only, and publishes nothing.
    pub(crate) fn confined_none_without_ports(&self) -> Pod {
        self.confined(Egress::None, &[], &[])
    }

    /// A machine and the internet that have IPv6 as well.
    pub(crate) fn with_internet6() -> (Self, Namespace) {
        let (mut machine, internet) = Self::with_internet();
        for (end, address) in [(&*machine.namespace, "fd00::2/64"), (&internet, "fd00::1/64")] {
            end.set("ipv6/conf/wire/disable_ipv6", "0");
            end.ip(&format!("address add {address} dev wire nodad"));
        }
        machine.settings.ipv6 = Some("fd85::/64".parse().unwrap());
        (machine, internet)
    }

    pub(crate) fn detach(&self, pod: &Pod) {
        self.namespace.run(|| detach(&self.settings, &pod.uid)).unwrap();
    }

    /// All that could be left behind: links, addresses, routes, what minipod knows of itself, and
    /// whether packets are passed on.
    pub(crate) fn state(&self) -> String {
        let traces = self.namespace.run(|| sandbox::network::traces(&self.settings)).unwrap();
        let forwarding = self.namespace.run(|| {
            ["/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"]
                .map(|path| std::fs::read_to_string(path).unwrap())
        });
        let links = self.namespace.ip("-o link");
        let addresses = self.namespace.ip("-o address");
        let routes = self.namespace.ip("route show table all");
        format!("{traces:#?}\n{forwarding:?}\n{links}\n{addresses}\n{routes}")
    }
}

/// A uid like `00000001-…`, another one each time.
pub(crate) fn fresh_uid() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0xc0de_0000);
    format!("{:08x}-0000-4000-8000-000000000000", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// `hostPort` to `containerPort`, TCP, on every address.
pub(crate) fn tcp(host_port: u16, container_port: u16) -> HostPort {
    HostPort { host_ip: None, host_port, container_port, protocol: Protocol::Tcp }
}
