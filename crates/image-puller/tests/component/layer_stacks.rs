//! Layers on layers: what one does to those below, and what it cannot do.

use image_puller::Image;

use crate::archive::{Archive, Header};
use crate::field::{Field, tree};
use crate::image::Layer;
use crate::store::file;

fn stack(field: &Field, archives: Vec<Archive>) -> Result<Image, String> {
    field.pull(archives.into_iter().map(|archive| Layer::plain(archive.finish())).collect())
}

/// What the image has at these paths, as text.
fn contents(image: &Image, paths: &[&str]) -> Vec<Option<String>> {
    let text = |bytes| String::from_utf8(bytes).expect("the tests write text");
    paths.iter().map(|path| file(image, path).map(text)).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "it is what the tables compare with")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// L-06.
#[test]
fn a_file_through_a_link_of_the_layer_below_stays_in_the_root() {
    let field = Field::new();
    let canary = field.canary();
    let image = stack(
        &field,
        vec![
            Archive::new().symlink("out", &canary).symlink("up", "../../.."),
            Archive::new().file("out/f", b"mine").file("up/g", b"mine"),
        ],
    );
    let image = image.expect("links are followed as in a chroot");
    let inside = format!("{canary}/f");
    assert_eq!(
        contents(&image, &[&inside, "out/f", "g"]),
        [some("mine"), some("mine"), some("mine")]
    );
    assert!(!tree(&image.layers[1]).iter().any(|line| line.ends_with(" out")), "the link is kept");
}

/// L-26.
#[test]
fn a_whiteout_through_a_link_of_the_layer_below_stays_in_the_root() {
    let field = Field::new();
    let canary = field.canary();
    let image = stack(
        &field,
        vec![
            Archive::new().symlink("out", &canary).file(format!("{canary}/f"), b"theirs"),
            Archive::new().file("out/.wh.f", b"").file("out/d/.wh..wh..opq", b""),
        ],
    );
    let image = image.expect("links are followed as in a chroot");
    assert_eq!(contents(&image, &["out/f"]), [None]);
}

/// L-104.
#[test]
fn whiteouts_hide_what_is_below_and_never_their_own_layer() {
    let field = Field::new();
    let below = || Archive::new().file("etc/a", b"1").file("etc/b", b"1").file("keep", b"1");
    let hide = |archive: Archive| archive.file(".wh.etc", b"");
    let add = |archive: Archive| archive.file("etc/new", b"2");
    for (what, above) in [("first", add(hide(Archive::new()))), ("last", hide(add(Archive::new())))]
    {
        let image =
            stack(&field, vec![below(), above]).unwrap_or_else(|told| panic!("{what}: {told}"));
        let found = contents(&image, &["etc/a", "etc/b", "etc/new", "keep"]);
        assert_eq!(found, [None, None, some("2"), some("1")], "the whiteout comes {what}");
    }
}

#[test]
fn an_opaque_directory_hides_all_that_is_below() {
    let field = Field::new();
    let below = || Archive::new().file("d/a", b"1").file("d/sub/b", b"1");
    let rows = [
        ("first", Archive::new().file("d/.wh..wh..opq", b"").file("d/c", b"2")),
        ("last", Archive::new().file("d/c", b"2").file("d/.wh..wh..opq", b"")),
    ];
    for (what, above) in rows {
        let image =
            stack(&field, vec![below(), above]).unwrap_or_else(|told| panic!("{what}: {told}"));
        assert_eq!(contents(&image, &["d/a", "d/sub/b", "d/c"]), [None, None, some("2")], "{what}");
    }
}

#[test]
fn what_changes_its_type_hides_what_was_there() {
    let field = Field::new();
    let rows = [
        (
            "L-76 a directory over a link",
            Archive::new().symlink("x", "d").file("d/f", b"1"),
            Archive::new().directory("x").file("x/g", b"2"),
            [None, some("2"), some("1")],
        ),
        (
            "L-102 only a directory over a link",
            Archive::new().symlink("x", "d").file("d/f", b"1"),
            Archive::new().directory("x"),
            [None, None, some("1")],
        ),
        (
            "a file over a directory",
            Archive::new().file("x/f", b"1").file("d/f", b"1"),
            Archive::new().file("x", b"2"),
            [None, None, some("1")],
        ),
        (
            "a link over a directory",
            Archive::new().file("x/f", b"1").file("d/f", b"1"),
            Archive::new().symlink("x", "d"),
            [some("1"), None, some("1")],
        ),
        (
            "a directory over a file",
            Archive::new().file("x", b"1").file("d/f", b"1"),
            Archive::new().directory("x").file("x/g", b"2"),
            [None, some("2"), some("1")],
        ),
    ];
    for (what, below, above, expected) in rows {
        let image =
            stack(&field, vec![below, above]).unwrap_or_else(|told| panic!("{what}: {told}"));
        assert_eq!(contents(&image, &["x/f", "x/g", "d/f"]), expected, "{what}");
    }
}

