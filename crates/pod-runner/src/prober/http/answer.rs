//! What a server answers.

use std::io::Read;

use super::Problem;
use super::connection::Connection;

/// More of a body than this is not read.
pub(super) const MOST_BODY: usize = 10 * 1024;
/// Headers that are longer than this are no answer.
const MOST_HEAD: usize = 256 * 1024;
/// More headers than this are no answer.
const MOST_HEADERS: usize = 512;
/// How many "100 Continue" and the like may come before the answer.
const MOST_INTERIM: usize = 5;
const BROKEN: &str = "net/http: HTTP/1.x transport connection broken";

/// Status line and what matters of the headers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) status: u16,
    location: Option<String>,
    length: Option<usize>,
    is_chunked: bool,
}

/// An answer whose body has not been read yet.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Head,
    connection: Connection,
    /// What has been read and not looked at yet.
    ahead: Vec<u8>,
}

impl Answer {
    /// Reads up to the body.
    pub(super) fn receive(connection: Connection) -> Result<Self, Problem> {
        let mut answer = Self { head: Head::default(), connection, ahead: Vec::new() };
        for _ in 0..=MOST_INTERIM {
            answer.head = answer.read_head()?;
            if !(100..200).contains(&answer.head.status) {
                return Ok(answer);
            }
        }
        Err(Problem::Other(format!("{BROKEN}: net/http: too many 1xx informational responses")))
    }

    /// Where the server sends whoever asked.
    pub(super) fn redirect(&self) -> Option<&str> {
        let location = self.head.location.as_deref()?;
        matches!(self.head.status, 301 | 302 | 303 | 307 | 308).then_some(location)
    }

    /// The body's beginning.
    pub(super) fn body(&mut self) -> Result<Vec<u8>, Problem> {
        match (&self.head, self.head.status) {
            (_, 204 | 304) => Ok(Vec::new()),
            (Head { is_chunked: true, .. }, _) => self.chunked_body(),
            (Head { length: Some(length), .. }, _) => {
                let wanted = (*length).min(MOST_BODY);
                self.read_until(wanted)?;
                if self.ahead.len() < wanted {
                    return Err(Problem::Other("unexpected EOF".into()));
                }
                Ok(self.take(wanted))
            }
            _ => {
                self.read_until(MOST_BODY)?;
                Ok(self.take(MOST_BODY))
            }
        }
    }

    fn chunked_body(&mut self) -> Result<Vec<u8>, Problem> {
        let ended = || Problem::Other("unexpected EOF".into());
        let mut body = Vec::new();
        while body.len() < MOST_BODY {
            let (at, size) = match httparse::parse_chunk_size(&self.ahead) {
                Ok(httparse::Status::Complete((_, 0))) => return Ok(body),
                Ok(httparse::Status::Complete((at, size))) => {
                    (at, usize::try_from(size).unwrap_or(usize::MAX))
                }
                Ok(httparse::Status::Partial) if self.read_more()? => continue,
                Ok(httparse::Status::Partial) => return Err(ended()),
                Err(_) => return Err(Problem::Other("invalid byte in chunk length".into())),
            };
            self.take(at);
            let wanted = size.min(MOST_BODY - body.len());
            self.read_until(wanted)?;
            if self.ahead.len() < wanted {
                return Err(ended());
            }
            body.extend(self.take(wanted));
            if wanted == size && body.len() < MOST_BODY {
                self.read_until(2)?;
                self.take(2); // the line break after a chunk
            }
        }
        Ok(body)
    }

    fn read_head(&mut self) -> Result<Head, Problem> {
        loop {
            if let Some((length, head)) = parse(&self.ahead)? {
                self.take(length);
                return Ok(head);
            }
            if self.ahead.len() > MOST_HEAD {
                let text = format!(
                    "{BROKEN}: net/http: server response headers exceeded {MOST_HEAD} bytes; aborted"
                );
                return Err(Problem::Other(text));
            }
            if !self.read_more()? {
                let text = if self.ahead.is_empty() { "EOF" } else { "unexpected EOF" };
                return Err(Problem::Other(text.into()));
            }
        }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let rest = self.ahead.split_off(length.min(self.ahead.len()));
        std::mem::replace(&mut self.ahead, rest)
    }

    fn read_until(&mut self, length: usize) -> Result<(), Problem> {
        while self.ahead.len() < length && self.read_more()? {}
        Ok(())
    }

    /// Reads what comes; says whether something did.
    fn read_more(&mut self) -> Result<bool, Problem> {
        let mut buffer = [0; 4096];
        match self.connection.read(&mut buffer) {
            Ok(count) => {
                self.ahead.extend_from_slice(&buffer[..count]);
                Ok(count > 0)
            }
            Err(error) => Err(self.connection.problem(&error, "read")),
        }
    }
}

/// A head and its length, if all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<(usize, Head)>, Problem> {
    let mut headers = vec![httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(malformed(bytes)),
    };
    let mut head = Head { status: response.code.unwrap_or_default(), ..Head::default() };
    for header in response.headers.iter() {
        let value = String::from_utf8_lossy(header.value).trim().to_owned();
        match header.name.to_ascii_lowercase().as_str() {
            "location" if !value.is_empty() => head.location = Some(value),
            "content-length" => head.length = value.parse().ok(),
            "transfer-encoding" => head.is_chunked = value.eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    Ok(Some((length, head)))
}

fn malformed(bytes: &[u8]) -> Problem {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_answer = line.starts_with(b"HTTP/1.");
    let line = String::from_utf8_lossy(&line[..line.len().min(100)]).trim_end().to_owned();
    let what = if is_answer { "malformed MIME header after" } else { "malformed HTTP response" };
    Problem::Other(format!("{BROKEN}: {what} {line:?}"))
}
