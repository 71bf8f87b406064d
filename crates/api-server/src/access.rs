//! Who may ask: whoever has the token, by a certificate that only this server has.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use thiserror::Error;

use crate::respond::Failed;

/// Why nobody can be let in.
#[derive(Debug, Error)]
pub enum AccessError {
    /// The certificate.
    #[error("cannot make a certificate")]
    Certificate(#[from] rcgen::Error),
    /// TLS.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// The kubeconfig.
    #[error("cannot write {path}")]
    File {
        /// Where.
        path: String,
        /// Why not.
        source: io::Error,
    },
}

/// The token and the certificate of one server.
#[derive(Debug)]
pub struct Access {
    token: String,
    certificate: String,
    key: PrivateKeyDer<'static>,
    der: rustls::pki_types::CertificateDer<'static>,
    names: Vec<String>,
}

impl Access {
    /// A new token and a new certificate for that address. Both are forgotten with the server.
    pub fn new(address: SocketAddr) -> Result<Self, AccessError> {
        let mut random = [0; 32];
        pod_api::random::fill(&mut random);
        let names = vec![address.ip().to_string(), "127.0.0.1".into(), "localhost".into()];
        let mut params = CertificateParams::new(names.clone())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            token: pod_api::random::hex(&random),
            certificate: certificate.pem(),
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            der: certificate.der().clone(),
            names,
        })
    }

    /// TLS with the certificate, and HTTP/1.1 only: streams need it.
    pub(crate) fn tls(&self) -> Result<ServerConfig, AccessError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], self.key.clone_key())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// A kubeconfig(5) for this server, with everything in it.
    pub fn kubeconfig(&self, address: SocketAddr) -> String {
        let authority = BASE64_STANDARD.encode(&self.certificate);
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: minipod\n  cluster:\n    \
             server: https://{address}\n    certificate-authority-data: {authority}\nusers:\n\
             - name: minipod\n  user:\n    token: \"{}\"\ncontexts:\n- name: minipod\n  context:\n    \
             cluster: minipod\n    user: minipod\n    namespace: default\n\
             current-context: minipod\n",
            self.token
        )
    }

    /// Writes the kubeconfig where only its owner can read it.
    pub fn write_kubeconfig(&self, address: SocketAddr, path: &Path) -> Result<(), AccessError> {
        let write = || {
            let aside = path.with_extension("new");
            let _ = fs::remove_file(&aside); // of one who was killed
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&aside)?;
            file.write_all(self.kubeconfig(address).as_bytes())?;
            fs::rename(&aside, path)
        };
        let failed = |source| AccessError::File { path: path.display().to_string(), source };
        write().map_err(failed)
    }

    /// Lets in who has the token, and nobody whom a web page has sent.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Failed> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        // A page that has its own name resolve to this machine (DNS rebinding) asks by that name.
        let host = text(HOST).unwrap_or_default();
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if !self.names.iter().any(|known| known == name) || headers.contains_key(ORIGIN) {
            return Err(Failed::new(403, "Forbidden", "this server is not for browsers"));
        }
        let token = text(AUTHORIZATION).and_then(|text| text.strip_prefix("Bearer "));
        match token {
            Some(token) if is_same(token.trim(), &self.token) => Ok(()),
            _ => Err(Failed::new(401, "Unauthorized", "Unauthorized")),
        }
    }
}

/// Takes as long for a wrong token as for the right one.
fn is_same(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(differences) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(access: &Access, pairs: &[(http::HeaderName, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(name.clone(), value.parse().unwrap());
        }
        let checked = access.check(&headers);
        checked.map_or_else(|failed| failed.answer().status().as_u16(), |()| 200)
    }

    #[test]
    fn only_who_has_the_token_is_let_in_and_no_browser_is() {
        let access = Access::new("127.0.0.1:7443".parse().unwrap()).unwrap();
        let bearer = format!("Bearer {}", access.token);
        let host = (HOST, "127.0.0.1:7443");
        assert_eq!(asked(&access, &[host.clone(), (AUTHORIZATION, &bearer)]), 200);
        assert_eq!(asked(&access, &[(HOST, "localhost"), (AUTHORIZATION, &bearer)]), 200);
        assert_eq!(asked(&access, std::slice::from_ref(&host)), 401);
        assert_eq!(asked(&access, &[host.clone(), (AUTHORIZATION, "Bearer x")]), 401);
        let page = (ORIGIN, "https://evil.example");
        assert_eq!(asked(&access, &[host, (AUTHORIZATION, &bearer), page]), 403);
        assert_eq!(asked(&access, &[(HOST, "evil.example"), (AUTHORIZATION, &bearer)]), 403);
    }
}
