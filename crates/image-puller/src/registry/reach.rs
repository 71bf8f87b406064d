//! Which addresses a registry may send this machine to, by redirects and by the places where it
//! has its tokens given.
//!
//! A registry on the internet must not make this machine ask services of its private networks. One
//! that is in a private network, or on this machine, may send to others there. Link-local
//! addresses, where clouds keep the credentials of machines, are never reached that way. A host
//! that `registries.conf` names may be reached whatever its address is. Names are looked up first
//! and their addresses checked; what is connected to is what was checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, OnceLock};

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::configuration::{Endpoint, bare_host};

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("there is no host {name}")]
    UnknownHost { name: String },
    #[error("cannot look up {name}: {why}")]
    Failed { name: String, why: String },
    #[error("{name} has the address {address}, which is {what}")]
    Refused { name: String, address: IpAddr, what: &'static str },
}

/// What one registry may have reached.
#[derive(Debug)]
pub(super) struct Reach {
    /// The registry's host without its port.
    own: String,
    /// The addresses of that host, from the first lookup on: later ones must not add private ones.
    own_addresses: OnceLock<Vec<IpAddr>>,
    /// Hosts of the configuration: they may be reached at any address.
    known: Vec<String>,
    /// Hosts of proxies: they are connected to, and nobody may send to them.
    proxies: Vec<String>,
}

impl Reach {
    pub(super) fn new(endpoint: &Endpoint, known: Vec<String>, proxies: Vec<String>) -> Self {
        let own = bare_host(&endpoint.host).to_ascii_lowercase();
        let own_addresses = OnceLock::new();
        if let Some(address) = literal(&own) {
            let _ = own_addresses.set(vec![address]); // it is new
        }
        Self { own, own_addresses, known, proxies }
    }

    /// Why a place must not be asked, as far as its URL shows. A name is checked when it is looked
    /// up.
    pub(super) fn refusal(&self, url: &Url) -> Option<&'static str> {
        let host = url.host_str()?.to_ascii_lowercase();
        let host = host.trim_matches(['[', ']']);
        match literal(host) {
            Some(address) => self.refused(host, address),
            None => self.proxies.iter().any(|proxy| proxy == host).then_some("a proxy"),
        }
    }

    fn refused(&self, host: &str, address: IpAddr) -> Option<&'static str> {
        let pinned = self.own_addresses.get();
        let is_own = host == self.own && pinned.is_none_or(|known| known.contains(&address));
        if is_own || self.known.iter().any(|known| known == host) {
            return None;
        }
        match kind(address) {
            Kind::Public => None,
            Kind::LinkLocal => Some("a link-local address"),
            Kind::Private if self.is_private() => None,
            Kind::Private => Some("an address of a private network or of this machine"),
        }
    }

    /// Whether the registry itself has private addresses only. One that is reached through a proxy
    /// was never looked up.
    fn is_private(&self) -> bool {
        let is_private = |address: &IpAddr| matches!(kind(*address), Kind::Private);
        self.own_addresses.get().is_some_and(|all| !all.is_empty() && all.iter().all(is_private))
    }

    fn lookup(&self, name: &str) -> Result<Vec<SocketAddr>, LookupError> {
        let found = (name, 0).to_socket_addrs().map_err(|error| lookup_error(name, &error))?;
        self.permitted(name, found.collect())
    }

    /// The addresses of a name that may be connected to.
    fn permitted(
        &self,
        name: &str,
        found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, LookupError> {
        let host = name.to_ascii_lowercase();
        if self.proxies.contains(&host) {
            return Ok(found);
        }
        if host == self.own {
            let _ = self.own_addresses.set(found.iter().map(SocketAddr::ip).collect()); // or it is
        }
        let refusal = |address: IpAddr| Some((address, self.refused(&host, address)?));
        let refused = found.iter().find_map(|address| refusal(address.ip()));
        let is_good = |address: &SocketAddr| self.refused(&host, address.ip()).is_none();
        let good: Vec<SocketAddr> = found.into_iter().filter(is_good).collect();
        match refused {
            Some((address, what)) if good.is_empty() => {
                Err(LookupError::Refused { name: host, address, what })
            }
            _ => Ok(good),
        }
    }
}

/// Looks names up for the HTTP client.
#[derive(Debug)]
pub(super) struct Resolver(pub(super) Arc<Reach>);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = Arc::clone(&self.0);
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || reach.lookup(name.as_str())).await?;
            Ok(Box::new(found?.into_iter()) as Addrs)
        })
    }
}

/// The C library says in words only that it was told that there is no such name (`EAI_NONAME`,
/// `EAI_NODATA` of glibc and musl), unlike that nobody could be asked.
fn lookup_error(name: &str, error: &std::io::Error) -> LookupError {
    const UNKNOWN: [&str; 4] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ];
    let (name, text) = (name.to_owned(), error.to_string());
    if UNKNOWN.iter().any(|known| text.ends_with(known)) {
        return LookupError::UnknownHost { name };
    }
    let why = text.rsplit(": ").next().unwrap_or(&text).to_lowercase();
    LookupError::Failed { name, why }
}

/// An address that is written as one.
fn literal(host: &str) -> Option<IpAddr> {
    if host == "localhost" {
        return Some(Ipv4Addr::LOCALHOST.into());
    }
    host.trim_matches(['[', ']']).parse().ok()
}

/// Where an address leads (IANA's special-purpose address registries).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Public,
    Private,
    LinkLocal,
}

