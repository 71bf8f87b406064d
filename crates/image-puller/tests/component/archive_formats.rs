//! Archives of images as they are found: compressed, cut off, with members twice and with things
//! in them that are no images.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use image_puller::{Digest, ProgressEvent};
use serde_json::{Value, json};

use crate::archive::{Archive, gzip, zstd};
use crate::hostile_archives::{image, layout, name, refused};
use crate::image::{MANIFEST, TestImage, descriptor};
use crate::store::{Scratch, told};

/// The OCI layout of an image as archive members, the index last.
fn members(scratch: &Scratch, image: &TestImage) -> Archive {
    let directory = scratch.path().join("layout");
    layout(&directory, image);
    let mut archive = Archive::new();
    let mut add = |path: &Path, name: &str| {
        let bytes = fs::read(path).expect("it was just written");
        archive = archive.clone().file(name, &bytes);
    };
    let mut blobs: Vec<_> = fs::read_dir(directory.join("blobs/sha256"))
        .expect("it was just written")
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    blobs.sort();
    add(&directory.join("oci-layout"), "oci-layout");
    for path in blobs {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        add(&path, &format!("blobs/sha256/{name}"));
    }
    add(&directory.join("index.json"), "index.json");
    archive
}

/// What a program of Debian makes of bytes.
fn compress(program: &[&str], bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program[0])
        .args(&program[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program:?}: {error}"));
    let mut stdin = child.stdin.take().expect("it is piped");
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(bytes).expect("it takes everything"));
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{program:?}");
        output.stdout
    })
}

#[test]
fn archives_are_loaded_however_they_are_compressed() {
    let source = Scratch::new();
    let plain = members(&source, &image()).finish();
    let half = plain.len() / 2;
    let xz = |bytes: &[u8]| compress(&["xz", "-c"], bytes);
    let bzip2 = |bytes: &[u8]| compress(&["bzip2", "-c"], bytes);
    let rows = [
        ("gzip", gzip(&plain)),
        ("zstd", zstd(&plain)),
        ("xz", xz(&plain)),
        (
            "xz with blocks and a large dictionary",
            compress(&["xz", "-9e", "--block-size=4096", "-c"], &plain),
        ),
        ("xz streams", [xz(&plain[..half]), xz(&plain[half..])].concat()),
        ("bzip2", bzip2(&plain)),
        ("bzip2 streams", [bzip2(&plain[..half]), bzip2(&plain[half..])].concat()),
    ];
    for (what, bytes) in rows {
        let scratch = Scratch::new();
        let path = scratch.path().join("archive");
        fs::write(&path, bytes).expect("it is ours");
        let loaded = scratch.store().load(&path, &());
        let loaded = loaded.unwrap_or_else(|error| panic!("{what}: {}", told(&error)));
        assert_eq!(loaded, [name()], "{what}");
    }
}

#[test]
fn an_archive_that_is_cut_off_says_so() {
    let source = Scratch::new();
    let archive = members(&source, &image());
    let (open, plain) = (archive.clone().unfinished(), archive.finish());
    let cut = |bytes: &[u8], left: usize| bytes[..left].to_vec();
    let xz = compress(&["xz", "-c"], &plain);
    let bzip2 = compress(&["bzip2", "-c"], &plain);
    let whole = open.len() - 1024; // without the index, its header and its content
    let rows = [
        ("in the middle of a member", cut(&open, open.len() - 700)),
        ("in the middle of a header", cut(&open, whole + 100)),
        ("between two members", cut(&open, whole)),
        ("gzip", cut(&gzip(&plain), gzip(&plain).len() - 20)),
        ("zstd", cut(&zstd(&plain), zstd(&plain).len() - 20)),
        ("xz", cut(&xz, xz.len() - 60)),
        ("bzip2", cut(&bzip2, bzip2.len() - 30)),
    ];
    for (what, bytes) in rows {
        let scratch = Scratch::new();
        let path = scratch.path().join("archive");
        fs::write(&path, bytes).expect("it is ours");
        refused(&scratch, what, &path, "truncated");
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("archive");
    fs::write(&path, open).expect("it is ours");
    let loaded = scratch.store().load(&path, &()).expect("only the end of the archive is missing");
    assert_eq!(loaded, [name()]);
}

#[test]
fn an_xz_archive_cannot_ask_for_all_memory() {
    let scratch = Scratch::new();
    let path = scratch.path().join("archive");
    let huge =
        compress(&["xz", "--lzma2=dict=512MiB", "-c"], &Archive::new().file("f", b"").finish());
    fs::write(&path, huge).expect("it is ours");
    refused(&scratch, "a huge dictionary", &path, "memory");
}

#[test]
fn a_member_may_be_there_twice_if_it_is_the_same() {
    let source = Scratch::new();
    let archive = members(&source, &image());
    let again = format!("blobs/sha256/{}", image().layers[0].digest().hex());
    let same = archive.clone().file(&again, &image().layers[0].blob);
    let other = archive.file(&again, b"other");
    let scratch = Scratch::new();
    let path = scratch.path().join("archive");
    fs::write(&path, same.finish()).expect("it is ours");
    assert_eq!(scratch.store().load(&path, &()).expect("it says the same twice"), [name()]);
    let scratch = Scratch::new();
    let path = scratch.path().join("archive");
    fs::write(&path, other.finish()).expect("it is ours");
    refused(&scratch, "a member with two contents", &path, "twice, with different contents");
}

/// A layout with a signature beside the image, as cosign saves it, or with the signature alone.
fn with_signature(scratch: &Scratch, with_image: bool) -> std::path::PathBuf {
    const SIGNATURE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
    let directory = scratch.path().join("layout");
    layout(&directory, &image());
    let blobs = directory.join("blobs/sha256");
    let write = |bytes: &[u8]| fs::write(blobs.join(Digest::of(bytes).hex()), bytes).expect("new");
    let (payload, config) = (b"{}".to_vec(), br#"{"rootfs":{"type":"layers"}}"#.to_vec());
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor(SIGNATURE, &payload)],
    });
    let manifest = manifest.to_string().into_bytes();
    [&payload, &config, &manifest].into_iter().for_each(|bytes| write(bytes));
    let path = directory.join("index.json");
    let text = fs::read_to_string(&path).expect("it was just written");
    let mut index: Value = serde_json::from_str(&text).expect("it is JSON");
    let entries = index["manifests"].as_array_mut().expect("it is a list");
    if !with_image {
        entries.clear();
    }
    entries.insert(0, descriptor(MANIFEST, &manifest));
    fs::write(&path, index.to_string()).expect("it is ours");
    directory
}

#[test]
fn what_is_no_image_beside_one_is_left_out_and_named() {
    let scratch = Scratch::new();
    let directory = with_signature(&scratch, true);
    let events = Mutex::new(Vec::new());
    let report = |event| events.lock().expect("nobody panics here").push(event);
    let loaded = scratch.store().load(&directory, &report).map_err(|error| told(&error));
    assert_eq!(loaded, Ok(vec![name()]));
    let events = events.into_inner().expect("nobody panics here");
    let named = events.iter().filter_map(|event| match event {
        ProgressEvent::NotAnImage { media_type, .. } => Some(media_type.as_str()),
        _ => None,
    });
    assert_eq!(
        named.collect::<Vec<_>>(),
        ["application/vnd.dev.cosign.simplesigning.v1+json"],
        "{events:?}"
    );
    let scratch = Scratch::new();
    let directory = with_signature(&scratch, false);
    refused(&scratch, "a signature alone", &directory, "no root filesystem layer");
}
