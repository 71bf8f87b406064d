//! Registries that break, stall, limit and send elsewhere.

use std::time::{Duration, Instant};

use base64::Engine;

use crate::image::{TestImage, noise};
use crate::registry::{Answer, Delivery, Length, Registry, Request, honest};
use crate::store::{Scratch, file};

/// Bytes of the file in the layer; the layer is a little larger.
const SIZE: usize = 300_000;

/// That fault for the layer's blob, each time or only the first time.
fn on_layer(
    image: &TestImage,
    fault: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static,
) -> Registry {
    let layer = image.layers[0].digest().to_string();
    Registry::serving(image, move |request, answer| {
        if request.path.ends_with(&layer) { fault(request, answer) } else { answer }
    })
}

fn ranges(registry: &Registry, image: &TestImage) -> Vec<Option<usize>> {
    let requests = registry.requests_for(&image.layers[0].digest().to_string());
    requests.iter().map(Request::from).collect()
}

#[test]
fn a_blob_that_breaks_off_is_resumed_where_it_stopped() {
    let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let registry = on_layer(&image, |request, answer| match request.count {
        1 => answer.delivery(Delivery::ResetAfter(100_000)),
        _ => answer,
    });
    let pulled = scratch.pull(&registry.host()).expect("the second part completes it");
    assert_eq!(file(&pulled.image, "large"), Some(noise(SIZE)));
    assert_eq!(pulled.bytes, image.layers[0].blob.len() as u64);
    let ranges = ranges(&registry, &image);
    // A reset throws away what was not read yet, so it may be fewer.
    assert!(matches!(ranges[..], [None, Some(1..=100_000) | None]), "{ranges:?}");
    assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
}

#[test]
fn a_body_that_ends_early_is_resumed_exactly_there() {
    let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let full = image.layers[0].blob.len();
    let registry = on_layer(&image, move |request, answer| match request.count {
        1 => Answer::new(200, &answer.body[..100_000]).length(Length::Declared(full)),
        2 => Answer { body: answer.body[..50_000].to_vec(), ..answer }.length(Length::Unsaid),
        _ => answer,
    });
    let pulled = scratch.pull(&registry.host()).expect("three parts complete it");
    assert_eq!(file(&pulled.image, "large"), Some(noise(SIZE)));
    assert_eq!(ranges(&registry, &image), [None, Some(100_000), Some(150_000)]);
    assert_eq!(scratch.retries().len(), 2, "{:?}", scratch.retries());
}

#[test]
fn a_blob_that_keeps_breaking_off_is_given_up_after_five_tries() {
    let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let registry = on_layer(&image, |_, answer| {
        Answer { body: answer.body[..1000].to_vec(), ..answer }.length(Length::Unsaid)
    });
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("broke off") && told.contains("after 5000 bytes"), "{told}");
    let expected = [None, Some(1000), Some(2000), Some(3000), Some(4000)];
    assert_eq!(ranges(&registry, &image), expected);
}

#[test]
fn a_blob_that_breaks_off_after_every_megabyte_arrives_in_the_end() {
    let (image, scratch) = (TestImage::of_size(9_000_000), Scratch::new());
    let registry = on_layer(&image, |_, answer| {
        let body = answer.body[..answer.body.len().min(1_100_000)].to_vec();
        Answer { body, ..answer }.length(Length::Unsaid)
    });
    scratch.pull(&registry.host()).expect("there is progress each time");
    assert_eq!(ranges(&registry, &image).len(), 9);
}

/// R-54.
#[test]
fn a_server_that_ignores_ranges_is_read_from_its_start_again() {
    let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let served = image.clone();
    let full = image.layers[0].blob.len();
    let registry = on_layer(&image, move |request, answer| match request.count {
        1 => Answer::new(200, &answer.body[..100_000]).length(Length::Declared(full)),
        _ => Answer::new(200, &*served.layers[0].blob),
    });
    let pulled = scratch.pull(&registry.host()).expect("the beginning is skipped");
    assert_eq!(file(&pulled.image, "large"), Some(noise(SIZE)));
    assert_eq!(pulled.bytes, full as u64, "what was skipped does not count");
}

#[test]
fn a_server_that_sends_another_part_than_asked_for_is_refused() {
    let rows = [
        ("from the beginning", Some("bytes 0-300999/301000")),
        ("of something larger", Some("bytes 100000-301055/999999")),
        ("beyond the end", Some("bytes 100000-999999/*")),
        ("without saying which", None),
        ("in nonsense", Some("bytes=100000-")),
    ];
    for (what, range) in rows {
        let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
        let full = image.layers[0].blob.len();
        let registry = on_layer(&image, move |request, answer| match (request.count, range) {
            (1, _) => Answer::new(200, &answer.body[..100_000]).length(Length::Declared(full)),
            (_, Some(range)) => Answer::new(206, answer.body).with("Content-Range", range),
            (_, None) => Answer::new(206, answer.body),
        });
        let told = scratch.pull_fails(&registry.host());
        assert!(told.contains("was asked for the rest of"), "{what}: {told}");
        assert_eq!(ranges(&registry, &image).len(), 2, "{what}: lies are not asked for again");
    }
}

