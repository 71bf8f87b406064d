//! SPDY/3.1 as Kubernetes' clients use it: streams that the client opens, without flow control.
//!
//! What port forwarding is made of to this day, and what clients before 1.30 run commands with
//! (draft-mbelshe-httpbis-spdy-00 and the streams of `k8s.io/streaming`).

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// The longest frame that is read, in bytes; clients send a hundredth of that.
const LONGEST_FRAME: usize = 4 << 20;
/// The longest headers of a stream, in bytes.
const LONGEST_HEADERS: usize = 64 << 10;
/// How many frames wait for a slow reader.
const WAITING: usize = 16;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const FIN: u8 = 1;

/// What a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// It opens a stream.
    Open { id: u32, headers: Vec<(String, String)> },
    /// It sends on a stream, perhaps for the last time.
    Data { id: u32, bytes: Bytes, is_last: bool },
    /// It is through with a stream.
    Reset { id: u32 },
}

/// A header of a stream.
pub(crate) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A connection with two tasks of its own, one for each direction.
#[derive(Debug)]
pub(crate) struct Connection {
    frames: mpsc::Receiver<Frame>,
    sender: Sender,
    has_replied: bool,
}

/// Where frames to the client go.
#[derive(Clone, Debug)]
pub(crate) struct Sender(mpsc::Sender<Bytes>);

