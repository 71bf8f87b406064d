//! Cleaning up takes what nobody needs, and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use image_puller::{Image, Reference, Unwanted};

use crate::archive::Archive;
use crate::image::{Layer, TestImage};
use crate::registry::Registry;
use crate::store::{Scratch, file, reference};

fn layer(name: &str) -> Layer {
    Layer::plain(Archive::new().file(name, name.as_bytes()).finish())
}

fn pulled(scratch: &Scratch, layers: &[&str]) -> (Reference, Image) {
    let image = TestImage::of(layers.iter().map(|name| layer(name)).collect());
    let registry = Registry::serving(&image, |_, answer| answer);
    let pulled = scratch.pull(&registry.host()).expect("it is good");
    (reference(&registry.host()), pulled.image)
}

#[test]
fn images_with_a_name_stay_whole() {
    let scratch = Scratch::new();
    let (name, _) = pulled(&scratch, &["a", "b"]);
    let pruned = scratch.store().prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up");
    assert_eq!((pruned.images.len(), pruned.layers, pruned.bytes), (0, 0, 0));
    let found = scratch.store().find(&name).expect("it can be read").expect("it is there");
    assert_eq!(file(&found, "b"), Some(b"b".to_vec()));
}

#[test]
fn what_two_images_share_stays_with_the_one_that_is_left() {
    let scratch = Scratch::new();
    let (first, gone) = pulled(&scratch, &["shared", "own"]);
    let (second, _) = pulled(&scratch, &["shared", "other"]);
    let store = scratch.store();
    store.remove(&first).expect("it has a name");
    assert!(store.find(&first).expect("it can be read").is_none());
    let pruned = store.prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up");
    assert_eq!((pruned.images, pruned.layers), (vec![gone.manifest_digest], 1));
    assert!(pruned.bytes >= layer("own").blob.len() as u64);
    let found = store.find(&second).expect("it can be read").expect("it is there");
    assert_eq!(file(&found, "shared"), Some(b"shared".to_vec()));
    assert_eq!(scratch.names_in("layers").len(), 2);
    assert_eq!(scratch.names_in("blobs/sha256").len(), 4, "two layers and two documents");
}

#[test]
fn an_image_without_a_name_stays_as_long_as_it_is_used() {
    let scratch = Scratch::new();
    let (name, image) = pulled(&scratch, &["a"]);
    let store = scratch.store();
    store.remove(&name).expect("it has a name");
    for used in [image.manifest_digest.clone(), image.id.clone()] {
        let pruned = store.prune(&Unwanted::Nameless, &[used]).expect("it can be cleaned up");
        assert_eq!(pruned.images, []);
        assert!(image.layers[0].join("a").exists(), "a container runs from it");
    }
    assert_eq!(
        store.prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up").images,
        [image.manifest_digest]
    );
    scratch.assert_empty("pruned");
}

#[test]
fn a_tag_that_moved_leaves_its_old_image_to_be_cleaned_up() {
    let scratch = Scratch::new();
    let images = ["old", "new"].map(|name| TestImage::of(vec![layer(name)]));
    let served = images.clone();
    let registry = Registry::start(move |request| {
        let moved = request.path.ends_with("/latest") && request.count > 1;
        let answer = crate::registry::honest(&served[usize::from(moved)], request);
        if answer.status == 404 { crate::registry::honest(&served[1], request) } else { answer }
    });
    let old = scratch.pull(&registry.host()).expect("it is good").image;
    let new = scratch.pull(&registry.host()).expect("it is good").image;
    assert_ne!(old.id, new.id);
    let pruned = scratch.store().prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up");
    assert_eq!(pruned.images, [old.manifest_digest]);
    assert!(new.layers[0].join("new").exists());
}

#[test]
fn what_a_died_process_left_is_removed() {
    let scratch = Scratch::new();
    pulled(&scratch, &["a"]);
    let images = scratch.images_directory();
    fs::create_dir_all(images.join("tmp/died/fs/deep")).expect("it is ours");
    fs::write(images.join("tmp/part"), "half").expect("it is ours");
    fs::write(images.join("blobs/sha256").join("f".repeat(64)), "orphan").expect("ours");
    let pruned = scratch.store().prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up");
    assert_eq!(pruned.bytes, 6);
    assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
}

