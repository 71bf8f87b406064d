//! HTTP: 200 to 399 is well; for a hook any answer is.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::tcp::{connect, go_error};
use super::{Asker, Verdict};

/// More of an answer's body than this is not told.
const MOST_BODY: u64 = 10 * 1024;

/// A request.
pub(super) struct Request<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(String, String)],
}

/// Asks and judges.
pub(super) fn ask(request: &Request<'_>, timeout: Option<Duration>, asker: Asker) -> Verdict {
    let url = format!("http://{}:{}{}", request.host, request.port, request.path);
    let answered = connect(request.host, request.port, timeout)
        .and_then(|stream| exchange(stream, request, timeout, asker));
    match (answered, asker) {
        (Err(error), _) => Verdict::Failure(format!("Get \"{url}\": {error}")),
        (Ok(_), Asker::Hook) | (Ok(200..400), _) => Verdict::Success,
        (Ok(status), Asker::Probe) => {
            Verdict::Failure(format!("HTTP probe failed with statuscode: {status}"))
        }
    }
}

fn exchange(
    mut stream: TcpStream,
    request: &Request<'_>,
    timeout: Option<Duration>,
    asker: Asker,
) -> Result<u16, String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => {
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned()
        }
        _ => go_error(&error),
    };
    stream.set_read_timeout(timeout).map_err(failed)?;
    stream.set_write_timeout(timeout).map_err(failed)?;
    stream.write_all(text(request, asker).as_bytes()).map_err(failed)?;
    let mut answer = BufReader::new(stream.take(MOST_BODY));
    let mut line = String::new();
    answer.read_line(&mut line).map_err(failed)?;
    let status = line.split(' ').nth(1).and_then(|number| number.trim().parse().ok());
    status.ok_or_else(|| "malformed HTTP response".to_owned())
}

fn text(request: &Request<'_>, asker: Asker) -> String {
    let stated =
        |name: &str| request.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let host = stated("Host")
        .map_or_else(|| format!("{}:{}", request.host, request.port), |(_, value)| value.clone());
    let mut text =
        format!("GET {} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n", request.path);
    if stated("User-Agent").is_none() {
        let agent = match asker {
            Asker::Probe => "kube-probe/1.36",
            Asker::Hook => "kube-lifecycle/1.36",
        };
        text.push_str(&format!("User-Agent: {agent}\r\n"));
    }
    if stated("Accept").is_none() {
        text.push_str("Accept: */*\r\n");
    }
    for (name, value) in
        request.headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
    {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text + "\r\n"
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    fn answered(answer: &'static str, asker: Asker) -> (Verdict, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        let headers = [("X-A".to_owned(), "b".to_owned())];
        let request = Request { host: "127.0.0.1", port, path: "/healthz", headers: &headers };
        let verdict = ask(&request, Some(Duration::from_secs(5)), asker);
        (verdict, server.join().unwrap())
    }

    #[test]
    fn the_status_decides_for_a_probe_and_not_for_a_hook() {
        for (answer, asker, is_well) in [
            ("HTTP/1.1 200 OK\r\n\r\n", Asker::Probe, true),
            ("HTTP/1.1 302 Found\r\n\r\n", Asker::Probe, true),
            ("HTTP/1.1 500 Oops\r\n\r\n", Asker::Probe, false),
            ("HTTP/1.1 500 Oops\r\n\r\n", Asker::Hook, true),
            ("nonsense\r\n\r\n", Asker::Hook, false),
        ] {
            let (verdict, request) = answered(answer, asker);
            assert_eq!(verdict == Verdict::Success, is_well, "{answer}: {verdict:?}");
            assert!(request.starts_with("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
            assert!(request.contains("X-A: b\r\n") && request.contains("User-Agent: kube-"));
        }
    }
}