fn kind(address: IpAddr) -> Kind {
    match address {
        IpAddr::V4(address) => kind_of_v4(address),
        IpAddr::V6(address) => match embedded(address) {
            Some(inner) => kind_of_v4(inner),
            None if address.is_unicast_link_local() => Kind::LinkLocal,
            None => {
                let is_site_local = address.segments()[0] & 0xffc0 == 0xfec0;
                let is_private = address.is_loopback()
                    || address.is_unspecified()
                    || address.is_unique_local()
                    || address.is_multicast()
                    || is_site_local;
                if is_private { Kind::Private } else { Kind::Public }
            }
        },
    }
}

fn kind_of_v4(address: Ipv4Addr) -> Kind {
    let [first, second, ..] = address.octets();
    let is_shared = first == 100 && second & 0xc0 == 64; // RFC 6598, between provider and customer
    if address.is_link_local() {
        Kind::LinkLocal
    } else if address.is_private()
        || address.is_loopback()
        || first == 0
        || is_shared
        || address.is_multicast()
        || first >= 240
    {
        Kind::Private
    } else {
        Kind::Public
    }
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, translated (RFC 6052) or
/// tunnelled (RFC 3056).
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        [0, 0, 0, 0, 0, 0, high, low] if high > 0 => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(host: &str, known: &[&str]) -> Reach {
        let (host, repository) = (host.to_owned(), "x".to_owned());
        let endpoint = Endpoint { host, repository, insecure: false };
        let known = known.iter().map(|&host| host.to_owned()).collect();
        Reach::new(&endpoint, known, vec!["proxy.example".to_owned(), "127.0.0.1".to_owned()])
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
    }

    #[test]
    fn a_public_registry_cannot_send_to_private_addresses() {
        let rows = [
            ("203.0.113.9", true),
            ("10.0.0.1", false),
            ("172.31.255.1", false),
            ("192.168.1.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("0.0.0.0", false),
            ("169.254.169.254", false),
            ("255.255.255.255", false),
            ("[2001:db8::1]", true),
            ("[::1]", false),
            ("[fd00::1]", false),
            ("[fe80::1]", false),
            ("[::ffff:10.0.0.1]", false),
            ("[::10.0.0.1]", false),
            ("[64:ff9b::a00:1]", false),
            ("[2002:a00:1::]", false),
            // Other ways to write 10.0.0.1 and 127.0.0.1, which a URL parser knows.
            ("0xa000001", false),
            ("127.1", false),
            ("localhost", false),
        ];
        for (host, is_fine) in rows {
            let url = Url::parse(&format!("https://{host}/x")).unwrap();
            assert_eq!(reach("203.0.113.1:5000", &[]).refusal(&url).is_none(), is_fine, "{host}");
            let known = url.host_str().unwrap().trim_matches(['[', ']']).to_owned();
            assert_eq!(reach("203.0.113.1", &[&known]).refusal(&url), None, "{host} is configured");
        }
    }

    #[test]
    fn a_private_registry_may_send_to_private_addresses_but_not_to_link_local_ones() {
        for own in ["10.9.9.9:5000", "[fd00::9]:5000", "localhost:5000", "127.0.0.1", "[::1]"] {
            let reach = reach(own, &[]);
            for (to, is_fine) in [("10.0.0.1", true), ("[::1]", true), ("169.254.169.254", false)] {
                let url = Url::parse(&format!("https://{to}/x")).unwrap();
                assert_eq!(reach.refusal(&url).is_none(), is_fine, "{own} to {to}");
            }
        }
    }

    #[test]
    fn a_name_is_judged_by_its_addresses() {
        let public = reach("registry.example:5000", &["mirror.example"]);
        let own = addresses(&["203.0.113.1"]);
        assert_eq!(public.permitted("registry.example", own.clone()).unwrap(), own);
        let inner = addresses(&["10.0.0.1"]);
        let error = public.permitted("inner.example", inner.clone()).unwrap_err();
        assert!(error.to_string().contains("10.0.0.1"), "{error}");
        assert_eq!(public.permitted("mirror.example", inner.clone()).unwrap(), inner);
        assert_eq!(public.permitted("proxy.example", inner.clone()).unwrap(), inner);
        assert!(public.refusal(&Url::parse("https://proxy.example/x").unwrap()).is_some());
        // Of several addresses the private ones are left out.
        let both = addresses(&["10.0.0.1", "203.0.113.2"]);
        assert_eq!(public.permitted("x.example", both).unwrap(), addresses(&["203.0.113.2"]));
        // The registry's own name must not lead elsewhere afterwards.
        assert!(public.permitted("Registry.example", inner.clone()).is_err());
    }

    #[test]
    fn a_registry_whose_name_is_private_may_send_to_private_addresses() {
        let private = reach("registry.example", &[]);
        let own = addresses(&["10.0.0.7"]);
        assert_eq!(private.permitted("registry.example", own.clone()).unwrap(), own);
        let inner = addresses(&["10.0.0.1"]);
        assert_eq!(private.permitted("inner.example", inner.clone()).unwrap(), inner);
        assert!(private.permitted("meta.example", addresses(&["169.254.169.254"])).is_err());
    }

    #[test]
    fn that_a_name_does_not_exist_is_told_from_that_nobody_could_be_asked() {
        let begin = "failed to lookup address information: ";
        for (text, is_unknown) in [
            ("Name or service not known", true),
            ("Temporary failure in name resolution", false),
            ("Name does not resolve", true),
        ] {
            let error = std::io::Error::other(format!("{begin}{text}"));
            let found = lookup_error("x.example", &error);
            let unknown = matches!(found, LookupError::UnknownHost { .. });
            assert_eq!(unknown, is_unknown, "{found}");
        }
    }
}
