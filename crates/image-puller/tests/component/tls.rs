//! Certificates and proxies. The registry has a name and is reached through a proxy, so that
//! nothing here counts as "on this machine".

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::child;
use crate::image::TestImage;
use crate::registry::{Answer, Registry, honest};
use crate::store::Scratch;

pub(crate) const NAME: &str = "registry.example";
const IMAGE: &str = "registry.example/image:latest";

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("there is randomness");
    CertifiedIssuer::self_signed(params, key).expect("it signs itself")
}

/// A certificate by that authority and its key, both as PEM.
pub(crate) fn issued(
    authority: &Authority,
    name: &str,
    change: impl Fn(&mut CertificateParams),
) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("there is randomness");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
    change(&mut params);
    let certificate = params.signed_by(&key, authority).expect("it signs");
    (certificate, key)
}

pub(crate) fn server(
    (certificate, key): &(rcgen::Certificate, KeyPair),
    clients: Option<&Authority>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("the provider knows them");
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.der().clone()).expect("it is an authority");
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.expect("there is an authority"))
        }
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
    Arc::new(builder.with_single_cert(chain, key).expect("they fit"))
}

/// What a test has: an image on a registry with TLS, and a home with nothing in it yet.
struct Place {
    registry: Registry,
    scratch: Scratch,
}

impl Place {
    fn new(tls: Arc<ServerConfig>) -> Self {
        let image = TestImage::of_size(1000);
        let registry = Registry::start_with(Some(tls), move |request| honest(&image, request));
        Self { registry, scratch: Scratch::new() }
    }

    fn certificates(&self) -> PathBuf {
        let path = self.scratch.path().join("home/.config/containers/certs.d").join(NAME);
        fs::create_dir_all(&path).expect("it is ours");
        path
    }

