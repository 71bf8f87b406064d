//! `/etc/hosts`, `/etc/resolv.conf` and `/etc/hostname` as a kubelet writes them.

use std::fs;
use std::io;
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{HostAlias, PodDNSConfig};
use pod_model::Pod;
use sandbox::{PodSandboxPlan, Sharing};

use crate::plan::{self, PlanInput};
use crate::volumes;

/// More name servers than these are left out (resolv.conf(5): MAXNS).
const MOST_NAME_SERVERS: usize = 3;
/// More search domains than these are left out.
const MOST_SEARCH_DOMAINS: usize = 32;
/// A longer line of search domains is cut.
const LONGEST_SEARCH_LINE: usize = 2048;
/// How many bytes containers can add to these files.
const ROOM: u64 = 1 << 20;
/// Where systemd-resolved tells the servers that it asks itself.
const UPSTREAM_RESOLVER: &str = "/run/systemd/resolve/resolv.conf";

/// Writes the three files and returns what will not work as the pod may expect, for warning events.
pub(crate) fn write(
    input: &PlanInput<'_>,
    sandbox: &PodSandboxPlan,
    addresses: &[IpAddr],
) -> io::Result<Vec<String>> {
    let spec = input.pod.object.spec.as_ref();
    let on_host = sandbox.network == Sharing::Host;
    let aliases = spec.and_then(|spec| spec.host_aliases.as_deref()).unwrap_or_default();
    let hosts = if on_host {
        hosts_of_host(fs::read("/etc/hosts").unwrap_or_default(), aliases)
    } else {
        hosts_of_pod(input.pod, &sandbox.hostname, addresses, aliases).into_bytes()
    };
    let node = node_resolver(on_host);
    let policy = spec.and_then(|spec| spec.dns_policy.as_deref()).unwrap_or("ClusterFirst");
    let mut resolver = if policy == "None" { Resolver::default() } else { Resolver::parse(&node) };
    if let Some(config) = spec.and_then(|spec| spec.dns_config.as_ref()) {
        resolver.merge(config);
    }
    let mut problems = resolver.limit();
    if !on_host {
        problems.extend(resolver.out_of_reach());
    }
    let hostname = format!("{}\n", sandbox.hostname).into_bytes();
    let resolver = resolver.text().into_bytes();
    let files = [("hosts", hosts), ("resolv.conf", resolver), ("hostname", hostname)];
    let length: usize = files.iter().map(|(_, text)| text.len()).sum();
    volumes::set_up_network_files(input, ROOM + length as u64)?;
    for (name, text) in files {
        fs::write(input.dir.network_file(name), text)?;
    }
    Ok(problems)
}

/// The node's resolver file. A server on the node's loopback, as systemd-resolved has it, cannot
/// be reached from a pod's network: there, the servers behind it are used (as kubeadm sets it up).
pub(crate) fn node_resolver(on_host: bool) -> String {
    let read = |path: &str| {
        // Names and addresses are ASCII; another byte, as in a comment, must not cost them.
        fs::read(path).map_or(String::new(), |text| String::from_utf8_lossy(&text).into_owned())
    };
    let node = read("/etc/resolv.conf");
    if on_host || !is_local(&node) {
        return node;
    }
    let upstream = read(UPSTREAM_RESOLVER);
    if upstream.is_empty() { node } else { upstream }
}

/// The name servers that pods get from the node.
pub(crate) fn node_servers() -> Vec<IpAddr> {
    let servers = Resolver::parse(&node_resolver(false)).servers;
    servers.iter().filter_map(|server| server.parse().ok()).collect()
}

/// Whether every server of a resolver file is on the loopback.
fn is_local(text: &str) -> bool {
    let servers = Resolver::parse(text).servers;
    !servers.is_empty() && servers.iter().all(|server| is_loopback(server))
}