#[test]
fn a_file_of_the_layer_below_is_no_parent() {
    let field = Field::new();
    let told = stack(&field, vec![Archive::new().file("f", b""), Archive::new().file("f/g", b"")]);
    let told = told.expect_err("a file has no children");
    assert!(told.contains("a parent of the entry is not a directory"), "{told}");
    assert_eq!(field.scratch.names_in("images"), [] as [String; 0]);
}

#[test]
fn a_hard_link_to_the_layer_below_is_a_copy_and_leads_not_out() {
    let field = Field::new();
    let below = || Archive::new().file("f", b"1").symlink("l", "/").file("gone", b"");
    let image = stack(&field, vec![below(), Archive::new().hard_link("h", "l/f")]);
    assert_eq!(contents(&image.expect("l is the root"), &["h"]), [some("1")]);
    for (what, target) in [("the host", "l/etc/passwd"), ("a whiteout", "gone")] {
        let above = Archive::new().file(".wh.gone", b"").hard_link("h", target);
        let told = stack(&field, vec![below(), above]).expect_err(what);
        assert!(told.contains("\"h\"") && told.contains("does not exist in the image"), "{told}");
    }
}

#[test]
fn parents_that_are_only_implied_keep_the_owner_and_mode_from_below() {
    use std::os::unix::fs::MetadataExt;
    let field = Field::new();
    let tmp = Header { mode: 0o1777, uid: 5, ..Header::new(b'5', "tmp") };
    let image =
        stack(&field, vec![Archive::new().entry(&tmp, b""), Archive::new().file("tmp/f", b"")]);
    let image = image.expect("this is usual");
    let metadata = std::fs::metadata(image.layers[1].join("tmp")).expect("it is there");
    assert_eq!((metadata.mode() & 0o7777, metadata.uid()), (0o1777, 5));
}

/// As podman writes layers, and as overlayfs has them.
#[test]
fn a_device_0_0_hides_what_is_below() {
    let field = Field::new();
    let lower = Archive::new().file("f", b"lower").directory("d").file("d/g", b"lower");
    let image = stack(
        &field,
        vec![
            lower.clone().file("stays", b"lower"),
            Archive::new().device(b'3', "f", (0, 0)).device(b'3', "d", (0, 0)),
        ],
    );
    let image = image.expect("it is a whiteout");
    assert_eq!(contents(&image, &["f", "d/g", "stays"]), [None, None, some("lower")]);
    assert_eq!(tree(&image.layers[1]), ["w d", "w f"]);

    // The last entry of a name counts, and without anything below there is nothing to hide.
    let field = Field::new();
    let image = stack(
        &field,
        vec![
            lower.clone().device(b'3', "alone", (0, 0)),
            Archive::new()
                .file("f", b"upper")
                .device(b'3', "f", (0, 0))
                .device(b'3', "d", (0, 0))
                .directory("d")
                .file("d/new", b"upper"),
        ],
    );
    let image = image.expect("these are whiteouts");
    assert_eq!(
        contents(&image, &["f", "d/g", "d/new", "alone"]),
        [None, None, some("upper"), None]
    );
}

/// moby#41723 and its like: what a layer links to, it may hide afterwards.
#[test]
fn a_link_stays_when_its_target_of_a_lower_layer_is_hidden_afterwards() {
    let lower = || Archive::new().file("d/e/f", b"lower").file("g", b"lower");
    let link = |archive: Archive| archive.hard_link("link", "d/e/f");
    let rows = [
        ("the target", link(Archive::new()).file("d/e/.wh.f", b"")),
        ("its directory", link(Archive::new()).file("d/.wh.e", b"")),
        ("the directory above", link(Archive::new()).file(".wh.d", b"")),
        ("all in its directory", link(Archive::new()).file("d/e/.wh..wh..opq", b"")),
        ("everything", link(Archive::new()).file(".wh..wh..opq", b"")),
        ("the target, by a device", link(Archive::new()).device(b'3', "d/e/f", (0, 0))),
        (
            "the target, replaced before",
            link(Archive::new()).file("d/e/f", b"x").device(b'3', "d/e/f", (0, 0)),
        ),
    ];
    for (what, upper) in rows {
        let field = Field::new();
        let image = stack(&field, vec![lower(), upper]);
        let image = image.unwrap_or_else(|told| panic!("{what}: {told}"));
        assert_eq!(contents(&image, &["link", "d/e/f"]), [some("lower"), None], "{what}");
    }
    // What the layer has itself there stays.
    let upper = link(Archive::new()).file("d/e/f", b"upper").file("d/e/.wh.f", b"");
    let field = Field::new();
    let image = stack(&field, vec![lower(), upper]).expect("it is an image");
    assert_eq!(contents(&image, &["link", "d/e/f"]), [some("lower"), some("upper")]);
}