    fn pull(&self) -> Result<u64, String> {
        let proxy = format!("http://{}", self.registry.host());
        child::pull(&self.scratch, IMAGE, &[("HTTPS_PROXY", &proxy)])
    }
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("it is ours");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_refused_until_it_is_in_certs_d() {
    let authority = authority();
    let place = Place::new(server(&issued(&authority, NAME, |_| ()), None));
    let told = place.pull().expect_err("nobody vouches for it");
    assert!(told.contains("UnknownIssuer"), "{told}");
    assert!(told.contains("/etc/containers/certs.d/registry.example/ca.crt"), "{told}");
    let requests = place.registry.requests();
    assert!(requests.iter().all(|request| request.method == "CONNECT"), "{requests:?}");
    write(&place.certificates().join("ca.crt"), &authority.pem());
    place.pull().expect("the authority is known");
}

#[test]
fn a_certificate_that_is_expired_or_for_another_name_is_refused() {
    let authority = authority();
    let expired = issued(&authority, NAME, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let other = issued(&authority, "other.example", |_| ());
    for (certificate, why, way_out) in
        [(expired, "expired", "check the clock"), (other, "not valid for name", "other names")]
    {
        let place = Place::new(server(&certificate, None));
        write(&place.certificates().join("ca.crt"), &authority.pem());
        let told = place.pull().expect_err("it is not the right one");
        assert!(told.contains(why) && told.contains(way_out), "{told}");
    }
}

/// A certificate that signs itself and says that it is an authority's, as `openssl req -x509` makes
/// it.
fn self_signed(
    name: &str,
    change: impl Fn(&mut CertificateParams),
) -> (rcgen::Certificate, KeyPair) {
    let key = KeyPair::generate().expect("there is randomness");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("it is a name");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let certificate = params.self_signed(&key).expect("it signs itself");
    (certificate, key)
}

#[test]
fn a_certificate_that_signs_itself_is_accepted_once_it_is_in_certs_d() {
    let own = self_signed(NAME, |_| ());
    let place = Place::new(server(&own, None));
    place.pull().expect_err("nobody vouches for it");
    // Another one for the same name does not do.
    let path = place.certificates().join("ca.crt");
    write(&path, &self_signed(NAME, |_| ()).0.pem());
    place.pull().expect_err("it is not the one");
    write(&path, &own.0.pem());
    place.pull().expect("it is the one");
}

#[test]
fn a_certificate_that_signs_itself_must_have_the_right_name_and_date() {
    let expired = self_signed(NAME, |params| params.not_after = date_time_ymd(2020, 1, 1));
    let future = self_signed(NAME, |params| params.not_before = date_time_ymd(2090, 1, 1));
    let other = self_signed("other.example", |_| ());
    for (own, way_out) in
        [(expired, "check the clock"), (future, "check the clock"), (other, "other names")]
    {
        let place = Place::new(server(&own, None));
        write(&place.certificates().join("ca.crt"), &own.0.pem());
        let told = place.pull().expect_err("it is not valid");
        assert!(told.contains(way_out), "{told}");
    }
}

#[test]
fn a_proxy_that_fails_is_named_without_its_password() {
    let scratch = Scratch::new();
    let dead = Registry::start(|_| Answer::new(500, "")).host(); // it has ended
    let refusing = Registry::refusing_to_connect("502 Bad Gateway");
    for (host, way_out) in [(dead, "check HTTPS_PROXY"), (refusing.host(), "check HTTPS_PROXY")] {
        let proxy = format!("http://me:secret@{host}");
        let told = child::pull(&scratch, IMAGE, &[("HTTPS_PROXY", &proxy)]).expect_err("it fails");
        assert!(told.contains(&format!("(through the proxy http://{host})")), "{told}");
        assert!(told.contains(way_out) && !told.contains("secret"), "{told}");
    }
}

#[test]
fn a_proxy_that_wants_a_password_says_where_it_belongs() {
    let scratch = Scratch::new();
    let proxy = Registry::refusing_to_connect("407 Proxy Authentication Required");
    let address = format!("http://{}", proxy.host());
    let told = child::pull(&scratch, IMAGE, &[("HTTPS_PROXY", &address)]).expect_err("it fails");
    assert!(told.contains("(through the proxy") && told.contains("NAME:PASSWORD"), "{told}");
}

#[test]
fn an_insecure_registry_may_have_any_certificate() {
    let place = Place::new(server(&issued(&authority(), "other.example", |_| ()), None));
    let text = format!("[[registry]]\nlocation = '{NAME}'\ninsecure = true\n");
    write(&place.scratch.path().join("registries.conf"), &text);
    place.pull().expect("it was said that it may");
}

#[test]
fn a_registry_that_wants_a_certificate_gets_the_one_from_certs_d() {
    let authority = authority();
    let place = Place::new(server(&issued(&authority, NAME, |_| ()), Some(&authority)));
    let directory = place.certificates();
    write(&directory.join("ca.crt"), &authority.pem());
    place.pull().expect_err("it wants a certificate");
    let (certificate, key) = issued(&authority, "client", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    write(&directory.join("client.cert"), &certificate.pem());
    let told = place.pull().expect_err("the key is missing");
    assert!(told.contains("client.key"), "{told}");
    write(&directory.join("client.key"), &key.serialize_pem());
    place.pull().expect("it is shown its certificate");
}

#[test]
fn a_registry_without_tls_is_refused_unless_that_is_allowed() {
    let image = TestImage::of_size(1000);
    let plain = Registry::start(move |request| honest(&image, request));
    let scratch = Scratch::new();
    let proxy = format!("http://{}", plain.host());
    let variables = [("HTTPS_PROXY", proxy.as_str()), ("HTTP_PROXY", proxy.as_str())];
    let told = child::pull(&scratch, IMAGE, &variables).expect_err("it has no TLS");
    assert!(told.contains("insecure = true"), "{told}");
    let asked = plain.requests();
    assert!(asked.iter().all(|request| request.method == "CONNECT"), "no step down: {asked:?}");
    let text = format!("[[registry]]\nlocation = '{NAME}'\ninsecure = true\n");
    write(&scratch.path().join("registries.conf"), &text);
    child::pull(&scratch, IMAGE, &variables).expect("it was said that it may");
    let through = plain.requests_for("http://registry.example/v2/");
    assert!(!through.is_empty(), "plain HTTP goes through the proxy, too");
}

#[test]
fn a_proxy_is_passed_by_for_the_hosts_that_are_named_and_for_this_machine() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&image, |_, answer| answer);
    let proxy = Registry::start(|_| Answer::new(502, ""));
    let address = format!("http://{}", proxy.host());
    let variables = [("HTTP_PROXY", address.as_str()), ("HTTPS_PROXY", address.as_str())];
    let name = format!("{}/image:latest", registry.host());
    child::pull(&scratch, &name, &variables).expect("it is on this machine");
    assert_eq!(proxy.requests().len(), 0);
    let with_exception = [variables[1], ("NO_PROXY", ".example")];
    let told = child::pull(&scratch, "none.example/image", &with_exception);
    assert!(told.expect_err("there is no such host").contains("none.example"));
    assert_eq!(proxy.requests().len(), 0);
}
