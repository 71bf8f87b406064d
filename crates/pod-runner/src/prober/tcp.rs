//! TCP: whoever takes the connection is well.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Verdict;

/// Connects and closes.
pub(super) fn ask(host: &str, port: u16, timeout: Option<Duration>) -> Verdict {
    match connect(host, port, timeout) {
        Ok(_) => Verdict::Success,
        Err(message) => Verdict::Failure(message),
    }
}

/// Connects; the error reads as Go's network library words it.
pub(super) fn connect(
    host: &str,
    port: u16,
    timeout: Option<Duration>,
) -> Result<TcpStream, String> {
    let mut addresses = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("dial tcp: lookup {host}: {error}"))?;
    let address =
        addresses.next().ok_or_else(|| format!("dial tcp: lookup {host}: no such host"))?;
    let connected = match timeout {
        Some(timeout) => TcpStream::connect_timeout(&address, timeout),
        None => TcpStream::connect(address),
    };
    connected.map_err(|error| format!("dial tcp {address}: {}", go_error(&error)))
}

/// An error of connect(2) as Go prints it.
pub(super) fn go_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".into(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".into(),
        io::ErrorKind::ConnectionReset => "connection reset by peer".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_with_a_listener_is_well_and_one_without_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let second = Some(Duration::from_secs(1));
        assert_eq!(ask("127.0.0.1", port, second), Verdict::Success);
        drop(listener);
        assert_eq!(
            ask("127.0.0.1", port, second),
            Verdict::Failure(format!("dial tcp 127.0.0.1:{port}: connect: connection refused"))
        );
    }
}
