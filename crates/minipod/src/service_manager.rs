//! What a service manager is told that has started this process (`sd_notify(3)`).

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

const SOCKET: &str = "NOTIFY_SOCKET";

/// Whether there is one that wants to be told (`Type=notify`).
pub(crate) fn is_there() -> bool {
    env::var_os(SOCKET).is_some_and(|address| !address.is_empty())
}

/// Tells it, for example `READY=1`. It may be gone; then there is nobody to tell.
pub(crate) fn tell(state: &str) {
    if let Some(address) = env::var_os(SOCKET).filter(|address| !address.is_empty()) {
        let _ = send(&address, state);
    }
}

fn send(address: &OsStr, state: &str) -> io::Result<usize> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(address)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_address_are_reached() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        let name = format!("minipod-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let by_name = UnixDatagram::bind_addr(&address).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        send(OsStr::new(&format!("@{name}")), "STOPPING=1").unwrap();
        let received = |socket: UnixDatagram| {
            let mut text = [0; 64];
            let length = socket.recv(&mut text).unwrap();
            String::from_utf8_lossy(&text[..length]).into_owned()
        };
        assert_eq!([received(by_path), received(by_name)], ["READY=1", "STOPPING=1"]);
    }
}
