//! Where a registry may send us: its blobs are often kept elsewhere.
//!
//! The HTTP client leaves out `Authorization` when host, port or scheme change. Addresses in
//! private networks are followed, because mirrors and their blob stores are often there; nothing
//! that is found there is shown, and it has to have the right digest.

use std::net::IpAddr;

use reqwest::Url;
use reqwest::redirect::Policy;

const LIMIT: usize = 10;

/// Follows redirects that are safe.
pub(super) fn policy() -> Policy {
    Policy::custom(|attempt| {
        let from = attempt.previous().last();
        if attempt.previous().len() > LIMIT {
            attempt.error("it redirects more than 10 times")
        } else if let Some(why) = from.and_then(|from| refusal(from, attempt.url())) {
            attempt.error(why)
        } else {
            attempt.follow()
        }
    })
}

fn refusal(from: &Url, to: &Url) -> Option<&'static str> {
    match to.scheme() {
        "https" => {}
        "http" if from.scheme() == "http" => {}
        "http" => return Some("it redirects from https to http"),
        _ => return Some("it redirects to something else than http"),
    }
    is_link_local(to).then_some("it redirects to a link-local address")
}

/// Clouds keep the credentials of machines at such addresses.
pub(super) fn is_link_local(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    address.is_some_and(|address| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.to_ipv4_mapped().is_some_and(|address| address.is_link_local())
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_never_lead_to_less_safety() {
        let rows = [
            ("https://a/", "https://b/", true),
            ("http://a/", "http://b:81/", true),
            ("http://a/", "https://b/", true),
            ("https://a/", "http://a/", false),
            ("http://a/", "file:///etc/passwd", false),
            ("http://a/", "http://169.254.169.254/latest", false),
            ("http://a/", "http://[fe80::1]/", false),
            ("http://a/", "http://[::ffff:169.254.169.254]/", false),
        ];
        for (from, to, is_safe) in rows {
            let found = refusal(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
            assert_eq!(found.is_none(), is_safe, "{from} to {to}: {found:?}");
        }
    }
}
