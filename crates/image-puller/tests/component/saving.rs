//! Saved images are read back, by this program and by skopeo where it is installed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use image_puller::{ArchiveFormat, Image, Pulled, Reference, SaveError};

use crate::archive::{Archive, gzip};
use crate::field::tree;
use crate::image::{Layer, TestImage, noise};
use crate::registry::Registry;
use crate::store::{Scratch, file, reference, told};

/// Two images that share a layer; one of them has it twice. The layers are compressed.
fn images() -> [TestImage; 2] {
    let layer = |archive: Archive| {
        let archive = archive.finish();
        Layer::compressed(gzip(&archive), &archive, "gzip")
    };
    let shared = layer(Archive::new().file("shared", &noise(300_000)));
    let own = layer(Archive::new().directory("d").symlink("d/l", "../shared").file(".wh.x", b""));
    [TestImage::of(vec![shared.clone(), own, shared.clone()]), TestImage::of(vec![shared])]
}

/// Does something to a blob of the store.
type Damage = fn(&Path);

struct Kept {
    scratch: Scratch,
    references: Vec<Reference>,
    images: Vec<Image>,
}

/// A store with both images.
fn kept() -> Kept {
    let scratch = Scratch::new();
    let mut kept = Kept { scratch, references: Vec::new(), images: Vec::new() };
    for image in images() {
        let registry = Registry::serving(&image, |_, answer| answer);
        let Pulled { image, .. } = kept.scratch.pull(&registry.host()).expect("it is good");
        kept.references.push(reference(&registry.host()));
        kept.images.push(image);
    }
    kept
}

impl Kept {
    fn archive(&self, format: ArchiveFormat, name: &str) -> PathBuf {
        let path = self.scratch.path().join(name);
        let store = self.scratch.store();
        store.save_archive_file(&self.references, format, &path).expect("it can be saved");
        path
    }

    fn fails(&self, name: &str) -> String {
        let path = self.scratch.path().join(name);
        let store = self.scratch.store();
        let mut found = Vec::new();
        for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
            found.push(store.save_archive_file(&self.references, format, &path));
        }
        found.push(store.save_directory(&self.references, &path));
        assert!(!path.exists(), "nothing appears under the name");
        let beside = fs::read_dir(self.scratch.path()).expect("it is there").count();
        assert_eq!(beside, 1, "and nothing is left beside the store");
        let text = |result: Result<(), SaveError>| told(&result.expect_err("it must not work"));
        found.into_iter().map(text).collect::<Vec<_>>().join("\n")
    }
}

/// Loads it into a store of its own: the same images are there under the same names.
fn same_images(kept: &Kept, path: &Path, format: ArchiveFormat) {
    let other = Scratch::new();
    let names = other.store().load(path, &()).expect("it can be loaded");
    assert_eq!(names, kept.references);
    for (name, image) in kept.references.iter().zip(&kept.images) {
        let found = other.store().find(name).expect("it can be read").expect("it is there");
        assert_eq!(found.id, image.id);
        assert_eq!(found.config, image.config);
        if format == ArchiveFormat::Oci {
            assert_eq!(found.manifest_digest, image.manifest_digest);
        }
        let trees =
            |image: &Image| image.layers.iter().map(|layer| tree(layer)).collect::<Vec<_>>();
        assert_eq!(trees(&found), trees(image));
        assert_eq!(file(&found, "shared"), Some(noise(300_000)));
    }
}

#[test]
fn an_archive_of_either_format_is_loaded_as_the_same_images() {
    let kept = kept();
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        same_images(&kept, &kept.archive(format, "saved.tar"), format);
    }
}

#[test]
fn a_saved_directory_is_loaded_as_the_same_images() {
    let kept = kept();
    let empty = kept.scratch.path().join("empty");
    fs::create_dir(&empty).expect("the name is free");
    for directory in [kept.scratch.path().join("new"), empty] {
        let store = kept.scratch.store();
        store.save_directory(&kept.references, &directory).expect("it can be saved");
        same_images(&kept, &directory, ArchiveFormat::Oci);
    }
}

#[test]
fn the_same_images_give_the_same_bytes_each_with_its_layers_once() {
    let kept = kept();
    for format in [ArchiveFormat::Oci, ArchiveFormat::Docker] {
        let first = fs::read(kept.archive(format, "first.tar")).expect("it was saved");
        let mut second = Vec::new();
        let store = kept.scratch.store();
        store.save_archive(&kept.references, format, &mut second).expect("memory takes it");
        assert!(first == second, "{format:?}");
        assert!(first.len() < 400_000, "{format:?}: {} bytes are more than one layer", first.len());
        assert_eq!(first.len() % 512, 0);
    }
}

