//! Files to load images from, made by somebody who means harm.

#![expect(clippy::too_many_lines, reason = "a table has as many lines as cases")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image_puller::{Digest, Reference};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::{Value, json};

use crate::archive::{Archive, gzip};
use crate::image::{Layer, MANIFEST, TestImage, descriptor};
use crate::store::{Scratch, file, told};

/// Puts something in the place of a blob.
type Make = fn(&Path);
/// Adds members to an archive.
type Change<'a> = Box<dyn Fn(Archive) -> Archive + 'a>;

pub(crate) fn image() -> TestImage {
    TestImage::of(vec![Layer::plain(Archive::new().file("f", b"content").finish())])
}

pub(crate) fn name() -> Reference {
    Reference::parse("example.org/loaded:1").expect("this is a reference")
}

/// An OCI image layout as a directory.
pub(crate) fn layout(directory: &Path, image: &TestImage) {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs).expect("it is new");
    let manifest = image.manifest();
    let all = image.layers.iter().map(|layer| &layer.blob).chain([&image.config, &manifest]);
    for bytes in all {
        fs::write(blobs.join(Digest::of(bytes).hex()), bytes).expect("it is new");
    }
    let mut entry = descriptor(MANIFEST, &manifest);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": name().to_string()});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(directory.join("index.json"), index.to_string()).expect("it is new");
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("new");
}

pub(crate) fn refused(scratch: &Scratch, what: &str, path: &Path, why: &str) {
    let started = Instant::now();
    let error = scratch.store().load(path, &()).map(|_| ()).expect_err(what);
    assert!(told(&error).contains(why), "{what}: no {why:?} in {}", told(&error));
    assert!(started.elapsed() < Duration::from_secs(5), "{what}: {:?}", started.elapsed());
    scratch.assert_empty(what);
}

#[test]
fn a_blob_that_is_no_file_is_refused_without_waiting() {
    let image = image();
    let blobs =
        [image.layers[0].digest(), Digest::of(&image.config), Digest::of(&image.manifest())];
    let rows: [(&str, Make); 6] = [
        ("M-26 a FIFO", |path| {
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).expect("the name is free");
        }),
        ("M-26 an endless device", |path| {
            let (kind, zero) = (FileType::CharacterDevice, makedev(1, 5));
            mknodat(CWD, path, kind, Mode::RUSR, zero).expect("the name is free");
        }),
        ("M-26 a directory", |path| fs::create_dir(path).expect("the name is free")),
        ("a link to the host", |path| symlink("/etc/passwd", path).expect("the name is free")),
        ("a link to nothing", |path| symlink("nothing", path).expect("the name is free")),
        ("nothing", |_| ()),
    ];
    for (what, make) in rows {
        for blob in &blobs {
            let scratch = Scratch::new();
            let directory = scratch.path().join("layout");
            layout(&directory, &image);
            let path = directory.join("blobs/sha256").join(blob.hex());
            fs::remove_file(&path).expect("it is there");
            make(&path);
            refused(&scratch, what, &directory, "cannot read");
        }
    }
}

#[test]
fn a_blob_that_was_changed_is_refused() {
    let image = image();
    let rows = [
        ("M-22 a layer", image.layers[0].digest(), "other content"),
        ("the configuration", Digest::of(&image.config), "other content"),
        ("the manifest", Digest::of(&image.manifest()), "other content"),
    ];
    for (what, blob, why) in rows {
        for change in [|bytes: &mut Vec<u8>| bytes[9] ^= 1, |bytes: &mut Vec<u8>| bytes.push(b' ')]
        {
            let scratch = Scratch::new();
            let directory = scratch.path().join("layout");
            layout(&directory, &image);
            let path = directory.join("blobs/sha256").join(blob.hex());
            let mut bytes = fs::read(&path).expect("it is there");
            let size = bytes.len();
            change(&mut bytes);
            let grown = bytes.len() > size && blob == image.layers[0].digest();
            fs::write(&path, bytes).expect("it is ours");
            refused(&scratch, what, &directory, if grown { "instead of" } else { why });
        }
    }
}

/// What `docker save` would write, with these members in place of its own.
fn docker(scratch: &Scratch, manifest: &Value, members: impl Fn(Archive) -> Archive) -> PathBuf {
    let path = scratch.path().join("docker.tar");
    let archive = Archive::new().file("manifest.json", manifest.to_string().as_bytes());
    fs::write(&path, members(archive).finish()).expect("it is ours");
    path
}

fn item(config: &str, layers: &[&str]) -> Value {
    json!([{"Config": config, "RepoTags": [name().to_string()], "Layers": layers}])
}

