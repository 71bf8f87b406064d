//! Where a request goes.

use url::Url;

use super::Request;

/// A server and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) tls: bool,
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query, as they stand in the request line.
    pub(super) target: String,
}

impl Place {
    /// Where the manifest sends us.
    pub(super) fn first(request: &Request<'_>) -> Self {
        let Request { tls, host, port, path, .. } = *request;
        let place = Self { tls, host: host.to_owned(), port, target: path.to_owned() };
        // Characters that must not stand in a request line are encoded, as Go's client does it.
        let target = place.parse().map_or_else(|_| "/".into(), |url| target(&url));
        Self { target, ..place }
    }

    /// Host and port, as in the header `Host`.
    pub(super) fn authority(&self) -> String {
        join(&self.host, self.port)
    }

    /// As error messages name it.
    pub(super) fn url(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority(), self.target)
    }

    /// Where a `Location` leads from here.
    pub(super) fn redirected(&self, location: &str) -> Result<Self, String> {
        let wrong = |_| format!("failed to parse Location header \"{location}\": invalid URL");
        let url = self.parse().map_err(wrong)?.join(location).map_err(wrong)?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("unsupported protocol scheme \"{other}\"")),
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or_default();
        Ok(Self { tls, host, port, target: target(&url) })
    }

    fn parse(&self) -> Result<Url, url::ParseError> {
        Url::parse(&self.url())
    }
}

/// Whether a `Location` stays with the server that sent it.
pub(super) fn is_relative(location: &str) -> bool {
    Url::parse(location).is_err() && !location.starts_with("//")
}

/// `host:port`, with brackets around an IPv6 address.
pub(in crate::prober) fn join(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn target(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        let (host, headers) = ("10.1.1.2", &[]);
        Place::first(&Request { tls: false, host, port: 80, path, headers })
    }

    #[test]
    fn a_place_is_named_with_its_port_and_encoded_path() {
        assert_eq!(place("/healthz?x=1").url(), "http://10.1.1.2:80/healthz?x=1");
        assert_eq!(place("/a b\r\nX: y").target, "/a%20bX:%20y");
        assert_eq!(join("fd00::2", 80), "[fd00::2]:80");
    }

    #[test]
    fn a_location_is_relative_to_the_place_that_sent_it() {
        for (location, url) in [
            ("/b", "http://10.1.1.2:80/b"),
            ("c?d=e", "http://10.1.1.2:80/a/c?d=e"),
            ("https://10.1.1.2/x", "https://10.1.1.2:443/x"),
            ("//other:81/y", "http://other:81/y"),
            ("http://[fd00::1]:82/", "http://[fd00::1]:82/"),
        ] {
            assert_eq!(place("/a/b").redirected(location).unwrap().url(), url, "{location}");
        }
        assert!(place("/").redirected("ftp://x/").is_err());
        assert!(is_relative("/b") && !is_relative("http://x/") && !is_relative("//x/"));
    }
}
