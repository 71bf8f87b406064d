use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use rustls::pki_types::pem::PemObject;

use super::*;

/// How long a test waits for an answer that comes.
const LONG: Option<Duration> = Some(Duration::from_secs(10));
/// How long it waits for one that does not.
const SHORT: Option<Duration> = Some(Duration::from_millis(100));

/// A server that answers one request after the other with these texts; it returns the requests.
struct Server {
    port: u16,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn new(answers: Vec<String>) -> Self {
        Self::on("127.0.0.1", |_| answers)
    }

    fn on(host: &str, answers: impl FnOnce(u16) -> Vec<String>) -> Self {
        let listener = TcpListener::bind((host, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers = answers(port);
        let thread = thread::spawn(move || {
            let serve = |answer: String| {
                let (mut stream, _) = listener.accept().unwrap();
                let request = request_of(&mut stream);
                let _ = stream.write_all(answer.as_bytes()); // the prober may have heard enough
                request
            };
            answers.into_iter().map(serve).collect()
        });
        Self { port, thread }
    }

    fn asked(self, path: &str, headers: &[(&str, &str)], asker: Asker) -> (Verdict, Vec<String>) {
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let verdict = ask(&plain(self.port, path, &headers), LONG, asker);
        (verdict, self.thread.join().unwrap())
    }
}

fn plain<'a>(port: u16, path: &'a str, headers: &'a [(String, String)]) -> Request<'a> {
    Request { tls: false, host: "127.0.0.1", port, path, headers }
}

fn request_of(stream: &mut impl Read) -> String {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        request.push(byte[0]);
    }
    String::from_utf8(request).unwrap()
}

fn redirect(to: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 4\r\n\r\ngone")
}

#[test]
fn the_status_decides_for_a_probe_and_not_for_a_hook() {
    for (answer, asker, verdict) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Asker::Probe, "well"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 204\r\n\r\n", Asker::Probe, "well"),
        ("HTTP/1.1 500 Oops\r\n\r\n", Asker::Probe, "HTTP probe failed with statuscode: 500"),
        ("HTTP/1.1 500 Oops\r\n\r\n", Asker::Hook, "well"),
        ("", Asker::Probe, "EOF"),
        ("HTTP/1.1 2", Asker::Probe, "unexpected EOF"),
        (
            "nonsense\r\n\r\n",
            Asker::Hook,
            "net/http: HTTP/1.x transport connection broken: malformed HTTP response \"nonsense\"",
        ),
    ] {
        let (found, _) = Server::new(vec![answer.into()]).asked("/", &[], asker);
        match found {
            Verdict::Success => assert_eq!("well", verdict, "{answer}"),
            Verdict::Failure(text) => assert!(text.ends_with(verdict), "{answer}: {text}"),
            other => panic!("{answer}: {other:?}"),
        }
    }
}

#[test]
fn a_request_has_a_kubelets_headers_unless_the_manifest_has_others() {
    let well = "HTTP/1.1 200 OK\r\n\r\n";
    let (_, requests) = Server::new(vec![well.into()]).asked("/healthz", &[], Asker::Probe);
    assert!(requests[0].starts_with("GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:"));
    assert!(requests[0].contains("User-Agent: kube-probe/1.36\r\nAccept: */*\r\n"));
    let (_, requests) = Server::new(vec![well.into()]).asked("/", &[], Asker::Hook);
    assert!(requests[0].contains("User-Agent: kube-lifecycle/1.36\r\n"));
    let stated = [
        ("host", "example.com"),
        ("User-Agent", "mine"),
        ("accept", ""),
        ("X-A", "b"),
        ("X-B", "c\r\nX-Smuggled: d"),
    ];
    let (_, requests) = Server::new(vec![well.into()]).asked("/", &stated, Asker::Probe);
    assert_eq!(
        requests[0],
        "GET / HTTP/1.1\r\nHost: example.com\r\nUser-Agent: mine\r\nX-A: b\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn redirects_of_the_same_host_are_followed_ten_times() {
    let well = "HTTP/1.1 200 OK\r\n\r\n".to_owned();
    let (verdict, requests) =
        Server::new(vec![redirect("/b"), redirect("c?d"), well]).asked("/a/", &[], Asker::Probe);
    assert_eq!(verdict, Verdict::Success);
    let lines: Vec<&str> = requests.iter().filter_map(|text| text.lines().next()).collect();
    assert_eq!(lines, ["GET /a/ HTTP/1.1", "GET /b HTTP/1.1", "GET /c?d HTTP/1.1"]);
    let (verdict, requests) =
        Server::new(vec![redirect("/again"); 10]).asked("/", &[], Asker::Probe);
    assert!(
        matches!(&verdict, Verdict::Failure(text) if text.ends_with("/again\": stopped after 10 redirects"))
    );
    assert_eq!(requests.len(), 10);
}

#[test]
fn a_redirect_to_another_host_is_well_and_worth_a_warning() {
    let to_metadata = vec![redirect("http://169.254.169.254/latest")];
    let (verdict, requests) = Server::new(to_metadata).asked("/", &[], Asker::Probe);
    let text = "Probe terminated redirects, Response body: gone";
    assert_eq!(verdict, Verdict::Warning(text.into()));
    assert_eq!(requests.len(), 1);
    let not_modified = vec!["HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()];
    let (verdict, _) = Server::new(not_modified).asked("/", &[], Asker::Probe);
    assert!(matches!(verdict, Verdict::Warning(_)));
}

#[test]
fn a_body_is_read_to_ten_kibibytes_however_it_is_sent() {
    let elsewhere = "HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\n";
    let body = "x".repeat(20_000);
    let chunked =
        format!("{elsewhere}Transfer-Encoding: chunked\r\n\r\n3\r\nab\n\r\n4e20\r\n{body}");
    for (answer, begins) in [
        (format!("{elsewhere}\r\n{body}"), "xxx"),
        (format!("{elsewhere}Content-Length: 20000\r\n\r\n{body}"), "xxx"),
        (chunked, "ab\nx"),
    ] {
        let (verdict, _) = Server::new(vec![answer]).asked("/", &[], Asker::Probe);
        let Verdict::Warning(text) = verdict else { panic!("{verdict:?}") };
        let text = text.trim_start_matches("Probe terminated redirects, Response body: ");
        assert!(text.starts_with(begins), "{}", &text[..10]);
        assert_eq!(text.len(), answer::MOST_BODY);
    }
    let cut = vec!["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc".to_owned()];
    let (verdict, _) = Server::new(cut).asked("/", &[], Asker::Probe);
    assert_eq!(verdict, Verdict::Unknown("unexpected EOF".into()));
}

/// A server that sends this and then a byte at a time, for as long as somebody listens.
fn drip(beginning: &'static str, drop: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(beginning.as_bytes());
        // Waits for the prober to go, a little at a time.
        stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
        while stream.write_all(drop.as_bytes()).is_ok() {
            let _ = stream.read(&mut [0; 4096]);
        }
    });
    port
}

