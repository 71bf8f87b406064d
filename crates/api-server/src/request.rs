//! What a request asks for: its path and its query, taken apart.

use crate::kinds::Kind;

/// What a path leads to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// `/version`
    Version,
    /// `/healthz`, `/livez`, `/readyz`
    Health,
    /// `/api`
    Api,
    /// `/apis`
    Apis,
    /// `/api/v1`
    ApiV1,
    /// `/openapi/v2`
    OpenApiV2,
    /// `/openapi/v3`
    OpenApiV3,
    /// `/openapi/v3/api/v1`
    OpenApiV3Core,
    /// Objects, or one.
    Objects(Objects),
    /// Nothing that is here.
    Nothing,
}

/// Objects of a kind, or one of them.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    pub(crate) kind: &'static Kind,
    pub(crate) namespace: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
}

impl Target {
    /// What the path leads to.
    pub(crate) fn of(path: &str) -> Self {
        let parts: Vec<String> =
            path.split('/').filter(|part| !part.is_empty()).map(decoded).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["version"] => Self::Version,
            ["healthz" | "livez" | "readyz", ..] => Self::Health,
            ["api"] => Self::Api,
            ["apis"] => Self::Apis,
            ["api", "v1"] => Self::ApiV1,
            ["openapi", "v2"] => Self::OpenApiV2,
            ["openapi", "v3"] => Self::OpenApiV3,
            ["openapi", "v3", "api", "v1"] => Self::OpenApiV3Core,
            ["api", "v1", rest @ ..] => objects(rest).map_or(Self::Nothing, Self::Objects),
            _ => Self::Nothing,
        }
    }
}

fn objects(rest: &[&str]) -> Option<Objects> {
    let (namespace, plural, rest) = match rest {
        ["namespaces"] => (None, "namespaces", [].as_slice()),
        ["namespaces", _] => (None, "namespaces", &rest[1..]),
        ["namespaces", _, "status" | "finalize"] => (None, "namespaces", &rest[1..]),
        ["namespaces", namespace, plural, rest @ ..] => (Some(*namespace), *plural, rest),
        [plural, rest @ ..] => (None, *plural, rest),
        [] => return None,
    };
    let kind = Kind::of_plural(plural)?;
    if namespace.is_some() != kind.is_namespaced && (namespace.is_some() || !rest.is_empty()) {
        return None;
    }
    let mut rest = rest.iter().map(|part| (*part).to_owned());
    let (name, subresource) = (rest.next(), rest.next());
    if rest.next().is_some() {
        return None;
    }
    Some(Objects { kind, namespace: namespace.map(str::to_owned), name, subresource })
}

/// The pairs of a query, in their order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Takes a query apart (`application/x-www-form-urlencoded`).
    pub(crate) fn of(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(&name.replace('+', " ")), decoded(&value.replace('+', " ")))
        };
        Self(pairs.map(pair).collect())
    }

    /// The first value of that name; one that is empty counts as none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.0.iter();
        let found = pairs.find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    /// Every value of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set.
    pub(crate) fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }
}

/// A text with its percent-encoded bytes (RFC 3986, section 2.1).
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
            }
            (byte, _) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_objects_as_kubernetes_has_them() {
        let told = |path| match Target::of(path) {
            Target::Objects(Objects { kind, namespace, name, subresource }) => {
                let or = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
                format!("{} {} {} {}", kind.plural, or(namespace), or(name), or(subresource))
            }
            _ => "nothing".to_owned(),
        };
        for (path, wanted) in [
            ("/api/v1/pods", "pods - - -"),
            ("/api/v1/namespaces/default/pods", "pods default - -"),
            ("/api/v1/namespaces/a%2Db/pods/web/log", "pods a-b web log"),
            ("/api/v1/namespaces", "namespaces - - -"),
            ("/api/v1/namespaces/default", "namespaces - default -"),
            ("/api/v1/nodes/vm", "nodes - vm -"),
            ("/api/v1/namespaces/default/nodes", "nothing"),
            ("/api/v1/pods/web", "nothing"),
            ("/api/v1/namespaces/default/pods/web/log/more", "nothing"),
            ("/api/v1/namespaces/default/deployments", "nothing"),
        ] {
            assert_eq!(told(path), wanted, "{path}");
        }
    }

    #[test]
    fn a_query_is_decoded_and_keeps_its_order() {
        let query = Query::of(Some("command=sh&command=-c&command=echo+a%26b&stdin=true&x="));
        assert_eq!(query.all("command").collect::<Vec<_>>(), ["sh", "-c", "echo a&b"]);
        assert!(query.is_true("stdin") && !query.is_true("tty"));
        assert_eq!(query.get("x"), None);
        assert_eq!(decoded("100%"), "100%");
    }
}