#[test]
fn a_slow_registry_is_waited_for_as_long_as_something_comes() {
    let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let registry = on_layer(&image, |_, answer| {
        answer.delivery(Delivery::Drip(12, Duration::from_millis(120)))
    });
    let started = Instant::now();
    scratch.pull(&registry.host()).expect("no pause is longer than the limit");
    assert!(started.elapsed() > scratch.patience.silence, "all pauses together are longer");
    assert_eq!(scratch.retries(), [] as [String; 0]);
}

#[test]
fn a_registry_that_falls_silent_is_given_up_after_one_more_try() {
    let rows = [
        ("in a blob", "/blobs/", 100_000, 2),
        ("in a manifest", "/manifests/", 10, 2),
        ("after a head", "/manifests/", 0, 2),
    ];
    for (what, path, count, tries) in rows {
        let (image, mut scratch) = (TestImage::of_size(SIZE), Scratch::new());
        scratch.patience.silence = Duration::from_millis(400);
        let config = image.config.len();
        let registry = Registry::serving(&image, move |request, answer| {
            let is_meant = request.path.contains(path) && answer.body.len() != config;
            if is_meant { answer.delivery(Delivery::HangAfter(count)) } else { answer }
        });
        let started = Instant::now();
        let told = scratch.pull_fails(&registry.host());
        assert!(told.contains("sent nothing of") && told.contains("for 400ms"), "{what}: {told}");
        assert!(started.elapsed() < Duration::from_secs(5), "{what}: {:?}", started.elapsed());
        let asked = registry.requests_for(path).len() - usize::from(path == "/blobs/");
        assert_eq!(asked, tries, "{what}");
    }
}

#[test]
fn a_silent_end_after_the_last_byte_does_not_matter() {
    let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let registry = on_layer(&image, |_, answer| {
        answer.length(Length::Chunked).delivery(Delivery::HangAfter(usize::MAX))
    });
    scratch.pull(&registry.host()).expect("all bytes are there");
}

/// R-56.
#[test]
fn bodies_may_come_without_a_length() {
    for length in [Length::Chunked, Length::Unsaid] {
        let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
        let registry = Registry::serving(&image, move |_, answer| answer.length(length));
        scratch.pull(&registry.host()).unwrap_or_else(|error| panic!("{length:?}: {error}"));
    }
}

/// R-50.
#[test]
fn an_error_of_the_server_that_passes_is_not_noticed() {
    for status in [408, 429, 500, 502, 503, 504] {
        let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
        let registry = Registry::serving(&image, move |request, answer| match request.count {
            1 => Answer::new(status, "later").with("Retry-After", "0"),
            _ => answer,
        });
        scratch.pull(&registry.host()).unwrap_or_else(|error| panic!("{status}: {error}"));
        assert_eq!(registry.requests().len(), 6, "{status}: manifest, configuration, layer");
        assert_eq!(scratch.retries().len(), 3, "{status}");
    }
}

/// R-50.
#[test]
fn an_error_of_the_server_that_stays_ends_the_pull_after_five_tries() {
    for path in ["/manifests/", "/blobs/"] {
        let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
        let registry = Registry::serving(&image, move |request, answer| {
            if request.path.contains(path) { Answer::new(503, "no") } else { answer }
        });
        let told = scratch.pull_fails(&registry.host());
        assert!(told.contains("answered 503"), "{told}");
        assert_eq!(registry.requests_for(path).len(), 5);
    }
}

#[test]
fn a_connection_that_closes_without_an_answer_is_tried_again() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = on_layer(&image, |request, answer| match request.count {
        1..=3 => answer.delivery(Delivery::ResetAfter(0)),
        _ => answer,
    });
    scratch.pull(&registry.host()).expect("the fourth try is answered");
}

#[test]
fn a_pause_that_the_registry_wants_is_kept() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&image, |request, answer| match request.count {
        1 if !request.is_blob() => Answer::new(429, "").with("Retry-After", "1"),
        _ => answer,
    });
    let started = Instant::now();
    scratch.pull(&registry.host()).expect("it is allowed then");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
}

#[test]
fn a_registry_that_wants_too_long_a_pause_is_given_up_at_once() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry =
        Registry::serving(&image, |_, _| Answer::new(429, "").with("Retry-After", "3600"));
    let error = scratch.pull(&registry.host()).expect_err("nobody waits for an hour");
    let hint = error.hint().expect("there is something to do");
    assert!(hint.contains("limits how often"), "{hint}");
    assert_eq!(registry.requests().len(), 1);
}