#[test]
fn slow_headers_and_an_endless_body_end_with_the_time() {
    let port = drip("HTTP/1.1 200 OK\r\n", "X: y\r\n");
    let verdict = ask(&plain(port, "/", &[]), SHORT, Asker::Probe);
    assert_eq!(
        verdict,
        Verdict::Failure(format!("Get \"http://127.0.0.1:{port}/\": {NO_HEADERS}"))
    );
    let port = drip("HTTP/1.1 200 OK\r\n\r\n", "x");
    let verdict = ask(&plain(port, "/", &[]), SHORT, Asker::Probe);
    assert_eq!(verdict, Verdict::Unknown(NO_BODY.into()));
}

#[test]
fn a_closed_port_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let verdict = ask(&plain(port, "/x", &[]), LONG, Asker::Probe);
    let text = format!(
        "Get \"http://127.0.0.1:{port}/x\": dial tcp 127.0.0.1:{port}: connect: connection refused"
    );
    assert_eq!(verdict, Verdict::Failure(text));
}

/// A server with a certificate that nobody would trust.
fn tls_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let files = concat!(env!("CARGO_MANIFEST_DIR"), "/../../rootfs-fixtures/files/");
    let read = |name: &str| std::fs::read(format!("{files}{name}")).unwrap();
    let certificate = rustls::pki_types::CertificateDer::from_pem_slice(&read("example-com.crt"));
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(&read("example-com.key"));
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.unwrap()], key.unwrap())
        .unwrap();
    thread::spawn(move || {
        let (stream, _): (TcpStream, _) = listener.accept().unwrap();
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, stream);
        request_of(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nwell").unwrap();
    });
    port
}

#[test]
fn https_asks_no_certificate_for_its_name() {
    let request = Request { tls: true, ..plain(tls_server(), "/", &[]) };
    assert_eq!(ask(&request, LONG, Asker::Probe), Verdict::Success);
}

#[test]
fn a_plain_answer_to_https_fails_a_probe_and_makes_a_hook_ask_again() {
    let plain_server = || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let mut last = String::new();
            for _ in 0..2 {
                let Ok((mut stream, _)) = listener.accept() else { break };
                let mut bytes = [0; 4096];
                let count = stream.read(&mut bytes).unwrap_or(0);
                last = String::from_utf8_lossy(&bytes[..count]).into_owned();
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
            last
        });
        (port, server)
    };
    let headers = [("Authorization".to_owned(), "Bearer x".to_owned())];
    let (port, _) = plain_server();
    let verdict = ask(&Request { tls: true, ..plain(port, "/", &headers) }, LONG, Asker::Probe);
    let text = format!("Get \"https://127.0.0.1:{port}/\": {PLAIN_ANSWER}");
    assert_eq!(verdict, Verdict::Failure(text));
    let (port, server) = plain_server();
    let verdict = ask(&Request { tls: true, ..plain(port, "/", &headers) }, LONG, Asker::Hook);
    let text = format!(
        "request to HTTPS lifecycle hook 127.0.0.1:{port} got HTTP response, retry with HTTP succeeded"
    );
    assert_eq!(verdict, Verdict::Warning(text));
    let last = server.join().unwrap();
    assert!(last.starts_with("GET / HTTP/1.1") && !last.contains("Authorization"), "{last}");
}