/// A former minipod kept its store in `images` below the directory that it was given.
#[test]
fn the_store_of_a_former_version_is_in_nobodys_way_and_goes() {
    let scratch = Scratch::new();
    let former = scratch.path().join("data/images");
    for directory in ["blobs/sha256", "layers/0/fs", "images", "names", "tmp", "trash", "locks"] {
        fs::create_dir_all(former.join(directory)).expect("it is ours");
    }
    for (name, text) in [("oci-layout", "{}"), ("index.json", "{}"), ("layers/0/fs/f", "file")] {
        fs::write(former.join(name), text).expect("it is ours");
    }
    let store = scratch.store();
    assert_eq!(store.list().expect("it can be listed"), []);
    let (name, image) = pulled(&scratch, &["a"]);
    assert_eq!(store.list().expect("it can be listed").len(), 1);
    let inspected = store.inspect(&image.manifest_digest).expect("it can be read");
    assert_eq!(inspected.expect("it is there").summary.names, [name.to_string()]);
    assert_eq!(store.usage().expect("it can be measured").orphaned, 8);
    let pruned = store.prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up");
    assert_eq!((pruned.bytes, pruned.images.len()), (8, 0));
    assert_eq!(scratch.names_in("images"), [format!("{}.json", image.manifest_digest.hex())]);
    assert_eq!(scratch.names_in("trash"), [] as [String; 0]);
}

#[test]
fn cleaning_up_waits_for_pulls_and_takes_nothing_from_them() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let scratch = &scratch;
            scope.spawn(move || {
                let (name, _) = pulled(scratch, &["shared", &format!("own{number}")]);
                let found = scratch.store().find(&name).expect("it can be read");
                assert_eq!(file(&found.expect("it is there"), "shared"), Some(b"shared".to_vec()));
            });
        }
        scope.spawn(|| {
            for _ in 0..20 {
                scratch.store().prune(&Unwanted::Nameless, &[]).expect("it can be cleaned up");
            }
        });
    });
    assert_eq!(scratch.store().list().expect("it can be listed").len(), 4);
}

#[test]
fn all_that_is_not_used_goes_with_its_names_when_that_is_wanted() {
    let scratch = Scratch::new();
    let (unused, _) = pulled(&scratch, &["a", "shared"]);
    let (used, image) = pulled(&scratch, &["b", "shared"]);
    let (pinned, other) = pulled(&scratch, &["c"]);
    let store = scratch.store();
    let pin = store.pin(&other).expect("it can be locked").expect("it is there");
    let in_use = [image.manifest_digest.clone()];
    let before = store.usage().expect("it can be measured");
    let staying = [image.manifest_digest.clone(), other.manifest_digest.clone()];
    let pruned = store.prune(&Unwanted::All, &in_use).expect("it can be cleaned up");
    assert_eq!(pruned.names, [unused.to_string()]);
    assert_eq!((pruned.images.len(), pruned.layers), (1, 1));
    assert_eq!(pruned.bytes, before.reclaimable(&staying), "what was told to be free");
    for reference in [&used, &pinned] {
        assert!(store.find(reference).expect("it can be read").is_some(), "{reference}");
    }
    assert!(file(&image, "shared").is_some());
    drop(pin);
    store.prune(&Unwanted::All, &[]).expect("it can be cleaned up");
    scratch.assert_empty("all were unused");
    assert_eq!(scratch.names_in("locks").iter().filter(|name| name.len() > 10).count(), 0);
}

#[test]
fn an_image_that_is_removed_before_it_is_pinned_is_not_pinned() {
    let scratch = Scratch::new();
    let (_, image) = pulled(&scratch, &["a"]);
    let store = scratch.store();
    store.prune(&Unwanted::All, &[]).expect("it can be cleaned up");
    assert!(store.pin(&image).expect("it can be locked").is_none());
}

#[test]
fn one_image_is_removed_alone_and_only_without_a_name() {
    let scratch = Scratch::new();
    let (name, image) = pulled(&scratch, &["a"]);
    let (other, nameless) = pulled(&scratch, &["b"]);
    let store = scratch.store();
    store.remove(&other).expect("it has this name");
    let this = |image: &Image| Unwanted::This(image.manifest_digest.clone());
    let pruned = store.prune(&this(&image), &[]).expect("it can be cleaned up");
    assert_eq!(pruned.images, [], "it has a name");
    store.remove(&name).expect("it has this name");
    let pruned = store.prune(&this(&image), &[]).expect("it can be cleaned up");
    assert_eq!(pruned.images, [image.manifest_digest]);
    let left = store.list().expect("it can be read");
    assert_eq!(left.len(), 1, "the other one without a name stays");
    assert_eq!((left[0].names.len(), &left[0].id), (0, &nameless.id));
}

#[test]
fn nobody_but_root_looks_into_the_store() {
    let scratch = Scratch::new();
    pulled(&scratch, &["a"]);
    for part in ["", "layers", "blobs/sha256", "images", "names", "tmp", "trash", "locks"] {
        let metadata = fs::metadata(scratch.images_directory().join(part)).expect("it is there");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o700, "{part}");
    }
}
