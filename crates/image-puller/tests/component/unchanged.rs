//! What is here is not asked for again.

use std::fs;
use std::process::Child;

use image_puller::{Platform, PullOptions, Puller, Reference};
use serde_json::json;

use crate::child;
use crate::image::{INDEX, MANIFEST, TestImage, descriptor};
use crate::registry::{Answer, Delivery, Registry, honest};
use crate::store::{Scratch, reference, told};

/// A registry with an index before the image, and the index.
fn indexed(image: &TestImage) -> (Registry, Vec<u8>) {
    let mut entry = descriptor(MANIFEST, &image.manifest());
    let machine = Platform::host().to_string();
    entry["platform"] =
        json!({ "os": "linux", "architecture": machine.trim_start_matches("linux/") });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] });
    let (bytes, image) = (index.to_string().into_bytes(), image.clone());
    let served = bytes.clone();
    let registry = Registry::start(move |request| {
        let digest = image_puller::Digest::of(&served).to_string();
        let is_index = request.path.ends_with("/latest") || request.path.ends_with(&digest);
        if is_index {
            return Answer::new(200, served.clone())
                .with("Content-Type", INDEX)
                .with("Docker-Content-Digest", digest);
        }
        honest(&image, request)
    });
    (registry, bytes)
}

fn asked(registry: &Registry) -> Vec<String> {
    let part = |path: &str| path.rsplit('/').nth(1).unwrap_or_default().to_owned();
    let requests = registry.requests();
    requests.iter().map(|one| format!("{} {}", one.method, part(&one.path))).collect()
}

#[test]
fn a_tag_that_has_not_moved_costs_one_request() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let (registry, _) = indexed(&image);
    scratch.pull(&registry.host()).expect("it can be pulled");
    let first = ["GET manifests", "GET manifests", "GET blobs", "GET blobs"];
    assert_eq!(asked(&registry), first);
    let again = scratch.pull(&registry.host()).expect("it is here");
    assert_eq!(again.bytes, 0);
    assert_eq!(asked(&registry)[4..], ["HEAD manifests"]);
}

#[test]
fn a_tag_that_moved_costs_only_what_is_new() {
    let (old, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&old, |_, answer| answer);
    scratch.pull(&registry.host()).expect("it can be pulled");
    let mut new = TestImage::of(old.layers.clone());
    new.manifest["annotations"] = json!({ "built": "again" });
    let second = Registry::serving(&new, |_, answer| answer);
    let (conf, host) = (scratch.path().join("registries.conf"), registry.host());
    let text = format!(
        "[[registry]]\nprefix = '{host}'\nlocation = '{}'\ninsecure = true\n",
        second.host()
    );
    fs::write(conf, text).expect("it is ours");
    let moved = scratch.pull(&host).expect("it can be pulled");
    assert_eq!(moved.bytes, 0, "the layer is here");
    assert_eq!(asked(&second), ["HEAD manifests", "GET manifests"]);
}

#[test]
fn an_image_that_is_asked_for_by_digest_and_is_here_costs_no_request() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let (registry, index) = indexed(&image);
    scratch.pull(&registry.host()).expect("it can be pulled");
    let before = registry.requests().len();
    for bytes in [index, image.manifest()] {
        let digest = image_puller::Digest::of(&bytes);
        let named = reference(&registry.host()).with_digest(digest);
        for _ in 0..2 {
            scratch.pull_reference(&named).expect("it is here");
        }
        assert!(scratch.store().find(&named).expect("it can be read").is_some());
    }
    assert_eq!(registry.requests().len(), before);
}

#[test]
fn a_registry_without_head_is_asked_for_the_manifest() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = Registry::serving(&image, |request, answer| {
        if request.method == "HEAD" { Answer::new(405, "") } else { answer }
    });
    scratch.pull(&registry.host()).expect("it can be pulled");
    scratch.pull(&registry.host()).expect("it is here");
    assert_eq!(asked(&registry)[3..], ["HEAD manifests", "GET manifests"]);
}

#[test]
fn another_platform_than_the_one_that_is_here_is_asked_for() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let (registry, _) = indexed(&image);
    scratch.pull(&registry.host()).expect("it can be pulled");
    let mut options = PullOptions::default();
    options.platform = Some(Platform::parse("linux/s390x").expect("it is one"));
    let pulled = Puller::new(scratch.store(), options).pull(&reference(&registry.host()), &());
    let told = told(&pulled.expect_err("there is none"));
    assert!(told.contains("no variant for linux/s390x"), "{told}");
}

#[test]
fn two_processes_fetch_every_blob_once() {
    let (image, scratch) = (TestImage::of_size(3_000_000), Scratch::new());
    let registry = Registry::serving(&image, |request, answer| {
        let pause = std::time::Duration::from_millis(20);
        if request.is_blob() { answer.delivery(Delivery::Drip(20, pause)) } else { answer }
    });
    let start = || -> Child {
        child::command(&scratch, &reference(&registry.host())).spawn().expect("it can be started")
    };
    let children = [start(), start()];
    for mut child in children {
        assert!(child.wait().expect("it is ours").success());
    }
    let found = scratch.store().find(&reference(&registry.host())).expect("it can be read");
    assert!(found.is_some());
    let layer = image.layers[0].digest().to_string();
    assert_eq!(registry.requests_for(&layer).len(), 1);
}

#[test]
fn a_short_name_is_searched_for_and_kept_under_the_name_that_was_found() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let (with, without) = (
        Registry::serving(&image, |_, answer| answer),
        Registry::start(|_| Answer::new(404, "{}")),
    );
    let text = format!(
        "unqualified-search-registries = ['{}', '{}']\n[aliases]\nknown = '{}/team/image'\n",
        without.host(),
        with.host(),
        with.host()
    );
    fs::write(scratch.path().join("registries.conf"), text).expect("it is ours");
    let pull = |name: &str| {
        let name = Reference::parse(name).expect("this is a reference");
        scratch.pull_reference(&name).map(|pulled| pulled.reference.to_string())
    };
    assert_eq!(pull("image").expect("one has it"), format!("{}/image:latest", with.host()));
    assert_eq!(pull("known").expect("it is there"), format!("{}/team/image:latest", with.host()));
    let told = told(&pull("image:none").expect_err("nobody has it"));
    assert!(told.contains("image:none, which may mean "), "{told}");
    assert!(told.contains(&without.host()), "{told}");
}
