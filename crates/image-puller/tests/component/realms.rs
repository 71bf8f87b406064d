//! Where a registry sends for tokens and blobs, and what may be asked and shown there.

use std::fs;
use std::net::TcpListener;

use crate::child;
use crate::image::TestImage;
use crate::registry::{Answer, Registry, Request, honest};
use crate::store::{Scratch, reference, told};
use crate::tls::{NAME, authority, issued, server};

/// A registry that sends for tokens to that realm.
fn with_realm(image: &TestImage, realm: String) -> Registry {
    Registry::serving(image, move |request, answer| {
        if request.path.starts_with("/token") {
            return Answer::new(200, r#"{"token":"","access_token":"good"}"#);
        }
        let challenge = format!("Bearer realm=\"{realm}\"");
        match request.header("authorization") {
            Some("Bearer good") => answer,
            _ => Answer::new(401, "").with("WWW-Authenticate", challenge),
        }
    })
}

fn password(host: &str) -> String {
    format!(r#"{{"auths":{{"{host}":{{"username":"me","password":"secret"}}}}}}"#)
}

fn authorizations(registry: &Registry) -> Vec<Option<String>> {
    let requests = registry.requests_for("/token");
    requests.iter().map(|one| one.header("authorization").map(str::to_owned)).collect()
}

#[test]
fn a_place_for_tokens_on_another_port_is_not_shown_the_credentials() {
    for secret in [r#""username":"me","password":"secret""#, r#""identitytoken":"secret""#] {
        let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
        let thief = Registry::start(|_| Answer::new(401, "{}"));
        let registry = with_realm(&image, format!("http://{}/token", thief.host()));
        scratch.docker_config =
            Some(format!(r#"{{"auths":{{"{}":{{{secret}}}}}}}"#, registry.host()));
        let error = scratch.pull(&registry.host()).expect_err("the token is for nobody");
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains("was not shown the credentials"), "{hint}");
        let asked = thief.requests();
        assert_eq!(asked.len(), 1, "a token may be had without credentials");
        let all = format!("{asked:?}");
        assert!(!all.contains("secret") && !all.contains("authorization"), "{all}");
    }
}

#[test]
fn the_loopback_has_several_names_and_the_same_port_is_the_same_place() {
    let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&image, move |request, answer| {
        if request.path.starts_with("/token") {
            return Answer::new(200, r#"{"token":null,"access_token":"good"}"#);
        }
        let host = request.header("host").unwrap_or_default();
        let port = host.rsplit(':').next().unwrap_or_default();
        let both = format!("Basic realm=\"x\", Bearer realm=\"http://localhost:{port}/token\"");
        match request.header("authorization") {
            Some("Bearer good") => answer,
            _ => Answer::new(401, "").with("WWW-Authenticate", both),
        }
    });
    scratch.docker_config = Some(password(&registry.host()));
    scratch.pull(&registry.host()).expect("the token opens it");
    let shown = authorizations(&registry);
    assert!(matches!(&shown[..], [Some(basic)] if basic.starts_with("Basic ")), "{shown:?}");
}

/// A registry that is nowhere on this machine or in a private network: it is reached by name
/// through a proxy and speaks TLS.
struct Public {
    registry: Registry,
    scratch: Scratch,
}

impl Public {
    fn new(behavior: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let authority = authority();
        let tls = server(&issued(&authority, NAME, |_| ()), None);
        let (registry, scratch) = (Registry::start_with(Some(tls), behavior), Scratch::new());
        let path = scratch.path().join("home/.config/containers/certs.d").join(NAME);
        fs::create_dir_all(&path).expect("it is ours");
        fs::write(path.join("ca.crt"), authority.pem()).expect("it is ours");
        Self { registry, scratch }
    }

    /// Pulls from it; `localhost` is asked without the proxy.
    fn pull(&self) -> Result<u64, String> {
        let proxy = format!("http://{}", self.registry.host());
        let variables = [("HTTPS_PROXY", proxy.as_str()), ("NO_PROXY", "localhost")];
        child::pull(&self.scratch, &format!("{NAME}/image:latest"), &variables)
    }

    /// The hosts that the proxy was to connect to.
    fn connected(&self) -> Vec<String> {
        let requests = self.registry.requests().into_iter();
        requests.filter(|one| one.method == "CONNECT").map(|one| one.path).collect()
    }
}

/// R-62.
#[test]
fn a_public_registry_cannot_have_private_addresses_asked() {
    let inner = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    inner.set_nonblocking(true).expect("it is a socket");
    let port = inner.local_addr().expect("it is bound").port();
    let targets = [
        format!("https://localhost:{port}/x"),
        format!("https://127.0.0.1:{port}/x"),
        "https://10.0.0.1/x".to_owned(),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://[::ffff:192.168.1.1]/x".to_owned(),
        "https://0xa9fea9fe/x".to_owned(),
    ];
    for target in &targets {
        for is_realm in [true, false] {
            let (to, image) = (target.clone(), TestImage::of_size(1000));
            let public = Public::new(move |request| match (is_realm, request.is_blob()) {
                (true, _) => {
                    let challenge = format!("Bearer realm=\"{to}\"");
                    Answer::new(401, "").with("WWW-Authenticate", challenge)
                }
                (false, true) => Answer::new(307, "").with("Location", to.clone()),
                (false, false) => honest(&image, request),
            });
            let told = public.pull().expect_err("it must not be asked");
            assert!(told.contains("private network") || told.contains("link-local"), "{told}");
            assert!(told.contains("may be named in registries.conf"), "{told}");
            let connected = public.connected();
            assert!(connected.iter().all(|host| host.starts_with(NAME)), "{connected:?}");
            assert!(inner.accept().is_err(), "{target} was connected to");
        }
    }
}

#[test]
fn a_host_that_the_configuration_names_may_be_sent_to() {
    let inner = TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports");
    inner.set_nonblocking(true).expect("it is a socket");
    let to = format!("https://localhost:{}/x", inner.local_addr().expect("it is bound").port());
    let image = TestImage::of_size(1000);
    let public = Public::new(move |request| {
        if request.is_blob() {
            Answer::new(307, "").with("Location", to.clone())
        } else {
            honest(&image, request)
        }
    });
    let conf = public.scratch.path().join("registries.conf");
    fs::write(conf, "[[registry]]\nlocation = 'localhost'\n").expect("it is ours");
    // It hangs up: nobody speaks TLS there.
    let accepting = std::thread::spawn(move || {
        inner.set_nonblocking(false).expect("it is a socket");
        inner.accept().map(drop)
    });
    public.pull().expect_err("nothing is there");
    accepting.join().expect("it does not panic").expect("it was connected to");
}

#[test]
fn a_registry_in_a_private_network_may_send_to_another_there() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let store = Registry::serving(&image, |_, answer| answer);
    let to = format!("http://{}", store.other_host());
    let registry = Registry::serving(&image, move |request, answer| {
        if request.is_blob() {
            Answer::new(307, "").with("Location", format!("{to}{}", request.path))
        } else {
            answer
        }
    });
    scratch.pull(&registry.host()).expect("both are on this machine");
}

#[test]
fn which_failures_cannot_mend_themselves_is_known() {
    for (status, is_permanent) in
        [(401, true), (403, true), (404, true), (500, false), (429, false)]
    {
        let mut scratch = Scratch::new();
        scratch.patience.tries = 1;
        let registry = Registry::start(move |_| Answer::new(status, "{}"));
        let error = scratch.pull(&registry.host()).expect_err("there is no image");
        assert_eq!(error.is_permanent(), is_permanent, "{status}: {}", told(&error));
    }
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let refused = Registry::serving(&image, |_, answer| answer).host(); // it has ended
    let error = scratch.pull(&refused).expect_err("nobody listens");
    assert!(!error.is_permanent() && error.is_unreachable(), "{}", told(&error));
    let mut layers = image.clone();
    layers.manifest["layers"][0]["mediaType"] = "application/x".into();
    let registry = Registry::serving(&layers, |_, answer| answer);
    let error = scratch.pull_reference(&reference(&registry.host())).expect_err("not an image");
    assert!(error.is_permanent(), "{}", told(&error));
}
