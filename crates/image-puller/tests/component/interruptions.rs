//! Pulls that are killed, and disks that are full.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::archive::{Archive, gzip};
use crate::child;
use crate::image::{Layer, TestImage, noise};
use crate::registry::{Delivery, Registry};
use crate::store::{Scratch, file, reference, told};

fn start_pull(scratch: &Scratch, registry: &Registry) -> Child {
    child::command(scratch, &reference(&registry.host()))
        .stdout(Stdio::null())
        .spawn()
        .expect("it can be started again")
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} within 20 s");
        thread::sleep(Duration::from_millis(5));
    }
}

///
#[test]
fn a_pull_that_was_killed_leaves_nothing_that_the_next_one_trips_over() {
    let archive = Archive::new().file("done", b"").file("large", &noise(2_000_000)).finish();
    let first = Layer::compressed(gzip(&archive), &archive, "gzip");
    let second = Layer::plain(Archive::new().file("small", b"small").finish());
    let image = TestImage::of(vec![second, first.clone()]);
    let scratch = Scratch::new();
    let (layer, half) = (first.digest().to_string(), first.blob.len() / 2);
    let registry = Registry::serving(&image, move |request, answer| {
        let hangs = request.path.ends_with(&layer) && request.count == 1;
        if hangs { answer.delivery(Delivery::HangAfter(half)) } else { answer }
    });
    let mut child = start_pull(&scratch, &registry);
    wait_until("half of the layer is unpacked", || {
        let staged = std::fs::read_dir(scratch.images_directory().join("tmp"));
        let mut paths = staged.into_iter().flatten().flatten().map(|entry| entry.path());
        paths.any(|path| path.join("fs/large").metadata().is_ok_and(|large| large.len() > 500_000))
    });
    child.kill().expect("it still hangs");
    child.wait().expect("it is ours");
    assert_ne!(scratch.names_in("tmp"), [] as [String; 0], "it could not clean up");
    assert_eq!(scratch.store().list().expect("it can be read"), []);

    let pulled = scratch.pull(&registry.host()).expect("nothing is in the way");
    assert_eq!(file(&pulled.image, "large"), Some(noise(2_000_000)));
    assert_eq!(file(&pulled.image, "small"), Some(b"small".to_vec()));
    assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
    assert_eq!(scratch.names_in("layers").len(), 2);
}

/// Wherever the kill hits (documents, layers on their way, names), the store has no image or a
/// whole one, and the next pull has little to do.
#[test]
fn a_pull_may_be_killed_at_any_moment() {
    let files = |name: &str| Archive::new().file(name, &noise(400_000)).finish();
    let image = TestImage::of(["one", "two", "three"].map(|name| Layer::plain(files(name))).into());
    let pause = Duration::from_millis(3);
    let registry = Registry::serving(&image, move |request, answer| {
        if request.is_blob() { answer.delivery(Delivery::Drip(10, pause)) } else { answer }
    });
    let scratch = Scratch::new();
    let name = reference(&registry.host());
    let whole: u64 = image.layers.iter().map(|layer| layer.blob.len() as u64).sum();
    for step in 0..8 {
        let _ = std::fs::remove_dir_all(scratch.path().join("data")); // there after the first
        let before = registry.sent();
        let mut child = start_pull(&scratch, &registry);
        let is_over = |child: &mut Child| child.try_wait().is_ok_and(|ended| ended.is_some());
        wait_until("so much was sent", || registry.sent() - before >= whole * step / 7);
        let was_killed = !is_over(&mut child);
        if was_killed {
            child.kill().expect("it is ours");
            child.wait().expect("it is ours");
        }
        if let Some(found) = scratch.store().find(&name).expect("the store can be read") {
            for part in ["one", "two", "three"] {
                assert_eq!(file(&found, part), Some(noise(400_000)), "{part} after step {step}");
            }
        } else {
            assert!(was_killed, "a pull that ended by itself has brought the image");
        }
        let pulled = scratch.pull(&registry.host()).expect("the next pull brings it");
        assert_eq!(file(&pulled.image, "three"), Some(noise(400_000)));
        assert_eq!(scratch.names_in("tmp"), [] as [String; 0], "after step {step}");
    }
}

/// A small file system; it goes with the value.
struct Small(PathBuf);

impl Small {
    fn at(path: PathBuf, limit: &str) -> Self {
        std::fs::create_dir(&path).expect("the name is free");
        let options = std::ffi::CString::new(limit).expect("it has no NUL");
        mount("none", &path, "tmpfs", MountFlags::empty(), options.as_c_str())
            .expect("root may mount");
        Self(path)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

///
#[test]
fn a_full_disk_ends_the_pull_and_leaves_room_for_the_next() {
    let many = |archive: Archive, number| archive.file(format!("{number}"), b"");
    let files = Archive::new().file("small", &noise(1000));
    let many_files = (0..200).fold(files, many).finish();
    let rows = [
        ("size=3m", TestImage::of_size(2_000_000)),
        ("nr_inodes=100", TestImage::of(vec![Layer::plain(many_files)])),
    ];
    for (limit, image) in rows {
        let scratch = Scratch::new();
        let _disk = Small::at(scratch.path().join("data"), limit);
        let large = Registry::serving(&image, |_, answer| answer);
        let error = scratch.pull(&large.host()).expect_err("it does not fit");
        assert!(told(&error).contains("No space left on device"), "{limit}: {}", told(&error));
        let hint = error.hint().expect("there is something to do");
        assert!(hint.contains("free some disk space"), "{hint}");
        scratch.assert_empty(&told(&error));
        let small = Registry::serving(&TestImage::of_size(200_000), |_, answer| answer);
        scratch.pull(&small.host()).expect("this one fits");
    }
}

///
#[test]
fn a_store_that_cannot_be_written_is_read_and_says_so() {
    let scratch = Scratch::new();
    let disk = Small::at(scratch.path().join("data"), "size=10m");
    let image = TestImage::of_size(1000);
    let here = Registry::serving(&image, |_, answer| answer);
    scratch.pull(&here.host()).expect("it is writable so far");
    mount_remount(&disk.0, MountFlags::RDONLY, "").expect("root may mount");
    assert_eq!(scratch.store().list().expect("it can be read").len(), 1);
    let again = scratch.pull(&here.host()).expect("the tag has not moved");
    assert_eq!(file(&again.image, "large"), Some(noise(1000)));
    let other = Registry::serving(&TestImage::of_size(2000), |_, answer| answer);
    let error = scratch.pull(&other.host()).expect_err("it cannot be stored");
    assert!(told(&error).contains("Read-only file system"), "{}", told(&error));
    let hint = error.hint().expect("there is something to do");
    assert!(hint.contains("mount it writable"), "{hint}");
    assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
}
