//! Addresses where nobody answers, and names that have several.

use std::fs;
use std::net::{Ipv6Addr, SocketAddrV6, TcpStream};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};

use crate::child;
use crate::image::TestImage;
use crate::registry::Registry;
use crate::store::Scratch;

/// `[::1]:port`, where connections are swallowed: the kernel drops what comes while as many are
/// waiting as may wait, and one is.
struct BlackHole {
    address: SocketAddrV6,
    _listener: OwnedFd,
    _waiting: TcpStream,
}

impl BlackHole {
    fn at(port: u16) -> Self {
        let address = SocketAddrV6::new(Ipv6Addr::LOCALHOST, port, 0, 0);
        let listener = socket(AddressFamily::INET6, SocketType::STREAM, None).expect("a socket");
        bind(&listener, &address).expect("the port is free for IPv6");
        listen(&listener, 0).expect("it is bound");
        let address = getsockname(&listener).expect("it is bound");
        let address = SocketAddrV6::try_from(address).expect("it is of that family");
        let waiting = TcpStream::connect(address).expect("one may wait");
        Self { address, _listener: listener, _waiting: waiting }
    }
}

///
#[test]
fn an_address_that_swallows_packets_is_given_up() {
    let mut scratch = Scratch::new();
    scratch.patience.connect = Duration::from_millis(300);
    let hole = BlackHole::at(0);
    let started = Instant::now();
    let error = scratch.pull(&hole.address.to_string()).expect_err("nobody answers");
    assert!(error.is_unreachable(), "{error:?}");
    assert!((300..5000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    let hint = error.hint().expect("there is something to do");
    assert!(hint.contains(&hole.address.to_string()), "{hint}");
    scratch.assert_empty("nobody answered");
}

///
#[test]
fn of_two_addresses_one_swallows_packets_and_the_other_is_taken() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&image, |_, answer| answer);
    let port = registry.host().rsplit(':').next().and_then(|port| port.parse().ok());
    let hole = BlackHole::at(port.expect("it has a port"));
    let write = |name: &str, text: String| {
        let path = scratch.path().join(name);
        fs::write(&path, text).expect("it is ours");
        path
    };
    let hosts = write("hosts", "::1 both.test\n127.0.0.1 both.test\n".to_owned());
    let place = format!("both.test:{}", hole.address.port());
    write("registries.conf", format!("[[registry]]\nlocation = '{place}'\ninsecure = true\n"));
    let reference = crate::store::reference(&place);
    let started = Instant::now();
    let command = child::with_hosts(&child::command(&scratch, &reference), &hosts);
    let pulled = child::say(&scratch, command);
    assert_eq!(pulled, Ok(image.layers[0].blob.len() as u64));
    // The first address is waited for a little and not until there is no patience left.
    assert!((200..10_000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
}
