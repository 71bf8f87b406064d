//! TCP: whoever takes the connection is well.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use super::deadline::Deadline;
use super::{Verdict, names};

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Refused {
    /// Whether only the time was not enough.
    pub(super) timed_out: bool,
    /// The error as Go's network library words it.
    pub(super) text: String,
}

/// Connects and closes.
pub(super) fn ask(host: &str, port: u16, timeout: Option<Duration>) -> Verdict {
    match connect(host, port, Deadline::after(timeout)) {
        Ok(_) => Verdict::Success,
        Err(refused) => Verdict::Failure(refused.text),
    }
}

/// Connects to the first of the host's addresses that takes the connection.
pub(super) fn connect(host: &str, port: u16, deadline: Deadline) -> Result<TcpStream, Refused> {
    let unknown = |why: String| Refused { timed_out: false, text: why };
    let addresses = names::addresses(host, port)
        .map_err(|_| unknown(format!("dial tcp: lookup {host}: no such host")))?;
    let mut first = None;
    for address in addresses {
        let connected = deadline.left().and_then(|left| match left {
            Some(left) => TcpStream::connect_timeout(&address, left),
            None => TcpStream::connect(address),
        });
        let error = match connected {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let text = format!("dial tcp {address}: {}", dial_error(&error));
        first.get_or_insert(Refused { timed_out: error.kind() == io::ErrorKind::TimedOut, text });
    }
    Err(first.unwrap_or_else(|| unknown(format!("dial tcp: lookup {host}: no such host"))))
}

/// An error of connect(2) as Go prints it.
fn dial_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => "i/o timeout".into(),
        _ => format!("connect: {}", errno_text(error)),
    }
}

/// The kernel's word for an error in small letters, without the number that Rust adds.
pub(super) fn errno_text(error: &io::Error) -> String {
    let number = error.raw_os_error().map(nix::errno::Errno::from_raw);
    number.map_or_else(|| error.to_string(), |errno| errno.desc().to_lowercase())
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

    #[test]
    fn nobody_there_is_a_time_out() {
        // A listener whose queue is full lets connections hang, like a host that is gone.
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::INET,
            rustix::net::SocketType::STREAM,
            None,
        )
        .unwrap();
        let any = std::net::SocketAddrV4::new([127, 0, 0, 1].into(), 0);
        rustix::net::bind(&socket, &any).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let listener = TcpListener::from(socket);
        let address = listener.local_addr().unwrap();
        let _filler = TcpStream::connect(address).unwrap();
        let verdict = ask("127.0.0.1", address.port(), Some(Duration::from_millis(50)));
        assert_eq!(verdict, Verdict::Failure(format!("dial tcp {address}: i/o timeout")));
    }
}
