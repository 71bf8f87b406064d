//! The machine was restarted, perhaps because its power went: nothing was forced to disk, so that
//! of what was written last anything may be missing.

use std::fs;
use std::path::{Path, PathBuf};

use image_puller::{Image, Reference};

use crate::archive::{Archive, gzip};
use crate::image::{Layer, TestImage};
use crate::registry::Registry;
use crate::store::{Scratch, file, reference};

/// An image that was pulled before the restart.
struct Before {
    scratch: Scratch,
    registry: Registry,
    image: TestImage,
    pulled: Image,
    requests: usize,
}

impl Before {
    fn new() -> Self {
        let layer = |name: &str| {
            let archive = Archive::new().file(name, name.as_bytes()).finish();
            Layer::compressed(gzip(&archive), &archive, "gzip")
        };
        let image = TestImage::of(vec![layer("one"), layer("two")]);
        let registry = Registry::serving(&image, |_, answer| answer);
        let scratch = Scratch::new();
        let pulled = scratch.pull(&registry.host()).expect("it is good").image;
        let requests = registry.requests().len();
        for record in records(&scratch) {
            let text = fs::read_to_string(&record).expect("it is there");
            let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("it is there");
            assert!(text.contains(boot.trim()), "{text}");
            fs::write(&record, text.replace(boot.trim(), "the one before")).expect("it is ours");
        }
        Self { scratch, registry, image, pulled, requests }
    }

    fn name(&self) -> Reference {
        reference(&self.registry.host())
    }

    fn found(&self) -> Option<Image> {
        self.scratch.store().find(&self.name()).expect("the store can be read")
    }

    fn blob(&self, layer: usize) -> PathBuf {
        let digest = self.image.layers[layer].digest();
        self.scratch.images_directory().join("blobs/sha256").join(digest.hex())
    }

    fn asked_since(&self) -> Vec<String> {
        let requests = self.registry.requests().split_off(self.requests);
        requests.into_iter().map(|one| format!("{} {}", one.method, one.path)).collect()
    }
}

/// The files that say what is complete.
fn records(scratch: &Scratch) -> Vec<PathBuf> {
    let images = scratch.names_in("images").into_iter().map(|name| format!("images/{name}"));
    let layers = scratch.names_in("layers").into_iter().map(|id| format!("layers/{id}/meta.json"));
    images.chain(layers).map(|path| scratch.images_directory().join(path)).collect()
}

fn is_whole(image: &Image) -> bool {
    ["one", "two"].iter().all(|name| file(image, name) == Some(name.as_bytes().to_vec()))
}

fn empty(path: &Path) {
    fs::write(path, "").expect("it is ours");
}

#[test]
fn an_image_is_checked_and_unpacked_again_without_the_registry() {
    let before = Before::new();
    for layer in &before.pulled.layers {
        for name in ["one", "two"].map(|name| layer.join(name)) {
            if name.exists() {
                empty(&name);
            }
        }
    }
    assert!(is_whole(&before.found().expect("its blobs are whole")));
    assert_eq!(before.asked_since(), [] as [String; 0]);
    assert_eq!(before.scratch.names_in("tmp"), [] as [String; 0]);
    // From now on it is known to be complete.
    let layer = before.pulled.layers[0].join("one");
    let time = fs::metadata(&layer).expect("it is there").modified().expect("it has one");
    assert!(is_whole(&before.found().expect("it is complete")));
    assert_eq!(fs::metadata(&layer).expect("it stays").modified().expect("it has one"), time);
}

/// what of a power cut can be shown without one.
#[test]
fn what_did_not_reach_the_disk_is_fetched_again_and_nothing_else() {
    type Loss = fn(&Before);
    let rows: [(&str, Loss, &[&str]); 5] = [
        ("a layer's blob is empty", |before| empty(&before.blob(1)), &["blobs"]),
        (
            "a layer's blob is missing",
            |before| fs::remove_file(before.blob(1)).unwrap(),
            &["blobs"],
        ),
        (
            "a layer's blob has other bytes",
            |before| {
                let mut bytes = fs::read(before.blob(1)).unwrap();
                bytes[20] ^= 1;
                fs::write(before.blob(1), bytes).unwrap();
            },
            &["blobs"],
        ),
        (
            "the manifest is empty",
            |before| {
                let blobs = before.blob(0).with_file_name("");
                empty(&blobs.join(before.pulled.manifest_digest.hex()));
            },
            &[],
        ),
        (
            "all records are empty",
            |before| records(&before.scratch).iter().for_each(|path| empty(path)),
            &[],
        ),
    ];
    for (what, lose, fetched) in rows {
        let before = Before::new();
        lose(&before);
        assert!(before.found().is_none(), "{what}: half of an image is no image");
        let pulled = before.scratch.pull(&before.registry.host()).expect(what);
        assert!(is_whole(&pulled.image), "{what}");
        let asked = before.asked_since();
        let layers: Vec<_> = asked.iter().filter(|one| one.contains("/blobs/")).collect();
        assert_eq!(layers.len(), fetched.len(), "{what}: {asked:?}");
        assert_eq!(before.scratch.names_in("tmp"), [] as [String; 0], "{what}");
        assert!(is_whole(&before.found().expect("it is there again")), "{what}");
    }
}

#[test]
fn what_was_made_durable_is_not_checked_again() {
    let scratch = Scratch::new();
    let image = TestImage::of_size(1000);
    let registry = Registry::serving(&image, |_, answer| answer);
    scratch.pull(&registry.host()).expect("it is good");
    let store = scratch.store();
    store.make_durable().expect("the disk takes it");
    for record in records(&scratch) {
        let text = fs::read_to_string(&record).expect("it is there");
        assert!(text.contains("durably"), "{text}");
    }
    let found = store.find(&reference(&registry.host())).expect("it can be read");
    assert!(found.is_some());
}