/// R-52.
#[test]
fn a_registry_that_is_not_there_is_asked_once() {
    let scratch = Scratch::new();
    let host = Registry::start(|_| Answer::new(200, "")).host(); // gone at the end of the line
    let error = loop {
        // The last of its threads may still be taking the connection that wakes it.
        let error = scratch.pull(&host).expect_err("nobody is there");
        if error.is_unreachable() {
            break error;
        }
    };
    assert!(error.hint().expect("there is something to do").contains("check the network"));
    scratch.assert_empty("unreachable");
}

/// A registry that wants `token-N`, and counts how many it gave. Every one expires when `expires`
/// says so.
fn guarded(
    image: &TestImage,
    expires: impl Fn(&Request) -> bool + Send + Sync + 'static,
    fault: impl Fn(&Request, Answer) -> Answer + Send + Sync + 'static,
) -> Registry {
    let current = std::sync::atomic::AtomicUsize::new(1);
    let image = image.clone();
    Registry::start(move |request| {
        use std::sync::atomic::Ordering::SeqCst;
        if request.path.starts_with("/token") {
            let token = format!(r#"{{"token":"token-{}"}}"#, current.load(SeqCst));
            return Answer::new(200, token);
        }
        if expires(request) {
            current.fetch_add(1, SeqCst);
        }
        let wanted = format!("Bearer token-{}", current.load(SeqCst));
        if request.header("authorization") == Some(&wanted) {
            return fault(request, honest(&image, request));
        }
        let host = request.header("host").unwrap_or_default();
        let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"here\"");
        Answer::new(401, "{}").with("WWW-Authenticate", challenge)
    })
}

#[test]
fn a_token_is_fetched_once_for_all_requests() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = guarded(&image, |_| false, |_, answer| answer);
    scratch.pull(&registry.host()).expect("anybody may have a token");
    let tokens = registry.requests_for("/token");
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].path, "/token?scope=repository%3Aimage%3Apull&service=here");
    assert_eq!(tokens[0].header("authorization"), None, "without credentials nobody shows any");
}

