//! HTTP: 200 to 399 is well; for a hook any answer is.
//!
//! Errors read as those of Go's client, which a kubelet uses, because they become event messages.

mod answer;
mod connection;
mod place;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::time::Duration;

use super::deadline::Deadline;
use super::{Asker, Verdict};
use answer::Answer;
use connection::Connection;
use place::Place;
pub(super) use place::join;

/// How many redirects of the same host are followed.
const MOST_REDIRECTS: usize = 10;
/// What a client says whose time ran out before the answer's headers were there.
const NO_HEADERS: &str =
    "context deadline exceeded (Client.Timeout exceeded while awaiting headers)";
/// What it says whose time ran out in the middle of the body.
const NO_BODY: &str =
    "context deadline exceeded (Client.Timeout or context cancellation while reading body)";
/// How Go's client says that a server does not speak TLS.
const PLAIN_ANSWER: &str = "http: server gave HTTP response to HTTPS client";

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) tls: bool,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) path: &'a str,
    pub(super) headers: &'a [(String, String)],
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
enum Problem {
    /// The time ran out.
    TimedOut,
    /// The server speaks plain HTTP where TLS was expected.
    PlainAnswer,
    /// Anything else.
    Other(String),
}

impl Problem {
    fn text(self) -> String {
        match self {
            Self::TimedOut => NO_HEADERS.into(),
            Self::PlainAnswer => PLAIN_ANSWER.into(),
            Self::Other(text) => text,
        }
    }
}

/// Asks and judges.
pub(super) fn ask(request: &Request<'_>, timeout: Option<Duration>, asker: Asker) -> Verdict {
    let deadline = Deadline::after(timeout);
    let failed =
        |(url, problem): (String, Problem)| format!("Get \"{url}\": {}", Problem::text(problem));
    match (follow(request, deadline, asker), asker) {
        (Ok(answer), Asker::Probe) => judge(answer),
        (Ok(_), Asker::Hook) => Verdict::Success,
        (Err((_, Problem::PlainAnswer)), Asker::Hook) => {
            let place = Place::first(request);
            match follow(&without_tls(request, &mut Vec::new()), deadline, asker) {
                Ok(_) => Verdict::Warning(format!(
                    "request to HTTPS lifecycle hook {} got HTTP response, retry with HTTP succeeded",
                    place.authority()
                )),
                Err(error) => Verdict::Failure(failed(error)),
            }
        }
        (Err(error), _) => Verdict::Failure(failed(error)),
    }
}

/// The same request in plain HTTP; a password is not for everybody to read.
fn without_tls<'a>(request: &Request<'a>, headers: &'a mut Vec<(String, String)>) -> Request<'a> {
    let secret = |name: &str| name.eq_ignore_ascii_case("authorization");
    headers.extend(request.headers.iter().filter(|(name, _)| !secret(name)).cloned());
    Request { tls: false, headers, ..*request }
}

fn judge(mut answer: Answer) -> Verdict {
    let status = answer.head.status;
    let body = match answer.body() {
        Ok(body) => String::from_utf8_lossy(&body).into_owned(),
        Err(Problem::TimedOut) => return Verdict::Unknown(NO_BODY.into()),
        Err(problem) => return Verdict::Unknown(problem.text()),
    };
    match status {
        200..300 => Verdict::Success,
        300..400 => Verdict::Warning(format!("Probe terminated redirects, Response body: {body}")),
        _ => Verdict::Failure(format!("HTTP probe failed with statuscode: {status}")),
    }
}

/// Asks, and asks on where the server of the same host sends us. An error tells which address
/// was asked last.
fn follow(
    request: &Request<'_>,
    deadline: Deadline,
    asker: Asker,
) -> Result<Answer, (String, Problem)> {
    let first = Place::first(request);
    let mut place = first.clone();
    let mut keeps_host = true;
    for followed in 0..=MOST_REDIRECTS {
        let answer =
            exchange(&place, &text(&place, request.headers, (keeps_host, asker)), deadline)
                .map_err(|problem| (place.url(), problem))?;
        let Some(location) = answer.redirect() else {
            return Ok(answer);
        };
        let next = place.redirected(location).map_err(|why| (place.url(), Problem::Other(why)))?;
        if next.host != first.host {
            return Ok(answer);
        }
        if followed + 1 >= MOST_REDIRECTS {
            let text = format!("stopped after {MOST_REDIRECTS} redirects");
            return Err((next.url(), Problem::Other(text)));
        }
        keeps_host = keeps_host && place::is_relative(location);
        place = next;
    }
    unreachable!("the loop ends by its own count")
}

fn exchange(place: &Place, text: &str, deadline: Deadline) -> Result<Answer, Problem> {
    let mut connection = Connection::open(place, deadline)?;
    connection.write_all(text.as_bytes()).map_err(|error| connection.problem(&error, "write"))?;
    Answer::receive(connection)
}

fn text(place: &Place, headers: &[(String, String)], (keeps_host, asker): (bool, Asker)) -> String {
    let stated = |name: &str| headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let host = stated("Host").filter(|_| keeps_host);
    let host = host.map_or_else(|| place.authority(), |(_, value)| value.clone());
    let mut text = format!("GET {} HTTP/1.1\r\nHost: {host}\r\n", place.target);
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
    // An empty value means that the header is not sent at all.
    let own = ["host", "connection"];
    for (name, value) in headers {
        let is_own = own.iter().any(|one| name.eq_ignore_ascii_case(one));
        let is_unwanted = value.is_empty()
            && (name.eq_ignore_ascii_case("user-agent") || name.eq_ignore_ascii_case("accept"));
        if !is_own && !is_unwanted && is_one_line(name) && is_one_line(value) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text + "Connection: close\r\n\r\n"
}

/// A header with a line break in it would be two.
fn is_one_line(text: &str) -> bool {
    !text.contains(['\r', '\n', '\0'])
}
