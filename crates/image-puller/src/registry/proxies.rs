//! Through which proxy a place is reached: the variables `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`
//! and `NO_PROXY`, read as the HTTP client reads them.

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

/// The proxies of the environment.
pub(super) struct Proxies(Option<Matcher>);

impl Proxies {
    /// Those of the environment; none for a place on this machine.
    pub(super) fn for_place(is_local: bool) -> Self {
        Self((!is_local).then(Matcher::from_system))
    }

    /// The proxy that a URL is asked through, without name and password.
    pub(super) fn of(&self, url: &str) -> Option<Box<str>> {
        let intercept = self.0.as_ref()?.intercept(&url.parse().ok()?)?;
        let mut shown = Url::parse(&intercept.uri().to_string()).ok()?;
        let _ = shown.set_username(""); // a URL that cannot have them has none
        let _ = shown.set_password(None);
        Some(shown.as_str().trim_end_matches('/').into())
    }

    /// The names of the proxies' hosts.
    pub(super) fn hosts(&self) -> Vec<String> {
        // Any name will do that NO_PROXY does not list: `invalid` belongs to nobody (RFC 2606).
        let any = ["http://minipod.invalid", "https://minipod.invalid"];
        let urls = any.iter().filter_map(|url| Url::parse(&self.of(url)?).ok());
        urls.filter_map(|url| Some(url.host_str()?.trim_matches(['[', ']']).to_owned())).collect()
    }
}