impl Connection {
    /// Speaks SPDY on that connection.
    pub(crate) fn new(io: impl AsyncRead + AsyncWrite + Send + 'static) -> Self {
        let (reading, mut writing) = tokio::io::split(io);
        let (outgoing, mut from_here) = mpsc::channel::<Bytes>(WAITING);
        let (incoming, frames) = mpsc::channel(WAITING);
        let pongs = outgoing.clone();
        tokio::spawn(async move {
            let mut reader = Reader { io: reading, inflate: Decompress::new(true) };
            // Whatever ends the reading ends the connection.
            while let Ok(Some(frame)) = reader.next(&pongs).await {
                if incoming.send(frame).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(bytes) = from_here.recv().await {
                if writing.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            let _ = writing.shutdown().await; // the client may be gone
        });
        Self { frames, sender: Sender(outgoing), has_replied: false }
    }

    /// The next frame; nothing when the client is gone.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }

    /// Where frames to the client go.
    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Accepts a stream: before that, nothing may be sent on it.
    pub(crate) async fn reply(&mut self, id: u32) -> Result<(), Gone> {
        // Blocks of no headers, for an inflater that has seen none of ours, or one.
        const FIRST: &[u8] = b"\x78\x01\x00\x04\x00\xfb\xff\x00\x00\x00\x00\x00\x00\x00\xff\xff";
        let is_first = !std::mem::replace(&mut self.has_replied, true);
        let block = if is_first { FIRST } else { &FIRST[2..] };
        let payload = [&id.to_be_bytes(), block].concat();
        self.sender.send(control(SYN_REPLY, &payload)).await
    }
}

/// The client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

impl Sender {
    /// Sends on a stream, perhaps for the last time.
    pub(crate) async fn data(&self, id: u32, bytes: &[u8], is_last: bool) -> Result<(), Gone> {
        let mut frame = BytesMut::with_capacity(bytes.len() + 8);
        frame.put_u32(id);
        frame.put_u8(if is_last { FIN } else { 0 });
        frame.put_uint(bytes.len() as u64, 3);
        frame.extend_from_slice(bytes);
        self.send(frame.freeze()).await
    }

    /// Says that no more streams are accepted.
    pub(crate) async fn go_away(&self) -> Result<(), Gone> {
        self.send(control(GOAWAY, &[0; 8])).await
    }

    async fn send(&self, frame: Bytes) -> Result<(), Gone> {
        self.0.send(frame).await.map_err(|_| Gone)
    }
}

fn control(kind: u16, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 8);
    frame.put_u16(0x8003);
    frame.put_u16(kind);
    frame.put_u8(0);
    frame.put_uint(payload.len() as u64, 3);
    frame.extend_from_slice(payload);
    frame.freeze()
}

struct Reader<R> {
    io: R,
    inflate: Decompress,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// The next frame that means something here; pings are answered on the way.
    async fn next(&mut self, pongs: &mpsc::Sender<Bytes>) -> io::Result<Option<Frame>> {
        loop {
            let mut head = [0; 8];
            self.io.read_exact(&mut head).await?;
            let flags = head[4];
            let length =
                usize::from(head[5]) << 16 | usize::from(head[6]) << 8 | usize::from(head[7]);
            if length > LONGEST_FRAME {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut payload = vec![0; length];
            self.io.read_exact(&mut payload).await?;
            let first = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            if first & 1 << 31 == 0 {
                let (id, bytes, is_last) = (first, payload.into(), flags & FIN != 0);
                return Ok(Some(Frame::Data { id, bytes, is_last }));
            }
            let kind = u16::from_be_bytes([head[2], head[3]]);
            match kind {
                SYN_STREAM => {
                    let id = number(&payload, 0)?;
                    let block = payload.get(10..).ok_or(io::ErrorKind::InvalidData)?;
                    let headers = self.headers(block)?;
                    return Ok(Some(Frame::Open { id, headers }));
                }
                RST_STREAM => return Ok(Some(Frame::Reset { id: number(&payload, 0)? })),
                PING if pongs.send(control(PING, &payload)).await.is_err() => return Ok(None),
                GOAWAY => return Ok(None),
                _ => {}
            }
        }
    }

    /// The headers of a block, which is compressed with all blocks before it.
    fn headers(&mut self, mut block: &[u8]) -> io::Result<Vec<(String, String)>> {
        let mut text = Vec::with_capacity(4096);
        while !block.is_empty() {
            if text.len() >= LONGEST_HEADERS {
                return Err(io::ErrorKind::InvalidData.into());
            }
            text.reserve(4096);
            let before = self.inflate.total_in();
            let done = self.inflate.decompress_vec(block, &mut text, FlushDecompress::Sync);
            match done {
                Err(error) if error.needs_dictionary().is_some() => {
                    let known = self.inflate.set_dictionary(&dictionary());
                    known.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                }
                Err(_) | Ok(Status::StreamEnd) => return Err(io::ErrorKind::InvalidData.into()),
                Ok(Status::BufError) if self.inflate.total_in() == before => break,
                Ok(_) => {}
            }
            let taken = usize::try_from(self.inflate.total_in() - before).unwrap_or(0);
            block = block.get(taken..).unwrap_or_default();
        }
        pairs(&text).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

fn number(payload: &[u8], at: usize) -> io::Result<u32> {
    let bytes = payload.get(at..at + 4).ok_or(io::ErrorKind::InvalidData)?;
    Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) & !(1 << 31))
}

fn pairs(mut text: &[u8]) -> Option<Vec<(String, String)>> {
    let mut take = |length: usize| {
        let (taken, rest) = text.split_at_checked(length)?;
        text = rest;
        Some(taken)
    };
    let mut count = take(4).and_then(|bytes| Some(u32::from_be_bytes(bytes.try_into().ok()?)))?;
    let mut pairs = Vec::new();
    while count > 0 {
        let mut word = || {
            let length = u32::from_be_bytes(take(4)?.try_into().ok()?);
            String::from_utf8(take(usize::try_from(length).ok()?)?.to_vec()).ok()
        };
        pairs.push((word()?, word()?));
        count -= 1;
    }
    Some(pairs)
}

/// The words that header blocks are compressed with from the start, some with their lengths before
/// them (draft-mbelshe-httpbis-spdy-00, section 2.6.10.1).
fn dictionary() -> Vec<u8> {
    let mut words = Vec::with_capacity(1423);
    for word in WORDS.split(' ') {
        // In two of them a blank belongs to the word.
        let word = word.replace('_', " ");
        words.extend(u32::try_from(word.len()).unwrap_or_default().to_be_bytes());
        words.extend(word.as_bytes());
    }
    words.extend(REST.as_bytes());
    words
}

const WORDS: &str = "options head post put delete trace accept accept-charset accept-encoding \
    accept-language accept-ranges age allow authorization cache-control connection content-base \
    content-encoding content-language content-length content-location content-md5 content-range \
    content-type date etag expect expires from host if-match if-modified-since if-none-match \
    if-range if-unmodified-since last-modified location max-forwards pragma proxy-authenticate \
    proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade \
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url \
    public set-cookie keep-alive origin";

const REST: &str = "100101201202205206300302303304305306307402405406407408409410411412413414415416417\
    502504505203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad \
    Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not \
    Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 \
    Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,\
    application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,\
    deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    #[test]
    fn the_dictionary_is_that_of_the_draft() {
        let dictionary = dictionary();
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in &dictionary {
            a = (a + u32::from(*byte)) % 65521;
            b = (b + a) % 65521;
        }
        assert_eq!((dictionary.len(), b << 16 | a), (1423, 0xe3c6_a7c2)); // Adler-32 (RFC 1950)
    }

