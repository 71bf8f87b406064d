//! Certificates for one registry: authorities to trust besides the system's, and the client's own
//! (containers-certs.d(5)).

use std::env;
use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, SignatureScheme};
use rustls_platform_verifier::Verifier as SystemVerifier;

use super::error::RegistryError;

/// What the directory of a registry holds.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    authorities: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// Whether a client shows its own certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    Shown,
    Withheld,
}

/// The directories of this machine that have one directory per registry.
pub(crate) fn directories() -> Vec<PathBuf> {
    let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let own = config.or_else(home).map(|config| config.join("containers/certs.d"));
    let system = ["/etc/containers/certs.d", "/etc/docker/certs.d"].map(PathBuf::from);
    own.into_iter().chain(system).collect()
}

impl Certificates {
    /// What the first directory that knows this host has for it.
    pub(super) fn find(host: &str, directories: &[PathBuf]) -> Result<Self, RegistryError> {
        let mut candidates = directories.iter().map(|directory| directory.join(host));
        match candidates.find(|directory| directory.is_dir()) {
            Some(directory) => Self::read(&directory),
            None => Ok(Self::default()),
        }
    }

    fn read(directory: &Path) -> Result<Self, RegistryError> {
        let list = || -> io::Result<Vec<PathBuf>> {
            fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
        };
        let mut paths = list().map_err(unusable(directory))?;
        paths.sort();
        let mut found = Self::default();
        for path in paths {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => found.authorities.extend(certificates(&path)?),
                Some("cert") if found.identity.is_none() => {
                    let key = path.with_extension("key");
                    let text = fs::read(&key).map_err(unusable(&key))?;
                    let parsed = PrivateKeyDer::from_pem_slice(&text).map_err(unusable(&key))?;
                    found.identity = Some((certificates(&path)?, parsed));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The settings of TLS for a client. `insecure` takes any certificate.
    pub(super) fn client(
        &self,
        insecure: bool,
        identity: Identity,
    ) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous();
        let builder = if insecure {
            builder.with_custom_certificate_verifier(Arc::new(Anything(provider)))
        } else {
            let given = self.authorities.clone();
            let inner = SystemVerifier::new_with_extra_roots(given.iter().cloned(), provider)?;
            builder.with_custom_certificate_verifier(Arc::new(Verifier { inner, given }))
        };
        let mut config = match (&self.identity, identity) {
            (Some((chain, key)), Identity::Shown) => {
                builder.with_client_auth_cert(chain.clone(), key.clone_key())?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// All certificates of a PEM file; there must be one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, RegistryError> {
    let text = fs::read(path).map_err(unusable(path))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(unusable(path))?;
    if found.is_empty() {
        let none = io::Error::new(io::ErrorKind::InvalidData, "there is no certificate in it");
        return Err(unusable(path)(none));
    }
    Ok(found)
}

fn unusable<E: Error + Send + Sync + 'static>(path: &Path) -> impl FnOnce(E) -> RegistryError {
    let path = path.to_owned();
    move |source| RegistryError::Certificate { path, source: Box::new(source) }
}

/// Checks certificates as the system does, except that one that was given for this very registry
/// may be the registry's own although it says that it is an authority's: `openssl req -x509` makes
/// such ones unless it is told not to, and docker, podman and curl accept them.
#[derive(Debug)]
struct Verifier {
    inner: SystemVerifier,
    given: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // Its dates have been looked at before that, its name has not.
            Err(error) if is_authority(&error) && self.given.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Takes any certificate: for registries that the configuration calls insecure.
#[derive(Debug)]
struct Anything(Arc<CryptoProvider>);

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether the only thing wrong with a certificate is that it is an authority's.
fn is_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) = error
    else {
        return false;
    };
    inner.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity)
}