#[test]
fn a_docker_archive_is_read_also_where_layers_are_links() {
    let (image, scratch) = (image(), Scratch::new());
    let path = docker(&scratch, &item("c.json", &["a/layer.tar"]), |archive| {
        archive
            .file("c.json", &image.config)
            .file("b/layer.tar", &image.layers[0].blob)
            .symlink("a/layer.tar", "../b/layer.tar")
    });
    let squeezed = scratch.path().join("docker.tar.gz");
    fs::write(&squeezed, gzip(&fs::read(&path).expect("it is ours"))).expect("it is ours");
    for path in [path, squeezed] {
        assert_eq!(scratch.store().load(&path, &()).expect("this is usual"), [name()]);
        let found = scratch.store().find(&name()).expect("it can be read").expect("it is there");
        assert_eq!(file(&found, "f"), Some(b"content".to_vec()));
        assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
    }
}

#[test]
fn a_docker_archive_that_points_elsewhere_is_refused() {
    let image = image();
    let (config, layer) = (image.config.as_slice(), image.layers[0].blob.as_slice());
    let good = |archive: Archive| archive.file("c.json", config).file("l.tar", layer);
    let both = item("c.json", &["l.tar"]);
    let rows: Vec<(&str, Value, Change<'_>, &str)> = vec![
        (
            "M-42 a layer out of the archive",
            item("c.json", &["../../../etc/passwd"]),
            Box::new(good),
            "escapes",
        ),
        ("a layer of the host", item("c.json", &["/etc/passwd"]), Box::new(good), "cannot read"),
        (
            "a configuration out of the archive",
            item("../../../etc/passwd", &["l.tar"]),
            Box::new(good),
            "escapes",
        ),
        (
            "a member out of the archive",
            both.clone(),
            Box::new(|a| good(a).file("../x", b"")),
            "escapes",
        ),
        ("a member twice", both.clone(), Box::new(|a| good(a).file("l.tar", b"")), "there twice"),
        (
            "a member twice by two names",
            both.clone(),
            Box::new(|a| good(a).file("./l.tar", b"")),
            "there twice",
        ),
        (
            "links in a circle",
            item("c.json", &["a"]),
            Box::new(|a| good(a).symlink("a", "b").symlink("b", "a")),
            "too many links",
        ),
        (
            "a link out",
            item("c.json", &["a"]),
            Box::new(|a| good(a).symlink("a", "../../etc/passwd")),
            "escapes",
        ),
        (
            "a link to the host",
            item("c.json", &["a"]),
            Box::new(|a| good(a).symlink("a", "/etc/passwd")),
            "cannot read",
        ),
        ("a layer that is missing", item("c.json", &["no.tar"]), Box::new(good), "cannot read"),
        ("a layer too many", item("c.json", &["l.tar", "l.tar"]), Box::new(good), "lists 2 layers"),
        (
            "a directory as a layer",
            item("c.json", &["d"]),
            Box::new(|a| good(a).directory("d")),
            "cannot read",
        ),
        ("a manifest that is none", json!({"Config": 5}), Box::new(good), "manifest.json"),
        ("nothing in it", json!([]), Box::new(good), "holds no images"),
    ];
    for (what, manifest, change, why) in rows {
        let scratch = Scratch::new();
        let path = docker(&scratch, &manifest, change);
        refused(&scratch, what, &path, why);
    }
}

#[test]
fn an_archive_cannot_take_the_name_of_another_digest() {
    let (image, scratch) = (image(), Scratch::new());
    let other = Digest::of(b"other");
    let directory = scratch.path().join("layout");
    layout(&directory, &image);
    let path = directory.join("index.json");
    let index = fs::read_to_string(&path).expect("it is there");
    let wanted = Reference::parse(&format!("example.org/loaded@{other}")).expect("it is one");
    fs::write(&path, index.replace(&name().to_string(), &wanted.to_string())).expect("it is ours");
    let names = scratch.store().load(&directory, &()).expect("the image itself is good");
    let own = format!("localhost/loaded@{}", Digest::of(&image.manifest()));
    assert_eq!(names, [Reference::parse(&own).expect("it is one")]);
    assert!(scratch.store().find(&wanted).expect("it can be read").is_none());
}

#[test]
fn files_that_are_no_images_are_refused() {
    let text = "root:x:0:0:root:/root:/bin/sh\n".repeat(40);
    let rows: [(&str, &[u8]); 5] = [
        ("empty", b""),
        ("a text", b"hello"),
        ("a text that is longer than a header", text.as_bytes()),
        ("gzip that is cut off", &gzip(&[7; 5000])[..20]),
        ("an archive of something else", &Archive::new().file("f", b"").finish()),
    ];
    for (what, bytes) in rows {
        let scratch = Scratch::new();
        let path = scratch.path().join("file");
        fs::write(&path, bytes).expect("it is ours");
        refused(&scratch, what, &path, "");
        let error = scratch.store().load(&path, &()).map(|_| ()).expect_err(what);
        assert!(!told(&error).contains("root:x"), "{}", told(&error));
    }
}
