//! The bytes of a blob, from as many requests as it takes.
//!
//! A connection that breaks is replaced by one that goes on where the last one stopped. Whether
//! the bytes are the right ones is for the reader to say: it knows the digest.

use std::io::{self, Read};

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::CONTENT_RANGE;

use super::client::{Client, text};
use super::error::RegistryError;
use crate::image_manifest::Descriptor;

/// After this many bytes a broken connection counts as bad luck and not as a further failure.
const PROGRESS: u64 = 1 << 20;

/// Reads a blob to its end, however often the connection breaks.
#[derive(Debug)]
pub(crate) struct Body<'a> {
    client: &'a Client<'a>,
    blob: Descriptor,
    response: Option<Response>,
    position: u64,
    /// Failures since so many bytes had come.
    failures: (u32, u64),
    /// The registry says that there is no more.
    ended: bool,
}

/// What a response to "from this byte on" is.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    /// It starts where it should.
    Rest,
    /// It starts at the beginning: servers need not know about ranges.
    Whole,
    /// It starts elsewhere, or is part of something else.
    Other,
}

impl<'a> Body<'a> {
    /// The blob; nothing is asked for before the first read.
    pub(super) fn new(client: &'a Client<'a>, blob: &Descriptor) -> Self {
        let blob = blob.clone();
        Self { client, blob, response: None, position: 0, failures: (0, 0), ended: false }
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        let mut response = match self.response.take() {
            Some(response) => response,
            None => match self.ask()? {
                Some(response) => response,
                None => return Ok(0),
            },
        };
        let count = self.client.read(&mut response, buffer, &self.what(), self.position)?;
        let is_complete = self.position >= self.blob.size;
        if count == 0 && !is_complete {
            let source = io::ErrorKind::UnexpectedEof.into();
            return Err(self.client.broken_off(&self.what(), self.position, source));
        }
        self.position += count as u64;
        self.response = Some(response);
        Ok(count)
    }

    /// Asks for what is missing; none if there is no more.
    fn ask(&mut self) -> Result<Option<Response>, RegistryError> {
        let what = self.what();
        let path = format!("blobs/{}", self.blob.digest);
        let mut response = match self.client.get(&path, &what, self.position) {
            Err(RegistryError::Status { status: 416, .. }) if self.position > 0 => {
                self.ended = true;
                return Ok(None);
            }
            response => response?,
        };
        let range = text(&response, CONTENT_RANGE).map(str::to_owned);
        match part(response.status(), range.as_deref(), (self.position, self.blob.size)) {
            Part::Rest => {}
            Part::Whole => {
                self.client.check_size(&response, self.blob.size, &what)?;
                self.skip(&mut response)?;
            }
            Part::Other => {
                let answered = range.unwrap_or_else(|| "no range at all".to_owned());
                return Err(self.client.wrong_range(&what, answered));
            }
        }
        Ok(Some(response))
    }

    /// Reads over what is already here.
    fn skip(&self, response: &mut Response) -> Result<(), RegistryError> {
        let mut buffer = vec![0; 64 * 1024];
        let mut left = self.position;
        while left > 0 {
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let at = self.position - left;
            match self.client.read(response, &mut buffer[..wanted], &self.what(), at)? {
                0 => {
                    let source = io::ErrorKind::UnexpectedEof.into();
                    return Err(self.client.broken_off(&self.what(), at, source));
                }
                count => left -= count as u64,
            }
        }
        Ok(())
    }

    /// Waits for the next try, unless there have been enough.
    fn recover(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let (failures, since) = self.failures;
        let moved = self.position - since >= PROGRESS;
        let failures = if moved { 1 } else { failures + 1 };
        self.failures = (failures, if failures == 1 { self.position } else { since });
        // It answered before, so that it does not take connections may pass, too.
        if !error.is_passing() {
            return Err(error);
        }
        self.client.pause(&self.what(), failures + 1, error)
    }

    fn what(&self) -> String {
        self.blob.digest.to_string()
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.ended {
            return Ok(0);
        }
        loop {
            match self.next(buffer) {
                Ok(count) => return Ok(count),
                // Everything is here; only the end of the message is missing.
                Err(_) if self.position == self.blob.size => {
                    self.ended = true;
                    return Ok(0);
                }
                Err(error) => self.recover(error).map_err(io::Error::other)?,
            }
        }
    }
}

/// Reads the answer to a request from `from` on, of something that has `size` bytes.
fn part(status: StatusCode, range: Option<&str>, (from, size): (u64, u64)) -> Part {
    if status != StatusCode::PARTIAL_CONTENT {
        return Part::Whole;
    }
    let parsed = range.and_then(|range| {
        let (span, total) = range.trim().strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let total = if total == "*" { size } else { total.parse().ok()? };
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, total))
    });
    match parsed {
        Some((first, last, total))
            if from > 0 && first == from && last >= first && last < size && total == size =>
        {
            Part::Rest
        }
        _ => Part::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_must_be_the_one_that_was_asked_for() {
        let rows = [
            ("the rest", Some("bytes 10-99/100"), 10, Part::Rest),
            ("the rest, of unknown total", Some("bytes 10-99/*"), 10, Part::Rest),
            ("less than the rest", Some("bytes 10-19/100"), 10, Part::Rest),
            ("from the beginning", Some("bytes 0-99/100"), 10, Part::Other),
            ("of something else", Some("bytes 10-99/101"), 10, Part::Other),
            ("beyond the end", Some("bytes 10-100/*"), 10, Part::Other),
            ("backwards", Some("bytes 10-9/100"), 10, Part::Other),
            ("in another unit", Some("items 10-99/100"), 10, Part::Other),
            ("without saying which", None, 10, Part::Other),
            ("though nobody asked", Some("bytes 0-99/100"), 0, Part::Other),
        ];
        for (what, range, from, expected) in rows {
            let found = part(StatusCode::PARTIAL_CONTENT, range, (from, 100));
            assert_eq!(found, expected, "{what}");
        }
        assert_eq!(part(StatusCode::OK, None, (10, 100)), Part::Whole);
    }
}
