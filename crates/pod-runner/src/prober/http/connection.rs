//! A connection to an HTTP server, in plain or with TLS.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

use super::Problem;
use super::place::Place;
use crate::prober::deadline::{Deadline, Timed};
use crate::prober::tcp;

/// An open connection.
#[derive(Debug)]
pub(super) enum Connection {
    Plain(Timed),
    Tls(Box<StreamOwned<ClientConnection, Timed>>),
}

impl Connection {
    pub(super) fn open(place: &Place, deadline: Deadline) -> Result<Self, Problem> {
        let stream = tcp::connect(&place.host, place.port, deadline).map_err(|refused| {
            if refused.timed_out { Problem::TimedOut } else { Problem::Other(refused.text) }
        })?;
        let stream = Timed::new(stream, deadline);
        if place.tls { secure(&place.host, stream) } else { Ok(Self::Plain(stream)) }
    }

    /// What an error of this connection means.
    pub(super) fn problem(&self, error: &io::Error, doing: &str) -> Problem {
        let ends = match self {
            Self::Plain(stream) => stream.ends(),
            Self::Tls(stream) => stream.sock.ends(),
        };
        match error.kind() {
            io::ErrorKind::TimedOut => Problem::TimedOut,
            io::ErrorKind::InvalidData => Problem::Other(format!("tls: {error}")),
            _ => Problem::Other(format!("{doing} tcp {ends}: {doing}: {}", tcp::errno_text(error))),
        }
    }
}

fn secure(host: &str, mut stream: Timed) -> Result<Connection, Problem> {
    let failed = |error: Error| Problem::Other(format!("tls: {error}"));
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Problem::Other(format!("tls: {host} is no name for a server")))?;
    let mut client = ClientConnection::new(Arc::new(trusting()?), name).map_err(failed)?;
    while client.is_handshaking() {
        if let Err(error) = client.complete_io(&mut stream) {
            return Err(match error.kind() {
                _ if stream.first() == b"HTTP/" => Problem::PlainAnswer,
                io::ErrorKind::TimedOut => Problem::TimedOut,
                io::ErrorKind::UnexpectedEof => Problem::Other("EOF".into()),
                io::ErrorKind::InvalidData => Problem::Other(format!("tls: {error}")),
                _ => {
                    let text = tcp::errno_text(&error);
                    Problem::Other(format!("read tcp {}: read: {text}", stream.ends()))
                }
            });
        }
    }
    Ok(Connection::Tls(Box::new(StreamOwned::new(client, stream))))
}

/// TLS without verification: a probe asks whether the server answers, not who it is.
fn trusting() -> Result<ClientConfig, Problem> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Arc::new(Trusting(Arc::clone(&provider)));
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Problem::Other(format!("tls: {error}")))?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Takes every certificate, as a kubelet does for probes.
#[derive(Debug)]
struct Trusting(Arc<CryptoProvider>);

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            // A server that closes without a word of TLS has closed all the same.
            Self::Tls(stream) => match stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                read => read,
            },
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
