//! Owners, modes, times and attributes: what an archive may say of a file, and what not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use image_puller::Rule;

use crate::archive::{Archive, Header};
use crate::field::{Field, attribute};
use crate::image::Layer;

/// `struct vfs_cap_data` that grants `CAP_NET_BIND_SERVICE`.
fn capability(version: u8, length: usize) -> Vec<u8> {
    let mut value = vec![0; length];
    value[..8].copy_from_slice(&[1, 0, 0, version, 0, 4, 0, 0]);
    value
}

fn unpacked(field: &Field, archive: Archive) -> PathBuf {
    let image = field.pull(vec![Layer::plain(archive.finish())]).expect("this is allowed");
    image.layers[0].clone()
}

#[test]
fn owners_and_modes_are_kept_with_their_special_bits() {
    let field = Field::new();
    let rows = [
        ("set-user-id", b'0', 0o4755, 0o4755),
        ("set-group-id", b'0', 0o2755, 0o2755),
        ("sticky", b'5', 0o1777, 0o1777),
        ("nothing", b'0', 0, 0),
        ("a-closed-directory", b'5', 0, 0),
        ("type-bits-are-cut-off", b'0', 0o100_644, 0o644),
        ("a-fifo", b'6', 0o622, 0o622),
    ];
    let mut archive = Archive::new();
    for (name, kind, mode, _) in rows {
        let header = Header { mode, uid: 1000, gid: 100_000, ..Header::new(kind, name) };
        archive = archive.entry(&header, b"");
    }
    let root = unpacked(&field, archive);
    for (name, _, _, expected) in rows {
        let metadata = fs::symlink_metadata(root.join(name)).expect("it is there");
        assert_eq!(metadata.mode() & 0o7777, expected, "{name}");
        assert_eq!((metadata.uid(), metadata.gid()), (1000, 100_000), "{name}");
    }
}

/// L-116.
#[test]
fn the_number_of_an_owner_counts_and_not_the_name() {
    let field = Field::new();
    let names: [(&str, &[u8]); 3] = [("uname", b"root"), ("gname", b"root"), ("uid", b"1234567")];
    let root = unpacked(&field, Archive::new().pax(b'x', &names).file("f", b""));
    let metadata = fs::metadata(root.join("f")).expect("it is there");
    assert_eq!((metadata.uid(), metadata.gid()), (1_234_567, 0));
}

#[test]
fn a_link_has_an_owner_of_its_own_and_its_target_keeps_its_own() {
    let field = Field::new();
    let link = Header {
        uid: 7,
        gid: 8,
        mode: 0o777,
        mtime: 99,
        link: field.canary().into_bytes(),
        ..Header::new(b'2', "l")
    };
    let root = unpacked(&field, Archive::new().entry(&link, b""));
    let metadata = fs::symlink_metadata(root.join("l")).expect("it is there");
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mtime()), (7, 8, 99));
}

/// L-44, L-46.
#[test]
fn times_are_kept_from_before_1970_to_nanoseconds() {
    let field = Field::new();
    let archive = Archive::new()
        .entry(&Header { mtime: -100, ..Header::new(b'0', "early") }, b"")
        .pax(b'x', &[("mtime", b"1700000000.123456789999")])
        .file("exact", b"")
        .entry(&Header { mtime: 77, ..Header::new(b'5', "d") }, b"")
        .file("d/later", b"")
        .entry(&Header { mtime: i64::MAX, ..Header::new(b'0', "never") }, b"");
    let root = unpacked(&field, archive);
    for (name, expected) in
        [("early", (-100, 0)), ("exact", (1_700_000_000, 123_456_789)), ("d", (77, 0))]
    {
        let metadata = fs::metadata(root.join(name)).expect("it is there");
        assert_eq!((metadata.mtime(), metadata.mtime_nsec()), expected, "{name}");
    }
}

/// L-38, L-40, L-42, L-98.
#[test]
fn only_harmless_attributes_are_set_and_the_others_are_told() {
    let field = Field::new();
    let good = capability(2, 20);
    let records: [(&str, &[u8]); 12] = [
        ("SCHILY.xattr.user.k", b"v\0w\n"),
        ("SCHILY.xattr.security.capability", &good),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.metacopy", b""),
        ("SCHILY.xattr.security.selinux", b"x"),
        ("SCHILY.xattr.security.ima", b"x"),
        ("SCHILY.xattr.system.nfs4_acl", b"x"),
        ("SCHILY.xattr.weird", b"x"),
        ("LIBARCHIVE.xattr.user.other", b"eA=="),
        ("SCHILY.acl.access", b"user::rwx"),
    ];
    let root = unpacked(&field, Archive::new().pax(b'x', &records).file("f", b""));
    let path = root.join("f");
    assert_eq!(attribute(&path, "security.capability"), Some(good.clone()));
    let kept = attribute(&path, "user.k");
    let told = field.scratch.skipped();
    assert!(
        kept == Some(b"v\0w\n".to_vec()) || told.iter().any(|one| one.contains("user.k ")),
        "{told:?}"
    );
    for name in [
        "trusted.overlay.opaque",
        "trusted.overlay.redirect",
        "user.overlay.opaque",
        "user.overlay.metacopy",
        "security.selinux",
        "security.ima",
        "system.nfs4_acl",
        "weird",
    ] {
        assert!(told.iter().any(|one| one.ends_with(name)), "{name} is told of: {told:?}");
        assert_ne!(attribute(&path, name), Some(b"y".to_vec()), "{name}");
    }
    assert_eq!(attribute(&path, "trusted.overlay.opaque"), None);
    assert_eq!(attribute(&path, "trusted.overlay.redirect"), None);
}