#[test]
fn a_token_that_expires_in_the_middle_of_a_blob_is_renewed() {
    let (image, mut scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let auth = base64::engine::general_purpose::STANDARD.encode("me:secret");
    let full = image.layers[0].blob.len();
    let registry = guarded(
        &image,
        |request| request.from().is_some() && request.count == 2,
        move |request, answer| match (request.is_blob(), request.count, answer.body.len()) {
            (true, 1, length) if length == full => {
                Answer::new(200, &answer.body[..1000]).length(Length::Declared(full))
            }
            _ => answer,
        },
    );
    scratch.docker_config =
        Some(format!(r#"{{"auths":{{"{}":{{"auth":"{auth}"}}}}}}"#, registry.host()));
    scratch.pull(&registry.host()).expect("a new token opens it");
    assert_eq!(ranges(&registry, &image), [None, Some(1000), Some(1000)]);
    let tokens = registry.requests_for("/token");
    assert_eq!(tokens.len(), 2);
    assert_eq!(tokens[0].header("authorization"), Some(&*format!("Basic {auth}")));
}

/// R-64.
#[test]
fn a_token_that_opens_nothing_is_not_asked_for_again() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = guarded(&image, |_| true, |_, answer| answer);
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("denies access") && !told.contains("token-"), "{told}");
    assert_eq!(registry.requests_for("/manifests/").len(), 2);
    assert_eq!(registry.requests_for("/token").len(), 1);
}

#[test]
fn a_token_that_is_no_token_is_an_error_and_not_shown() {
    for body in ["<html>", "{}", r#"{"token":"a\r\nHost: b"}"#, r#"{"token":5}"#] {
        let scratch = Scratch::new();
        let registry = Registry::start(move |request| match &*request.path {
            path if path.starts_with("/token") => Answer::new(200, body),
            _ => {
                let host = request.header("host").unwrap_or_default();
                let challenge = format!("Bearer realm=\"http://{host}/token\"");
                Answer::new(401, "").with("WWW-Authenticate", challenge)
            }
        });
        let told = scratch.pull_fails(&registry.host());
        assert!(told.contains("denies access to a token"), "{body}: {told}");
    }
}

/// R-60.
#[test]
fn a_token_is_not_fetched_from_an_unsafe_place() {
    let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
    let elsewhere = Registry::start(|_| Answer::new(200, r#"{"token":"x"}"#));
    let port = elsewhere.host().rsplit(':').next().unwrap_or_default().to_owned();
    let realm = format!("Bearer realm=\"http://elsewhere.example:{port}/token\"");
    let registry = Registry::serving(&image, move |_, _| {
        Answer::new(401, "").with("WWW-Authenticate", realm.clone())
    });
    scratch.docker_config = Some(format!(
        r#"{{"auths":{{"{}":{{"username":"me","password":"secret"}}}}}}"#,
        registry.host()
    ));
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("sends for tokens to") && !told.contains("secret"), "{told}");
    assert_eq!(elsewhere.requests().len(), 0);
}

/// R-74.
#[test]
fn a_blob_elsewhere_is_fetched_without_authorization() {
    let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let full = image.layers[0].blob.len();
    let elsewhere = on_layer(&image, move |request, answer| match request.count {
        1 => Answer::new(200, &answer.body[..1000]).length(Length::Declared(full)),
        _ => answer,
    });
    let place = elsewhere.other_host();
    let registry = guarded(
        &image,
        |_| false,
        move |request, answer| {
            let to = format!("http://{place}{}?signature=secret", request.path);
            if request.is_blob() { Answer::new(307, "").with("Location", to) } else { answer }
        },
    );
    // The place that signs its addresses does not look at them here.
    let told = scratch.pull(&registry.host());
    let requests = elsewhere.requests();
    assert!(requests.iter().all(|one| one.header("authorization").is_none()), "{requests:?}");
    assert!(requests.iter().all(|one| one.path.ends_with("?signature=secret")), "{requests:?}");
    let told = crate::store::told(&told.expect_err("that path has nothing"));
    assert!(told.contains("404") && !told.contains("signature"), "{told}");
}

#[test]
fn a_blob_elsewhere_is_resumed_through_the_registry() {
    let (image, scratch) = (TestImage::of_size(SIZE), Scratch::new());
    let full = image.layers[0].blob.len();
    let elsewhere = on_layer(&image, move |request, answer| match request.count {
        1 => Answer::new(200, &answer.body[..1000]).length(Length::Declared(full)),
        _ => answer,
    });
    let place = elsewhere.other_host();
    let registry = Registry::serving(&image, move |request, answer| {
        let to = format!("http://{place}{}", request.path);
        if request.is_blob() { Answer::new(302, "").with("Location", to) } else { answer }
    });
    scratch.pull(&registry.host()).expect("the second part completes it");
    assert_eq!(ranges(&registry, &image), [None, Some(1000)]);
    assert_eq!(ranges(&elsewhere, &image), [None, Some(1000)]);
}

/// R-66.
#[test]
fn a_challenge_from_elsewhere_is_not_answered() {
    let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
    let elsewhere = Registry::start(|request| {
        let host = request.header("host").unwrap_or_default();
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        Answer::new(401, "").with("WWW-Authenticate", challenge)
    });
    let place = elsewhere.other_host();
    let registry = Registry::serving(&image, move |request, answer| {
        let to = format!("http://{place}{}", request.path);
        if request.is_blob() { Answer::new(307, "").with("Location", to) } else { answer }
    });
    scratch.docker_config = Some(format!(
        r#"{{"auths":{{"{}":{{"username":"me","password":"secret"}}}}}}"#,
        registry.host()
    ));
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("denies access"), "{told}");
    assert_eq!(elsewhere.requests_for("/token").len(), 0);
    let requests = elsewhere.requests();
    assert!(requests.iter().all(|one| one.header("authorization").is_none()), "{requests:?}");
}

/// R-62.
#[test]
fn redirects_that_lead_nowhere_or_astray_are_refused() {
    let rows = [
        ("in a circle", "/v2/image/manifests/latest", "more than 10 times", 11),
        ("to the machine's own secrets", "http://169.254.169.254/latest", "link-local", 1),
        ("to a file", "file:///etc/passwd", "cannot", 1),
    ];
    for (what, to, why, count) in rows {
        let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
        let registry =
            Registry::serving(&image, move |_, _| Answer::new(302, "").with("Location", to));
        let told = scratch.pull_fails(&registry.host());
        assert!(told.contains(why), "{what}: {told}");
        assert!(registry.requests().len() <= count, "{what}: {}", registry.requests().len());
    }
}

/// R-52.
#[test]
fn a_tls_handshake_that_hangs_is_given_up() {
    let mut scratch = Scratch::new();
    scratch.patience.connect = Duration::from_millis(200);
    // Connections are taken by the kernel, and then nobody says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("there are free ports");
    let host = silent.local_addr().expect("it is bound").to_string();
    let error = scratch.pull(&host).expect_err("nobody answers");
    assert!(error.is_unreachable(), "{error:?}");
    assert!(error.hint().expect("there is something to do").contains(&host));
    scratch.assert_empty("it hung");
}

/// R-74.
#[test]
fn a_registry_may_be_reached_by_ipv6_alone() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::start_ipv6(&image);
    assert!(registry.host().starts_with("[::1]:"), "{}", registry.host());
    scratch.pull(&registry.host()).expect("it is there");
}
