//! Getting a token (distribution-spec: token authentication).

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::auth::{self, Challenge};
use super::client::{Client, text};
use super::credentials::Credentials;
use super::error::RegistryError;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client<'_> {
    /// The header that meets the challenge in a response, if there is one.
    pub(super) fn answer(&self, response: &Response) -> Result<Option<String>, RegistryError> {
        // Wherever the registry sent us on to gets no credentials (CVE-2020-15157).
        let asked = Url::parse(&self.base()).ok();
        if asked.is_none_or(|asked| asked.origin() != response.url().origin()) {
            return Ok(None);
        }
        let challenge = text(response, WWW_AUTHENTICATE).and_then(auth::challenge);
        match (challenge, &self.credentials) {
            (Some(Challenge::Basic), Some(credentials)) => Ok(Some(basic(credentials))),
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                self.token(&realm, service.as_deref(), scope.as_deref()).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: Option<&str>,
    ) -> Result<String, RegistryError> {
        let registry = self.endpoint.host.clone();
        if !self.is_safe(realm) {
            return Err(RegistryError::UnsafeRealm { registry, realm: realm.to_owned() });
        }
        let own = format!("repository:{}:pull", self.endpoint.repository);
        let mut query = vec![("scope", scope.unwrap_or(&own).to_owned())];
        query.extend(service.map(|service| ("service", service.to_owned())));
        let query: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let separator = if realm.contains('?') { '&' } else { '?' };
        let mut request = self.http.get(format!("{realm}{separator}{}", query.join("&")));
        if let Some(credentials) = &self.credentials {
            request = request.header(AUTHORIZATION, basic(credentials));
        }
        let what = "a token";
        let response = self.send(request, what)?;
        let response = self.check(response, what)?;
        let bytes = self.whole(response, what, None)?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let token = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        let what = what.to_owned();
        token.map(|token| format!("Bearer {token}")).ok_or(RegistryError::Denied {
            registry,
            what,
            status: 200,
        })
    }

    /// Credentials go over TLS only, or to the very host that is spoken to without TLS anyway.
    fn is_safe(&self, realm: &str) -> bool {
        let (realm, own) = (Url::parse(realm), Url::parse(&self.base()));
        let (Ok(realm), Ok(own)) = (realm, own) else { return false };
        match realm.scheme() {
            "https" => true,
            "http" => own.scheme() == "http" && own.host() == realm.host(),
            _ => false,
        }
    }
}

fn basic(credentials: &Credentials) -> String {
    use base64::Engine;
    let text = format!("{}:{}", credentials.name, credentials.password);
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text))
}

/// A text as part of a query (RFC 3986).
fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