#[test]
fn one_image_under_two_names_is_saved_once() {
    let kept = kept();
    let digest = kept.images[0].manifest_digest.clone();
    let by_digest = kept.references[0].with_digest(digest);
    let registry = Registry::serving(&images()[0], |_, answer| answer);
    let second = reference(&registry.host());
    kept.scratch.pull_reference(&second).expect("it is good");
    let path = kept.scratch.path().join("saved.tar");
    let asked = [kept.references[0].clone(), second.clone(), second.clone()];
    let store = kept.scratch.store();
    store.save_archive_file(&asked, ArchiveFormat::Oci, &path).expect("it can be saved");
    let other = Scratch::new();
    assert_eq!(other.store().load(&path, &()).expect("it can be loaded"), asked[..2]);
    assert_eq!(other.names_in("images").len(), 1);
    let unknown = store.save_archive_file(&[by_digest], ArchiveFormat::Oci, &path);
    assert!(matches!(unknown, Err(SaveError::NotFound { .. })), "it was never pulled by digest");
}

#[test]
fn an_image_that_is_not_there_or_damaged_is_not_saved() {
    let mut missing = kept();
    missing.references.push(Reference::parse("nobody/has:this").expect("it is one"));
    assert!(missing.fails("out").contains("no image is named nobody/has:this"));

    let rows: [(&str, Damage, &str); 3] = [
        ("gone", |path| fs::remove_file(path).expect("it is there"), "missing or damaged"),
        ("cut", |path| fs::write(path, "short").expect("it is ours"), "5 bytes instead of"),
        (
            "changed",
            |path| {
                let mut bytes = fs::read(path).expect("it is there");
                let at = bytes.len() / 2;
                bytes[at] ^= 1;
                fs::write(path, bytes).expect("it is ours");
            },
            "missing or damaged",
        ),
    ];
    for (what, damage, why) in rows {
        let kept = kept();
        let blob = kept.scratch.images_directory().join("blobs/sha256");
        damage(&blob.join(images()[1].layers[0].digest().hex()));
        let told = kept.fails("out");
        assert_eq!(told.matches(why).count(), 3, "{what}: {told}");
    }
}

#[test]
fn what_is_there_already_stays() {
    let kept = kept();
    let store = kept.scratch.store();
    let directory = kept.scratch.path().join("full");
    fs::create_dir(&directory).expect("the name is free");
    fs::write(directory.join("mine"), "").expect("it is empty");
    let error = store.save_directory(&kept.references, &directory).expect_err("it is not empty");
    assert!(matches!(error, SaveError::Exists { .. }), "{error}");
    assert_eq!(tree(&directory), ["- mine"]);
    let nowhere = kept.scratch.path().join("no/such/directory");
    let error = store.save_archive_file(&kept.references, ArchiveFormat::Oci, &nowhere);
    assert!(told(&error.expect_err("there is no such directory")).contains("cannot write"));
}

#[test]
fn a_reader_that_goes_away_is_an_error() {
    let kept = kept();
    let (reader, mut writer) = std::io::pipe().expect("there are descriptors");
    drop(reader);
    let saved =
        kept.scratch.store().save_archive(&kept.references, ArchiveFormat::Oci, &mut writer);
    assert!(matches!(saved, Err(SaveError::Stream { .. })), "{saved:?}");
}

#[test]
fn skopeo_reads_what_is_saved() {
    let (kept, there) = (kept(), Command::new("skopeo").arg("--version").output().is_ok());
    if !there {
        return; // nothing to compare with
    }
    let name = kept.references[0].to_string();
    let store = kept.scratch.store();
    let directory = kept.scratch.path().join("layout");
    store.save_directory(&kept.references, &directory).expect("it can be saved");
    let oci = kept.archive(ArchiveFormat::Oci, "oci.tar");
    let docker = kept.archive(ArchiveFormat::Docker, "docker.tar");
    let sources = [
        format!("oci:{}:{name}", directory.display()),
        format!("oci-archive:{}:{name}", oci.display()),
        format!("docker-archive:{}:{name}", docker.display()),
    ];
    for (number, source) in sources.iter().enumerate() {
        let copy = kept.scratch.path().join(format!("copy{number}"));
        let target = format!("oci:{}:{name}", copy.display());
        skopeo(&["copy", "--quiet", source, &target]);
        let other = Scratch::new();
        assert_eq!(other.store().load(&copy, &()).expect("it can be loaded"), kept.references[..1]);
        let found = other.store().find(&kept.references[0]).expect("it can be read");
        let found = found.unwrap_or_else(|| panic!("{source} is there"));
        assert_eq!(file(&found, "shared"), Some(noise(300_000)), "{source}");
    }
}

fn skopeo(arguments: &[&str]) {
    let output = Command::new("skopeo")
        .arg("--insecure-policy")
        .args(arguments.iter().map(OsStr::new))
        .output()
        .expect("it was there a moment ago");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