fn is_loopback(server: &str) -> bool {
    server.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn hosts_of_pod(pod: &Pod, hostname: &str, addresses: &[IpAddr], aliases: &[HostAlias]) -> String {
    let mut text = String::from(
        "# Kubernetes-managed hosts file.\n\
         127.0.0.1\tlocalhost\n\
         ::1\tlocalhost ip6-localhost ip6-loopback\n\
         fe00::0\tip6-localnet\n\
         fe00::0\tip6-mcastprefix\n\
         fe00::1\tip6-allnodes\n\
         fe00::2\tip6-allrouters\n",
    );
    let names = match plan::domain(pod) {
        Some(domain) => {
            let short = plan::short_name(pod);
            format!("{short}.{domain}\t{short}")
        }
        None => hostname.to_owned(),
    };
    for address in addresses {
        text.push_str(&format!("{address}\t{names}\n"));
    }
    text + &alias_block(aliases)
}

/// The node's own file is taken as it is, byte for byte.
fn hosts_of_host(host: Vec<u8>, aliases: &[HostAlias]) -> Vec<u8> {
    let head = b"# Kubernetes-managed hosts file (host network).\n";
    [head.to_vec(), host, alias_block(aliases).into_bytes()].concat()
}

fn alias_block(aliases: &[HostAlias]) -> String {
    if aliases.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n# Entries added by HostAliases.\n");
    for alias in aliases {
        let names = alias.hostnames.as_deref().unwrap_or_default().join("\t");
        text.push_str(&format!("{}\t{names}\n", alias.ip));
    }
    text
}

/// What resolv.conf(5) says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

impl Resolver {
    /// Reads a resolver file: servers add up, the last `search` line wins.
    fn parse(text: &str) -> Self {
        let mut resolver = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => resolver.servers.extend(words.next().map(str::to_owned)),
                Some("search") => {
                    let domains = words.map(|word| word.trim_end_matches('.').to_owned());
                    resolver.searches = domains.filter(|word| !word.is_empty()).collect();
                }
                Some("options") => words.for_each(|word| resolver.set_option(word.to_owned())),
                _ => {}
            }
        }
        resolver
    }

    /// Adds the pod's `dnsConfig`; its options win.
    fn merge(&mut self, config: &PodDNSConfig) {
        let add = |list: &mut Vec<String>, new: Option<&Vec<String>>| {
            for one in new.into_iter().flatten() {
                if !list.contains(one) {
                    list.push(one.clone());
                }
            }
        };
        add(&mut self.servers, config.nameservers.as_ref());
        add(&mut self.searches, config.searches.as_ref());
        for option in config.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            let value = option.value.as_ref().map(|value| format!(":{value}"));
            self.set_option(name + &value.unwrap_or_default());
        }
    }

    fn set_option(&mut self, option: String) {
        fn name(option: &str) -> &str {
            option.split(':').next().unwrap_or_default()
        }
        self.options.retain(|known| name(known) != name(&option));
        self.options.push(option);
    }

    /// Leaves out what resolvers would not look at, and says so in Kubernetes' words.
    fn limit(&mut self) -> Vec<String> {
        let mut left_out = Vec::new();
        if self.servers.len() > MOST_NAME_SERVERS {
            self.servers.truncate(MOST_NAME_SERVERS);
            left_out.push(format!(
                "Nameserver limits were exceeded, some nameservers have been omitted, the applied \
                 nameserver line is: {}",
                self.servers.join(" ")
            ));
        }
        let most = self.searches.len();
        self.searches.truncate(MOST_SEARCH_DOMAINS);
        while self.searches.join(" ").len() > LONGEST_SEARCH_LINE {
            self.searches.pop();
        }
        if self.searches.len() < most {
            left_out.push(format!(
                "Search Line limits were exceeded, some search paths have been omitted, the \
                 applied search line is: {}",
                self.searches.join(" ")
            ));
        }
        left_out
    }

    /// What a pod cannot resolve by, with the way out.
    fn out_of_reach(&self) -> Option<String> {
        let servers: Vec<&str> =
            self.servers.iter().filter(|server| is_loopback(server)).map(String::as_str).collect();
        let way_out = "use dnsPolicy: None with dnsConfig.nameservers, or name a server with \
                       another address in /etc/resolv.conf";
        match servers.as_slice() {
            [] if self.servers.is_empty() => {
                Some(format!("the pod has no name server, so names are not resolved; {way_out}"))
            }
            [] => None,
            _ => Some(format!(
                "the pod cannot reach the name server {}, which is on this machine's loopback; \
                 {way_out}",
                servers.join(", ")
            )),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.searches.is_empty() {
            text.push_str(&format!("search {}\n", self.searches.join(" ")));
        }
        for server in &self.servers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        if !self.options.is_empty() {
            text.push_str(&format!("options {}\n", self.options.join(" ")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodDNSConfigOption;

    use super::*;

    #[test]
    fn a_resolver_file_is_read_as_the_resolver_reads_it() {
        let resolver = Resolver::parse(
            "# a comment\nnameserver 10.0.0.1\nsearch old\nsearch example. . lab\n\
             nameserver 10.0.0.2\noptions ndots:1 edns0\noptions ndots:2\n",
        );
        assert_eq!(
            resolver.text(),
            "search example lab\nnameserver 10.0.0.1\nnameserver 10.0.0.2\noptions edns0 ndots:2\n"
        );
    }

    #[test]
    fn a_pods_dns_config_is_added_and_limited() {
        let mut resolver = Resolver::parse("nameserver 1\nnameserver 2\noptions ndots:1\n");
        resolver.merge(&PodDNSConfig {
            nameservers: Some(vec!["2".into(), "3".into(), "4".into()]),
            searches: Some(vec!["svc".into()]),
            options: Some(vec![PodDNSConfigOption {
                name: Some("ndots".into()),
                value: Some("5".into()),
            }]),
        });
        let left_out = resolver.limit();
        assert_eq!(left_out.len(), 1);
        assert_eq!(
            resolver.text(),
            "search svc\nnameserver 1\nnameserver 2\nnameserver 3\noptions ndots:5\n"
        );
    }

    #[test]
    fn a_long_line_of_search_domains_is_cut() {
        for (length, kept) in [(10, 32), (99, 20)] {
            let domains: Vec<String> =
                (0..40).map(|number| format!("{number:02}{}", "x".repeat(length - 2))).collect();
            let mut resolver = Resolver::parse(&format!("search {}\n", domains.join(" ")));
            let left_out = resolver.limit();
            assert_eq!(resolver.searches, domains[..kept]);
            let line = domains[..kept].join(" ");
            assert!(left_out[0].ends_with(&format!("applied search line is: {line}")));
        }
    }

    #[test]
    fn servers_on_the_loopback_are_of_no_use_to_a_pod() {
        assert!(is_local("nameserver 127.0.0.53\noptions edns0\n"));
        assert!(!is_local("nameserver 127.0.0.1\nnameserver 192.0.2.1\n"));
        assert!(!is_local(""));
        for (text, problem) in [
            ("nameserver 192.0.2.1\n", None),
            ("nameserver 127.0.0.11\nnameserver 192.0.2.1\n", Some("name server 127.0.0.11,")),
            ("nameserver ::1\n", Some("name server ::1,")),
            ("search example\n", Some("the pod has no name server")),
        ] {
            let found = Resolver::parse(text).out_of_reach();
            assert_eq!(found.is_some(), problem.is_some(), "{text}");
            assert!(found.unwrap_or_default().contains(problem.unwrap_or_default()), "{text}");
        }
    }

    #[test]
    fn host_aliases_follow_the_hosts_own_file() {
        let alias =
            HostAlias { ip: "10.1.2.3".into(), hostnames: Some(vec!["a".into(), "b".into()]) };
        assert_eq!(
            hosts_of_host(b"127.0.0.1 localhost # caf\xe9\n".to_vec(), &[alias]),
            b"# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost # caf\xe9\n\n\
             # Entries added by HostAliases.\n10.1.2.3\ta\tb\n"
        );
    }
}
