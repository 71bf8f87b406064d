//! Registries that send something else than what was asked for.

use std::time::{Duration, Instant};

use image_puller::{Digest, Reference, Unwanted};
use serde_json::json;

use crate::archive::Archive;
use crate::image::{INDEX, Layer, MANIFEST, TestImage, descriptor};
use crate::registry::{Answer, Delivery, Length, Registry};
use crate::store::{Scratch, file, reference, told};

const MIB: u64 = 1 << 20;
/// What the kernel and the HTTP client take before anybody reads it (`tcp_rmem`, `tcp_wmem`).
const BUFFERS: u64 = 16 * MIB;

#[test]
fn a_layer_with_other_content_is_refused() {
    let (image, scratch) = (TestImage::of_size(100_000), Scratch::new());
    let full = image.layers[0].blob.len();
    let registry = Registry::serving(&image, move |_, mut answer| {
        if answer.body.len() == full {
            answer.body[50_000] ^= 1;
        }
        answer
    });
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("has other content than its digest says"), "{told}");
}

///
#[test]
fn a_layer_of_another_length_is_refused() {
    let rows = [
        ("shorter, as announced", -1, Length::Exact),
        ("shorter, in chunks", -1, Length::Chunked),
        ("longer, as announced", 1, Length::Exact),
        ("longer, in chunks", 1, Length::Chunked),
        ("longer, until it closes", 1, Length::Unsaid),
    ];
    for (what, by, length) in rows {
        let (image, scratch) = (TestImage::of_size(100_000), Scratch::new());
        let full = image.layers[0].blob.len();
        let layer = image.layers[0].digest().to_string();
        let registry = Registry::serving(&image, move |request, answer| {
            if !request.path.ends_with(&layer) {
                return answer;
            }
            let mut blob = request.from().map_or(answer.body.clone(), |_| Vec::new());
            if answer.status == 206 {
                // It really has no more, and says so.
                let range = format!("bytes */{}", full - 1);
                return Answer::new(416, "").with("Content-Range", range);
            }
            blob.resize(full.wrapping_add_signed(by), 0);
            Answer::new(200, blob).length(length)
        });
        let told = scratch.pull_fails(&registry.host());
        let text = format!("with {} bytes instead of {full}", full.wrapping_add_signed(by));
        let other = format!("has {} bytes instead of {full}", full.wrapping_add_signed(by));
        assert!(told.contains(&text) || told.contains(&other), "{what}: {told}");
    }
}

///
#[test]
fn a_body_without_an_end_is_stopped() {
    for path in ["/manifests/", "/blobs/"] {
        for length in [Length::Chunked, Length::Unsaid] {
            let (image, scratch) = (TestImage::of_size(100_000), Scratch::new());
            let registry = Registry::serving(&image, move |request, answer| {
                if request.path.contains(path) {
                    answer.length(length).delivery(Delivery::Endless)
                } else {
                    answer
                }
            });
            let told = scratch.pull_fails(&registry.host());
            assert!(told.contains("more than 4 MiB") || told.contains("instead of"), "{told}");
            assert!(registry.sent() < BUFFERS + 4 * MIB, "{path}: {} bytes", registry.sent());
        }
    }
}

#[test]
fn a_manifest_that_announces_gigabytes_is_not_read() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&image, |_, answer| {
        answer.length(Length::Declared(5 << 30)).delivery(Delivery::Endless)
    });
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("more than 4 MiB"), "{told}");
    assert!(registry.sent() < BUFFERS, "{}", registry.sent());
}

#[test]
fn a_web_page_instead_of_a_manifest_is_called_one() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let page = "<html>Please log in, \x1b[31mdear guest</html>";
    let registry = Registry::serving(&image, move |_, _| {
        Answer::new(200, page).with("Content-Type", "text/html; charset=utf-8")
    });
    let error = scratch.pull(&registry.host()).expect_err("a page is no image");
    assert!(told(&error).contains("answered with a web page"), "{}", told(&error));
    assert!(error.hint().is_some_and(|hint| hint.contains("proxy")), "{:?}", error.hint());
    assert_eq!(registry.requests().len(), 1);
    scratch.assert_empty("a web page");
}

#[test]
fn a_web_page_that_calls_itself_a_manifest_is_refused_without_being_shown() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&image, move |_, _| {
        Answer::new(200, "<html>\x1b[31m</html>").with("Content-Type", MANIFEST)
    });
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("not an image") && !told.contains("html"), "{told}");
}

///
#[test]
fn a_manifest_with_another_digest_than_asked_for_is_refused() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&image, |request, mut answer| {
        if request.path.contains("/manifests/") {
            answer.body.push(b' ');
        }
        answer
    });
    let digest = Digest::of(&image.manifest());
    let name = format!("{}/image@{digest}", registry.host());
    let error = scratch
        .pull_reference(&Reference::parse(&name).expect("this is a reference"))
        .expect_err("these are other bytes");
    assert!(told(&error).contains("instead of"), "{}", told(&error));
    scratch.assert_empty("another manifest");
}

/// A registry whose tag is an index that names the image, after `bend` changed its manifest.
fn behind_an_index(
    image: &TestImage,
    bend: impl Fn(&mut Answer) + Send + Sync + 'static,
) -> Registry {
    let index = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(MANIFEST, &image.manifest())],
    });
    Registry::serving(image, move |request, mut answer| {
        if request.path.ends_with("/latest") {
            return Answer::new(200, index.to_string()).with("Content-Type", INDEX);
        }
        if request.path.contains("/manifests/") {
            bend(&mut answer);
        }
        answer
    })
}

