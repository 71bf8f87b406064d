//! A registry that does what a test tells it: HTTP/1.1, one request per connection.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use image_puller::Digest;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::image::TestImage;

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    /// How often this path was asked for, this time included.
    pub(crate) count: usize,
}

/// What happens to the body on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delivery {
    /// All of it comes.
    Whole,
    /// The connection is reset after so many bytes.
    ResetAfter(usize),
    /// Nothing more comes after so many bytes, and nothing ends.
    HangAfter(usize),
    /// It comes in so many pieces with a pause before each.
    Drip(usize, Duration),
    /// After it, zeros come for as long as somebody takes them.
    Endless,
}

/// What the head says about the length of the body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    Exact,
    Declared(usize),
    Chunked,
    /// Nothing: the end of the connection is the end of the body.
    Unsaid,
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) length: Length,
    pub(crate) delivery: Delivery,
}

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (length, delivery) = (Length::Exact, Delivery::Whole);
        Self { status, headers: Vec::new(), body: body.into(), length, delivery }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn length(self, length: Length) -> Self {
        Self { length, ..self }
    }

    pub(crate) fn delivery(self, delivery: Delivery) -> Self {
        Self { delivery, ..self }
    }
}

impl Request {
    pub(crate) fn is_blob(&self) -> bool {
        self.path.contains("/blobs/")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The N of `Range: bytes=N-`.
    pub(crate) fn from(&self) -> Option<usize> {
        self.header("range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// What a well-behaved registry answers.
pub(crate) fn honest(image: &TestImage, request: &Request) -> Answer {
    let Some((media_type, bytes)) = image.content(&request.path) else {
        return Answer::new(404, "{}");
    };
    match request.from() {
        Some(from) if from >= bytes.len() => {
            Answer::new(416, "").with("Content-Range", format!("bytes */{}", bytes.len()))
        }
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", bytes.len() - 1, bytes.len());
            Answer::new(206, &bytes[from..]).with("Content-Range", range)
        }
        None => {
            let digest = Digest::of(&bytes).to_string();
            Answer::new(200, bytes)
                .with("Content-Type", media_type)
                .with("Docker-Content-Digest", digest)
        }
    }
}

/// Whoever asks.
trait Peer: Read + Write {}

impl<T: Read + Write> Peer for T {}

/// A running registry; it ends with the value.
pub(crate) struct Registry {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    log: Mutex<Vec<Request>>,
    sent: AtomicU64,
    stop: AtomicBool,
    behavior: Box<dyn Fn(&Request) -> Answer + Send + Sync>,
    /// What it speaks to those who come through it as through a proxy.
    tls: Option<Arc<ServerConfig>>,
    /// What it says instead to those who want to go through it.
    refusal: Option<&'static str>,
}

impl Registry {
    pub(crate) fn start(behavior: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_with(None, behavior)
    }

    /// One that is also a proxy: whatever is reached through it is itself, with TLS.
    pub(crate) fn start_with(
        tls: Option<Arc<ServerConfig>>,
        behavior: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        Self::listen(listener, tls, behavior)
    }

    /// A proxy that lets nobody through.
    pub(crate) fn refusing_to_connect(status: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
        Self::listen_with(listener, (None, Some(status)), |_| Answer::new(500, ""))
    }

    /// One that can be reached by IPv6 alone.
    pub(crate) fn start_ipv6(image: &TestImage) -> Self {
        let image = image.clone();
        let listener = TcpListener::bind("[::1]:0").expect("the loopback has free ports");
        Self::listen(listener, None, move |request| honest(&image, request))
    }

    fn listen(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        behavior: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::listen_with(listener, (tls, None), behavior)
    }

    fn listen_with(
        listener: TcpListener,
        (tls, refusal): (Option<Arc<ServerConfig>>, Option<&'static str>),
        behavior: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("the listener is bound");
        let shared = Arc::new(Shared {
            log: Mutex::default(),
            sent: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            behavior: Box::new(behavior),
            tls,
            refusal,
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if accepting.stop.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&accepting);
                // A client that goes away in the middle is no concern of ours.
                thread::spawn(move || shared.serve(stream).ok());
            }
        });
        Self { address, shared }
    }

    /// One that serves an image, except where `fault` has another answer.
    pub(crate) fn serving(
        image: &TestImage,
        fault: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let image = image.clone();
        Self::start(move |request| fault(request, honest(&image, request)))
    }

    /// `127.0.0.1:port`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Another name of the same place, and so another host to everybody who compares names.
    pub(crate) fn other_host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.log.lock().expect("no handler panics").clone()
    }

    pub(crate) fn requests_for(&self, part: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path.contains(part)).collect()
    }

