//! Where a registry may send us: its blobs are often kept elsewhere.
//!
//! The HTTP client leaves out `Authorization` when host, port or scheme change. Which addresses are
//! followed is in `reach.rs`.

use std::sync::Arc;

use reqwest::Url;
use reqwest::redirect::Policy;

use super::reach::Reach;

const LIMIT: usize = 10;

/// Follows redirects that are safe.
pub(super) fn policy(reach: Arc<Reach>) -> Policy {
    Policy::custom(move |attempt| {
        let from = attempt.previous().last();
        if attempt.previous().len() > LIMIT {
            attempt.error("it redirects more than 10 times")
        } else if let Some(why) = from.and_then(|from| refusal(from, attempt.url())) {
            attempt.error(why)
        } else if let Some(what) = reach.refusal(attempt.url()) {
            let host = attempt.url().host_str().unwrap_or_default();
            let text = format!("it redirects to {host}, which is {what}");
            attempt.error(text)
        } else {
            attempt.follow()
        }
    })
}

fn refusal(from: &Url, to: &Url) -> Option<&'static str> {
    match to.scheme() {
        "https" => None,
        "http" if from.scheme() == "http" => None,
        "http" => Some("it redirects from https to http"),
        _ => Some("it redirects to something else than http"),
    }
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
        ];
        for (from, to, is_safe) in rows {
            let found = refusal(&Url::parse(from).unwrap(), &Url::parse(to).unwrap());
            assert_eq!(found.is_none(), is_safe, "{from} to {to}: {found:?}");
        }
    }
}