#[test]
fn a_manifest_behind_an_index_must_be_the_one_that_the_index_names() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = behind_an_index(&image, |answer| answer.body.push(b' '));
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("instead of"), "{told}");
    let registry = behind_an_index(&image, |_| ());
    scratch.pull(&registry.host()).expect("the right one is taken");
}

#[test]
fn a_configuration_with_other_content_or_length_is_refused() {
    for (what, extra) in [("other content", false), ("longer", true)] {
        let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
        let config = image.config.clone();
        let registry = Registry::serving(&image, move |_, mut answer| {
            if answer.body == config {
                answer.body[10] ^= 1;
                answer.body.resize(config.len() + usize::from(extra), b' ');
            }
            answer
        });
        let told = scratch.pull_fails(&registry.host());
        assert!(told.contains("instead of"), "{what}: {told}");
    }
}

///
#[test]
fn a_layer_that_is_missing_ends_the_pull_of_all_others() {
    let layers = ["one", "two", "three"]
        .map(|name| Layer::plain(Archive::new().file(name, &[7; 200_000]).finish()));
    let (image, scratch) = (TestImage::of(layers.to_vec()), Scratch::new());
    let missing = image.layers[1].digest();
    let name = missing.to_string();
    let registry = Registry::serving(&image, move |request, answer| {
        if request.path.ends_with(&name) { Answer::new(404, "{}") } else { answer }
    });
    let error = scratch.pull(&registry.host()).expect_err("a layer is missing");
    let told = told(&error);
    assert!(told.contains(&missing.to_string()) && told.contains("404"), "{told}");
    assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
    assert_eq!(scratch.names_in("images"), [] as [String; 0]);
    // Whole layers may stay for the next try; cleaning up takes them.
    scratch.store().prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up");
    scratch.assert_empty(&told);
}

#[test]
fn nobody_waits_for_a_layer_when_another_has_failed() {
    let layers =
        ["one", "two"].map(|name| Layer::plain(Archive::new().file(name, &[7; 200_000]).finish()));
    let (image, scratch) = (TestImage::of(layers.to_vec()), Scratch::new());
    let (first, second) = (image.layers[0].digest(), image.layers[1].digest());
    let (limited, broken) = (first.to_string(), second.to_string());
    let registry = Registry::serving(&image, move |request, mut answer| {
        if request.path.ends_with(&limited) {
            return Answer::new(429, "").with("Retry-After", "50");
        }
        if request.path.ends_with(&broken) {
            answer.body[600] ^= 1;
        }
        answer
    });
    let started = Instant::now();
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains(&second.to_string()), "the failure that counts: {told}");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

/// M-18 and R-66.
#[test]
fn the_addresses_in_a_layer_are_never_asked() {
    let (mut image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let elsewhere = Registry::start(|_| Answer::new(401, "").with("WWW-Authenticate", "Basic"));
    let media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    image.manifest["layers"][0]["mediaType"] = json!(media_type);
    image.manifest["layers"][0]["urls"] = json!([format!("http://{}/layer", elsewhere.host())]);
    image.layers.clear();
    let registry = Registry::serving(&image, |_, answer| answer);
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("404"), "{told}");
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn an_image_that_fails_does_not_touch_the_one_that_has_its_name() {
    let (good, bad) = (TestImage::of_size(2000), TestImage::of_size(3000));
    let scratch = Scratch::new();
    let layer = bad.layers[0].digest().to_string();
    let registry = Registry::start(move |request| {
        // The tag moves to an image whose layer is broken.
        let image =
            if request.path.ends_with("/latest") && request.count > 1 { &bad } else { &good };
        let answer = crate::registry::honest(image, request);
        if answer.status != 404 {
            return answer;
        }
        let answer = crate::registry::honest(&bad, request);
        if request.path.ends_with(&layer) { Answer::new(200, "broken") } else { answer }
    });
    let pulled = scratch.pull(&registry.host()).expect("the first image is good");
    scratch.pull(&registry.host()).expect_err("the second one is not");
    let found = scratch.store().find(&reference(&registry.host())).expect("the store can be read");
    let found = found.expect("the first image is still there");
    assert_eq!(found.id, pulled.image.id);
    assert_eq!(file(&found, "large").map(|bytes| bytes.len()), Some(2000));
    assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
}

#[test]
fn a_claimed_layer_of_another_image_gives_nothing() {
    let scratch = Scratch::new();
    let secret = Archive::new().file("secret", b"theirs").finish();
    let theirs = TestImage::of(vec![Layer::plain(secret.clone())]);
    // Own bytes under the name of the other image's layer.
    let claimed = Layer { diff_id: Digest::of(&secret), ..Layer::plain(Archive::new().finish()) };
    let ours = TestImage::of(vec![claimed]);
    let first = Registry::serving(&theirs, |_, answer| answer);
    let second = Registry::serving(&ours, |_, answer| answer);
    let kept = scratch.pull(&first.host()).expect("this one is honest").image;
    let error = scratch.pull(&second.host()).expect_err("this one is not");
    assert!(told(&error).contains("the image's configuration says"), "{}", told(&error));
    assert_eq!(file(&kept, "secret"), Some(b"theirs".to_vec()));
}
