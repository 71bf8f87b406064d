//! Getting a token (distribution-spec: token authentication).

use reqwest::Url;
use reqwest::blocking::Response;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use serde::Deserialize;

use super::auth::{self, Challenge};
use super::client::Client;
use super::configuration::is_loopback;
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
        let asked = Url::parse(&self.connection.base()).ok();
        if asked.is_none_or(|asked| asked.origin() != response.url().origin()) {
            return Ok(None);
        }
        let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
        let texts = headers.filter_map(|header| header.to_str().ok());
        let challenges = texts.flat_map(auth::challenges);
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
        let (url, trust) = self.judge(realm)?;
        let credentials = self.credentials.as_ref().filter(|_| trust == Trust::Credentials);
        let own = format!("repository:{}:pull", self.connection.endpoint.repository);
        let mut fields = vec![("scope", scope.unwrap_or(&own).to_owned())];
        fields.extend(service.map(|service| ("service", service.to_owned())));
        let request = match credentials {
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
                match credentials.and_then(Credentials::basic) {
                    Some(basic) => request.header(AUTHORIZATION, basic),
                    None => request,
                }
            }
        };
        let what = "a token";
        let response = self.send(request, what)?;
        let is_withheld = credentials.is_none() && self.credentials.is_some();
        let response = self.check(response, what).map_err(|mut error| {
            if let RegistryError::Denied { shown, .. } = &mut error
                && is_withheld
            {
                shown.credentials = false;
                shown.problems.push(withheld(realm));
            }
            error
        })?;
        let bytes = self.whole(response, what, None)?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let all = token.into_iter().flat_map(|token| [token.token, token.access_token]);
        let token = all.flatten().find(|token| !token.is_empty());
        let token = token.filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()));
        token
            .map(|token| format!("Bearer {token}"))
            .ok_or_else(|| self.denied(what.to_owned(), 200))
    }

    /// What the place where a registry has its tokens given may see.
    fn judge(&self, realm: &str) -> Result<(Url, Trust), RegistryError> {
        let registry = || self.connection.endpoint.host.clone();
        let shown = || realm.escape_debug().to_string();
        let unsafe_realm = || RegistryError::UnsafeRealm { registry: registry(), realm: shown() };
        let own = Url::parse(&self.connection.base()).map_err(|_| unsafe_realm())?;
        let url = Url::parse(realm).map_err(|_| unsafe_realm())?;
        if let Some(what) = self.connection.refusal(&url) {
            let why = format!("for tokens to {}, which is {what}", shown());
            return Err(RegistryError::Elsewhere { registry: registry(), why });
        }
        match trust(&own, &url) {
            Some(trust) => Ok((url, trust)),
            None => Err(unsafe_realm()),
        }
    }
}

/// What may be sent to a place where tokens are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Credentials,
    /// Somebody else may listen there: a token is asked for without saying by whom.
    Nothing,
}

/// Credentials go to whom the registry names over TLS, as docker sends them. Without TLS they go to
/// the very scheme, host and port to which they belong, and nothing at all goes to another host.
fn trust(own: &Url, realm: &Url) -> Option<Trust> {
    match (realm.scheme(), own.scheme()) {
        ("https", _) => Some(Trust::Credentials),
        ("http", "http") if is_same_machine(own, realm) => {
            let is_same_port = own.port_or_known_default() == realm.port_or_known_default();
            Some(if is_same_port { Trust::Credentials } else { Trust::Nothing })
        }
        _ => None,
    }
}

/// This machine's loopback has several names, and a registry may not know by which it was called.
fn is_same_machine(own: &Url, realm: &Url) -> bool {
    let bare = |url: &Url| url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    own.host() == realm.host() || (is_loopback(&bare(own)) && is_loopback(&bare(realm)))
}

fn withheld(realm: &str) -> String {
    format!(
        "the place for tokens, {}, has another port than the registry and no TLS, so it was not \
         shown the credentials",
        realm.escape_debug()
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_belong_to_a_scheme_a_host_and_a_port() {
        let rows = [
            ("https://a.example", "https://auth.example/token", Some(Trust::Credentials)),
            ("https://a.example:5050", "https://a.example/jwt/auth", Some(Trust::Credentials)),
            ("https://a.example", "http://a.example/token", None),
            ("http://a.example:80", "http://a.example/token", Some(Trust::Credentials)),
            ("http://a.example:5000", "http://a.example:5001/token", Some(Trust::Nothing)),
            ("http://a.example:5000", "http://b.example:5000/token", None),
            ("http://127.0.0.1:5000", "http://localhost:5000/token", Some(Trust::Credentials)),
            ("http://localhost:5000", "http://[::1]:5000/token", Some(Trust::Credentials)),
            ("http://127.0.0.1:5000", "http://localhost:5001/token", Some(Trust::Nothing)),
            ("http://a.example", "ftp://a.example/token", None),
        ];
        for (own, realm, expected) in rows {
            let found = trust(&Url::parse(own).unwrap(), &Url::parse(realm).unwrap());
            assert_eq!(found, expected, "{own} to {realm}");
        }
    }
}