/// `struct posix_acl_xattr_header` and entries: the user 7 may read, nobody else.
fn access_list() -> Vec<u8> {
    let entries: [(u16, u16, u32); 5] =
        [(1, 6, !0), (2, 4, 7), (4, 0, !0), (16, 4, !0), (32, 0, !0)];
    let entry = |(tag, permissions, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2_u32.to_le_bytes().to_vec(), entries.into_iter().flat_map(entry).collect()].concat()
}

/// L-38, L-40, L-42.
#[test]
fn links_devices_and_fifos_keep_the_attributes_that_they_can_have_and_the_others_are_told() {
    let field = Field::new();
    let (capability, list) = (capability(2, 20), access_list());
    let records: [(&str, &[u8]); 4] = [
        ("SCHILY.xattr.security.capability", &capability),
        ("SCHILY.xattr.system.posix_acl_access", &list),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.k", b"v"),
    ];
    let target = field.canary();
    let below = Archive::new()
        .pax(b'x', &records)
        .symlink("link", &target)
        .pax(b'x', &records)
        .device(b'3', "device", (1, 3))
        .pax(b'x', &records)
        .entry(&Header::new(b'6', "fifo"), b"");
    let names = ["link", "device", "fifo"];
    let above = names
        .iter()
        .fold(Archive::new(), |archive, name| archive.hard_link(format!("same-{name}"), name));
    let layers = [below, above].map(|archive| Layer::plain(archive.finish()));
    let image = field.pull(layers.into()).expect("nothing of it is refused");
    for name in names {
        // A hard link to a lower layer takes a copy.
        let copied = image.layers[1].join(format!("same-{name}"));
        for path in [image.layers[0].join(name), copied] {
            let kept = attribute(&path, "security.capability");
            assert_eq!(kept, Some(capability.clone()), "{}", path.display());
            let kept = attribute(&path, "system.posix_acl_access");
            let expected = (name != "link").then(|| list.clone());
            assert_eq!(kept, expected, "{}", path.display());
            assert_eq!(attribute(&path, "trusted.overlay.opaque"), None);
            assert_eq!(attribute(&path, "user.k"), None);
        }
    }
    let told = field.scratch.skipped();
    let expected = [
        "extended attribute system.posix_acl_access (not supported here)",
        "extended attribute trusted.overlay.opaque",
        "extended attribute user.k (not supported here)",
    ];
    assert_eq!(told, expected);
    assert_eq!(attribute(target.as_ref(), "security.capability"), None);
}

#[test]
fn a_capability_of_a_link_is_checked_like_that_of_a_file() {
    let field = Field::new();
    let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.security.capability", b"x")];
    let archive = Archive::new().pax(b'x', &records).symlink("l", "f").finish();
    field.refuse("a link", &archive, "\"l\"", Rule::Capability);
}

#[test]
fn a_directory_does_not_become_opaque_by_an_attribute() {
    let field = Field::new();
    let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.trusted.overlay.opaque", b"y")];
    let root = unpacked(&field, Archive::new().pax(b'x', &records).directory("d"));
    assert_eq!(attribute(&root.join("d"), "trusted.overlay.opaque"), None);
}

/// L-96.
#[test]
fn a_capability_that_the_kernel_would_not_know_is_refused() {
    let rows = [
        ("version 9", capability(9, 20)),
        ("version 2, too short", capability(2, 12)),
        ("version 3, too short", capability(3, 20)),
        ("empty", Vec::new()),
    ];
    let field = Field::new();
    for (what, value) in rows {
        let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.security.capability", &value)];
        let archive = Archive::new().pax(b'x', &records).file("f", b"").finish();
        field.refuse(what, &archive, "\"f\"", Rule::Capability);
    }
}

#[test]
fn a_capability_of_another_user_namespace_is_kept_and_counts_there_alone() {
    let (field, mut value) = (Field::new(), capability(3, 24));
    value[20..].copy_from_slice(&100_000_u32.to_le_bytes());
    let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.security.capability", &value)];
    let root = unpacked(&field, Archive::new().pax(b'x', &records).file("f", b""));
    assert_eq!(attribute(&root.join("f"), "security.capability"), Some(value));
}

#[test]
fn a_capability_of_version_3_for_root_is_kept() {
    let (field, value) = (Field::new(), capability(3, 24));
    let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.security.capability", &value)];
    let root = unpacked(&field, Archive::new().pax(b'x', &records).file("f", b""));
    // The kernel stores what is for root as version 2.
    assert_eq!(attribute(&root.join("f"), "security.capability"), Some(capability(2, 20)));
}