    /// What a client sends to open a stream.
    fn open(compress: &mut Compress, id: u32, headers: &[(&str, &str)]) -> Vec<u8> {
        let mut text = u32::try_from(headers.len()).unwrap().to_be_bytes().to_vec();
        for word in headers.iter().flat_map(|(name, value)| [name, value]) {
            text.extend(u32::try_from(word.len()).unwrap().to_be_bytes());
            text.extend(word.as_bytes());
        }
        let mut block = Vec::with_capacity(4096);
        compress.compress_vec(&text, &mut block, FlushCompress::Sync).unwrap();
        let payload = [&id.to_be_bytes()[..], &[0; 6], &block].concat();
        control(SYN_STREAM, &payload).to_vec()
    }

    #[test]
    fn streams_are_opened_fed_and_closed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut client, server) = tokio::io::duplex(1 << 16);
            let mut connection = Connection::new(server);
            let mut compress = Compress::new(Compression::default(), true);
            compress.set_dictionary(&dictionary()).unwrap();
            for (id, kind) in [(1, "error"), (3, "data")] {
                let headers = [("streamtype", kind), ("port", "80"), ("requestid", "0")];
                client.write_all(&open(&mut compress, id, &headers)).await.unwrap();
                let Some(Frame::Open { id: opened, headers }) = connection.next().await else {
                    panic!("a stream is opened")
                };
                assert_eq!((opened, header(&headers, "streamtype")), (id, Some(kind)));
                connection.reply(id).await.unwrap();
            }
            client.write_all(&control(PING, &[0, 0, 0, 1])).await.unwrap();
            client.write_all(b"\0\0\0\x03\x01\0\0\x02hi").await.unwrap();
            let data = Frame::Data { id: 3, bytes: "hi".into(), is_last: true };
            assert_eq!(connection.next().await, Some(data));
            connection.sender().data(3, b"ho", true).await.unwrap();
            drop(connection);
            let mut answer = Vec::new();
            client.shutdown().await.unwrap();
            client.read_to_end(&mut answer).await.unwrap();
            let ping = control(PING, &[0, 0, 0, 1]);
            assert!(answer.windows(ping.len()).any(|part| part == &ping[..]));
            assert!(answer.ends_with(b"\0\0\0\x03\x01\0\0\x02ho"));
        });
    }

    #[test]
    fn garbage_ends_a_connection_and_nothing_else() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for garbage in [
            &b"\x80\x03\x00\x01\x00\x00\x00\x02\0\0"[..],
            b"\x80\x03\x00\x01\x00\x00\x00\x0f\0\0\0\x01\0\0\0\0\0\0garba",
            b"\x00\x00\x00\x01\x00\xff\xff\xff",
            b"\x80\x03\x00\x03\x00\x00\x00\x00",
        ] {
            runtime.block_on(async {
                let (mut client, server) = tokio::io::duplex(1 << 16);
                let mut connection = Connection::new(server);
                client.write_all(garbage).await.unwrap();
                client.shutdown().await.unwrap();
                assert_eq!(connection.next().await, None);
            });
        }
        assert_eq!(pairs(&[0xff; 16]), None);
    }
}
