//! Tokens (distribution-spec: token authentication).

use std::collections::BTreeMap;

/// What a registry wants before it answers (`WWW-Authenticate`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A token from elsewhere.
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
    /// Name and password with each request.
    Basic,
}

/// Reads the challenges in a header; one line may have several (RFC 9110 §11.6.1).
pub(super) fn challenges(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, BTreeMap<String, String>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if rest.is_empty() {
            break;
        }
        // A word with a value belongs to the challenge before it; any other begins one.
        match (after.trim_start().strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let (value, after) = value_of(value.trim_start());
                parameters.insert(word.to_lowercase(), value);
                rest = after;
            }
            (Some(value), None) => rest = value_of(value).1,
            (None, _) => {
                found.push((word.to_lowercase(), BTreeMap::new()));
                rest = after;
            }
        }
    }
    found.into_iter().filter_map(|(scheme, parameters)| known(&scheme, parameters)).collect()
}

fn known(scheme: &str, mut parameters: BTreeMap<String, String>) -> Option<Challenge> {
    match scheme {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        }),
        _ => None,
    }
}

/// A value, in quotes or not, and what comes after it. In quotes a backslash takes the meaning
/// from the next character.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_with_its_parameters() {
        let header = "Bearer realm=\"https://auth.example/token\",service=\"registry\",\
                      scope=\"repository:a/b:pull,push\"";
        let bearer = Challenge::Bearer {
            realm: "https://auth.example/token".into(),
            service: Some("registry".into()),
            scope: Some("repository:a/b:pull,push".into()),
        };
        assert_eq!(challenges(header), [bearer]);
        assert_eq!(challenges("Basic realm=\"x\""), [Challenge::Basic]);
        assert_eq!(challenges("Negotiate"), []);
    }

    #[test]
    fn one_line_may_have_several_challenges() {
        let bearer = |service: &str| Challenge::Bearer {
            realm: "https://a/t".into(),
            service: Some(service.into()),
            scope: None,
        };
        let rows: &[(&str, &[Challenge])] = &[
            (
                r#"Basic realm="x, Bearer y",Bearer realm="https://a/t",service="s""#,
                &[Challenge::Basic, bearer("s")],
            ),
            (
                r#"Bearer realm = "https://a/t" , service=s, BASIC realm=x, charset="UTF-8""#,
                &[bearer("s"), Challenge::Basic],
            ),
            (r#"Negotiate abc==, bearer realm="https://a/t",service="a\"b""#, &[bearer("a\"b")]),
            ("Bearer service=\"s\"", &[]),
            ("=,=\"", &[]),
        ];
        for (header, expected) in rows {
            assert_eq!(challenges(header), *expected, "{header}");
        }
    }
}