    /// Bytes of bodies that clients took.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address); // wakes the one that accepts
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> std::io::Result<()> {
        if is_tls(&stream)? {
            return Ok(()); // it speaks plain HTTP
        }
        let request = self.read_request(&mut BufReader::new(&stream))?;
        if let (Some(refusal), "CONNECT") = (self.refusal, request.method.as_str()) {
            (&stream).write_all(format!("HTTP/1.1 {refusal}\r\n\r\n").as_bytes())?;
            return stream.shutdown(Shutdown::Write);
        }
        match &self.tls {
            Some(tls) if request.method == "CONNECT" => {
                (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                let connection = ServerConnection::new(Arc::clone(tls));
                let connection = connection.map_err(std::io::Error::other)?;
                let mut inner = StreamOwned::new(connection, stream.try_clone()?);
                let request = self.read_request(&mut BufReader::new(&mut inner))?;
                self.respond(&request, &mut inner, &stream)?;
                inner.conn.send_close_notify();
                inner.flush()?;
            }
            None if request.method == "CONNECT" => {
                (&stream).write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
                (&stream).read_exact(&mut [0])?;
                (&stream).write_all(b"HTTP/1.1 400 This is no TLS\r\n\r\n")?;
            }
            _ => self.respond(&request, &mut &stream, &stream)?,
        }
        stream.shutdown(Shutdown::Write)
    }

    fn read_request(&self, reader: &mut impl BufRead) -> std::io::Result<Request> {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let method = words.next().unwrap_or_default();
        let path = words.next().unwrap_or_default();
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body).into_owned();
        let mut log = self.log.lock().expect("no handler panics");
        let count = log.iter().filter(|known| known.path == path).count() + 1;
        let request = Request { method, path, headers, body, count };
        log.push(request.clone());
        Ok(request)
    }

    fn respond(
        &self,
        request: &Request,
        stream: &mut impl Peer,
        socket: &TcpStream,
    ) -> std::io::Result<()> {
        let mut answer = (self.behavior)(request);
        stream.write_all(head(&answer).as_bytes())?;
        if request.method == "HEAD" {
            answer.body.clear();
        }
        self.send_body(stream, socket, &answer)
    }

    fn send_body(
        &self,
        stream: &mut impl Peer,
        socket: &TcpStream,
        answer: &Answer,
    ) -> std::io::Result<()> {
        let body = answer.body.as_slice();
        match answer.delivery {
            Delivery::Whole => self.send(stream, answer, body)?,
            Delivery::ResetAfter(count) => {
                self.send(stream, answer, &body[..count.min(body.len())])?;
                return rustix::net::sockopt::set_socket_linger(socket, Some(Duration::ZERO))
                    .map_err(Into::into);
            }
            Delivery::HangAfter(count) => {
                self.send(stream, answer, &body[..count.min(body.len())])?;
                let _ = stream.read(&mut [0]); // until the client goes
                return Ok(());
            }
            Delivery::Drip(pieces, pause) => {
                for piece in body.chunks(body.len().div_ceil(pieces)) {
                    thread::sleep(pause);
                    self.send(stream, answer, piece)?;
                }
            }
            Delivery::Endless => {
                self.send(stream, answer, body)?;
                while !self.stop.load(Ordering::Relaxed) {
                    self.send(stream, answer, &[0; 16384])?;
                }
            }
        }
        if matches!(answer.length, Length::Chunked) {
            stream.write_all(b"0\r\n\r\n")?;
        }
        Ok(())
    }

    fn send(&self, stream: &mut impl Peer, answer: &Answer, bytes: &[u8]) -> std::io::Result<()> {
        if matches!(answer.length, Length::Chunked) && !bytes.is_empty() {
            stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes())?;
            stream.write_all(bytes)?;
            stream.write_all(b"\r\n")?;
        } else {
            stream.write_all(bytes)?;
        }
        self.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// Whether the client begins with a TLS record.
fn is_tls(stream: &TcpStream) -> std::io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first)? == 1 && first[0] == 0x16)
}

fn head(answer: &Answer) -> String {
    let mut head = format!("HTTP/1.1 {} Answer\r\nConnection: close\r\n", answer.status);
    match answer.length {
        Length::Exact => head += &format!("Content-Length: {}\r\n", answer.body.len()),
        Length::Declared(length) => head += &format!("Content-Length: {length}\r\n"),
        Length::Chunked => head += "Transfer-Encoding: chunked\r\n",
        Length::Unsaid => {}
    }
    for (name, value) in &answer.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + "\r\n"
}
