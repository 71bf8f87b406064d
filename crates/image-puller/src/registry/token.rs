//! Getting a token (distribution-spec: token authentication).

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::auth::{self, Challenge};
use super::client::Client;
use super::credentials::Credentials;
use super::error::RegistryError;
use super::redirect;

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Client<'_> {
    /// The header that meets the challenge in a response, if there is one.
    pub(super) fn answer(&self, response: &Response) -> Result<Option<String>, RegistryError> {
        // Wherever the registry sent us on to gets no credentials (CVE-2020-15157).
        let asked = Url::parse(&self.connection.base()).ok();
        if asked.is_none_or(|asked| asked.origin() != response.url().origin()) {
            return Ok(None);
        }
        let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = headers.filter_map(|header| auth::challenge(header.to_str().ok()?));
        // Of several, the one that shows the password to fewer.
        let best = challenges.min_by_key(|challenge| *challenge == Challenge::Basic);
        match (best, &self.credentials) {
            (_, Some(Credentials::Bearer(_))) => Ok(None), // it was tried
            (Some(Challenge::Basic), Some(credentials)) => Ok(credentials.basic()),
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
        let Some(url) = self.safe(realm) else {
            let registry = self.connection.endpoint.host.clone();
            let realm = realm.escape_debug().to_string();
            return Err(RegistryError::UnsafeRealm { registry, realm });
        };
        let own = format!("repository:{}:pull", self.connection.endpoint.repository);
        let mut fields = vec![("scope", scope.unwrap_or(&own).to_owned())];
        fields.extend(service.map(|service| ("service", service.to_owned())));
        let request = match &self.credentials {
            Some(Credentials::Identity(token)) => {
                fields.extend([
                    ("grant_type", "refresh_token".to_owned()),
                    ("client_id", "minipod".to_owned()),
                    ("refresh_token", token.clone()),
                ]);
                let form = "application/x-www-form-urlencoded";
                let http = self.connection.http_without_redirects()?;
                http.post(url).header(CONTENT_TYPE, form).body(encoded_fields(&fields))
            }
            credentials => {
                let separator = if realm.contains('?') { '&' } else { '?' };
                let http = self.connection.http_for(&url)?;
                let request = http.get(format!("{realm}{separator}{}", encoded_fields(&fields)));
                match credentials.as_ref().and_then(Credentials::basic) {
                    Some(basic) => request.header(AUTHORIZATION, basic),
                    None => request,
                }
            }
        };
        let what = "a token";
        let response = self.send(request, what)?;
        let response = self.check(response, what)?;
        let bytes = self.whole(response, what, None)?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.and_then(|token| token.token.or(token.access_token));
        let token = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        token
            .map(|token| format!("Bearer {token}"))
            .ok_or_else(|| self.denied(what.to_owned(), 200))
    }

    /// Credentials go over TLS only, or to the very host that is spoken to without TLS anyway;
    /// never to where clouds keep the credentials of machines.
    fn safe(&self, realm: &str) -> Option<Url> {
        let (realm, own) = (Url::parse(realm).ok()?, Url::parse(&self.connection.base()).ok()?);
        let is_safe = match realm.scheme() {
            "https" => own.host() == realm.host() || !redirect::is_link_local(&realm),
            "http" => own.scheme() == "http" && own.host() == realm.host(),
            _ => false,
        };
        is_safe.then_some(realm)
    }
}

/// Fields as in a query or a form.
fn encoded_fields(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> =
        fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    fields.join("&")
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
