//! One layer with something wrong in it: refused with a reason, or unpacked within the root.
//! The numbers are those of the catalogue in the security notes.

#![expect(clippy::too_many_lines, reason = "a table has as many lines as cases")]

use image_puller::Rule;

use crate::archive::{Archive, Header};
use crate::field::Field;
use crate::image::Layer;

fn new() -> Archive {
    Archive::new()
}

/// An extended header that says it is this long.
fn claimed(kind: u8, size: i64) -> Vec<u8> {
    new().entry(&Header { size, ..Header::new(kind, "long") }, b"").finish()
}

fn linked(kind: u8, name: &str, target: &[u8]) -> Vec<u8> {
    let target = [target, b"\0"].concat();
    let size = i64::try_from(target.len()).expect("links are short");
    new()
        .entry(&Header { size, ..Header::new(b'K', "link") }, &target)
        .entry(&Header::new(kind, name), b"")
        .finish()
}

#[test]
fn entries_that_break_a_rule_are_refused_by_name_and_rule() {
    let long = vec![b'x'; 256];
    let deep = "d/".repeat(2048) + "f";
    let wrong = Header { has_right_checksum: false, ..Header::new(b'0', "sum") };
    let typed = |kind: u8| new().entry(&Header::new(kind, "odd"), b"").finish();
    let device = |number| new().device(b'3', "dev", number).finish();
    let pax = |key: &str, value: &[u8]| new().pax(b'x', &[(key, value)]).file("f", b"").finish();
    let owned = |uid| new().entry(&Header { uid, ..Header::new(b'0', "owned") }, b"").finish();
    let sized = |size| new().entry(&Header { size, ..Header::new(b'0', "sized") }, b"").finish();
    let file_root = new().entry(&Header::new(b'0', "./"), b"").finish();
    let rows: Vec<(&str, Vec<u8>, &str, Rule)> = vec![
        (
            "L-02 out of the root",
            new().file("../../../x", b"").finish(),
            "../../../x",
            Rule::EscapesRoot,
        ),
        (
            "out of the root on a detour",
            new().file("a/../../x", b"").finish(),
            "a/../../x",
            Rule::EscapesRoot,
        ),
        ("absolute and out", new().file("/../etc/x", b"").finish(), "/../etc/x", Rule::EscapesRoot),
        ("a directory out", new().directory("../x").finish(), "../x", Rule::EscapesRoot),
        ("a link out by its name", new().symlink("../l", "f").finish(), "../l", Rule::EscapesRoot),
        ("a whiteout out", new().file("../.wh.x", b"").finish(), "../.wh.x", Rule::EscapesRoot),
        (
            "L-08 a hard link to the host",
            new().hard_link("h", "/etc/passwd").finish(),
            "\"h\"",
            Rule::HardLinkMissing,
        ),
        (
            "a hard link out",
            new().hard_link("h", "../../etc/passwd").finish(),
            "\"h\"",
            Rule::EscapesRoot,
        ),
        (
            "L-10 a hard link through a link out",
            new().symlink("l", "/etc").hard_link("h", "l/passwd").finish(),
            "\"h\"",
            Rule::HardLinkMissing,
        ),
        (
            "L-12 a hard link to nothing",
            new().hard_link("h", "nothing").finish(),
            "\"h\"",
            Rule::HardLinkMissing,
        ),
        (
            "a hard link to a later entry",
            new().hard_link("h", "f").file("f", b"").finish(),
            "\"h\"",
            Rule::HardLinkMissing,
        ),
        (
            "L-14 a hard link to a directory",
            new().directory("d").hard_link("h", "d").finish(),
            "\"h\"",
            Rule::HardLinkDirectory,
        ),
        (
            "a hard link to the root",
            new().hard_link("h", "/").finish(),
            "\"h\"",
            Rule::HardLinkDirectory,
        ),
        ("L-16 the root as a file", file_root, "", Rule::RootNotDirectory),
        ("the root as a link", new().symlink("/", "/etc").finish(), "", Rule::RootNotDirectory),
        (
            "L-18 a whiteout of the parent",
            new().file(".wh...", b"").finish(),
            ".wh...",
            Rule::Whiteout,
        ),
        (
            "a whiteout of the directory itself",
            new().file("d/.wh..", b"").finish(),
            "d/.wh..",
            Rule::Whiteout,
        ),
        (
            "L-20 a whiteout of nothing",
            new().file("etc/.wh.", b"").finish(),
            "etc/.wh.",
            Rule::Whiteout,
        ),
        (
            "a child of a whiteout",
            new().file(".wh.d/f", b"").finish(),
            ".wh.d/f",
            Rule::WhiteoutAsDirectory,
        ),
        ("L-34 a type that does not exist", typed(b'Z'), "odd", Rule::UnknownType),
        ("L-92 Solaris attributes", typed(b'X'), "odd", Rule::UnknownType),
        ("L-93 a volume label", typed(b'V'), "odd", Rule::UnknownType),
        ("L-94 a GNU directory dump", typed(b'D'), "odd", Rule::UnknownType),
        ("a continued volume", typed(b'M'), "odd", Rule::UnknownType),
        ("L-48 an owner beyond 32 bits", owned((1 << 32) + 5), "owned", Rule::Owner),
        ("an owner that means no change", owned((1 << 32) - 1), "owned", Rule::Owner),
        ("an owner beyond 32 bits in PAX", pax("uid", b"4294967301"), "f", Rule::Owner),
        ("a negative group in PAX", pax("gid", b"-1"), "f", Rule::Owner),
        (
            "L-52 a component of 256 bytes",
            new().pax(b'x', &[("path", &long)]).file("f", b"").finish(),
            "xxx",
            Rule::ComponentTooLong,
        ),
        (
            "a path of 4097 bytes",
            new().pax(b'x', &[("path", deep.as_bytes())]).file("f", b"").finish(),
            "d/d/d",
            Rule::PathTooLong,
        ),
        ("a NUL in a name", pax("path", b"a\0b"), "a\\0b", Rule::NulInName),
        ("L-60 a PAX length that is none", raw_pax(b"xx path=f\n"), "pax", Rule::ExtendedHeader),
        ("a PAX length that is too long", raw_pax(b"99 path=f\n"), "pax", Rule::ExtendedHeader),
        ("a PAX length of zero", raw_pax(b"0 path=f\n"), "pax", Rule::ExtendedHeader),
        ("a PAX record without a value", raw_pax(b"8 path\n\n"), "pax", Rule::ExtendedHeader),
        ("a PAX size that is no number", pax("size", b"1e3"), "pax", Rule::ExtendedHeader),
        ("L-64 a wrong checksum", new().entry(&wrong, b"").finish(), "sum", Rule::Checksum),
        ("garbage instead of a header", vec![b'x'; 1024], "xxx", Rule::Checksum),
        ("L-70 a negative size", sized(-1), "sized", Rule::Size),
        ("a size of 2^63-1", sized(i64::MAX), "sized", Rule::Size),
        ("a negative PAX size", pax("size", b"-5"), "f", Rule::Size),
        (
            "content that is missing",
            new().entry(&Header { size: 99, ..Header::new(b'0', "cut") }, b"").unfinished(),
            "cut",
            Rule::Truncated,
        ),
        (
            "half a header",
            new().file("f", b"").raw(&[b'x'; 100]).unfinished(),
            "f",
            Rule::Truncated,
        ),
        (
            "L-74 a file as a parent",
            new().file("f", b"").file("f/g", b"").finish(),
            "f/g",
            Rule::ParentNotDirectory,
        ),
        (
            "a FIFO as a parent",
            new().entry(&Header::new(b'6', "p"), b"").file("p/g", b"").finish(),
            "p/g",
            Rule::ParentNotDirectory,
        ),
        (
            "a link to a file as a parent",
            new().file("f", b"").symlink("l", "f").file("l/g", b"").finish(),
            "l/g",
            Rule::ParentNotDirectory,
        ),
        (
            "links in a circle",
            new().symlink("a", "b").symlink("b", "a").file("a/g", b"").finish(),
            "a/g",
            Rule::LinkLoop,
        ),
        ("L-78 a GNU sparse file", typed(b'S'), "odd", Rule::Sparse),
        ("an unknown sparse version", pax("GNU.sparse.major", b"1"), "\"f\"", Rule::Sparse),
        ("a sparse map that lies", pax("GNU.sparse.map", b"9,1"), "\"f\"", Rule::SparseMap),
        (
            "L-88 a link target of 4096 bytes",
            linked(b'2', "l", &[b't'; 4096]),
            "\"l\"",
            Rule::LinkTarget,
        ),
        ("L-100 an empty link target", new().symlink("l", "").finish(), "\"l\"", Rule::LinkTarget),
        (
            "a NUL in a link target",
            new().pax(b'x', &[("linkpath", b"a\0b")]).symlink("l", "x").finish(),
            "\"l\"",
            Rule::NulInName,
        ),
        (
            "L-108 a PAX header of 2 GiB",
            claimed(b'x', 2 << 30),
            "long",
            Rule::ExtendedHeaderTooLong,
        ),
        ("a global header of 2 GiB", claimed(b'g', 2 << 30), "long", Rule::ExtendedHeaderTooLong),
        ("a GNU long name of 2 GiB", claimed(b'L', 2 << 30), "long", Rule::ExtendedHeaderTooLong),
        ("a GNU long link of -1 bytes", claimed(b'K', -1), "long", Rule::Size),
        ("L-112 a major number of -1", device((-1, 0)), "dev", Rule::Device),
        ("a minor number beyond 20 bits", device((1, 1 << 20)), "dev", Rule::Device),
        ("a time that is none", pax("mtime", b"soon"), "pax", Rule::Time),
        (
            "ESC in the name of a bad entry",
            new().hard_link("\x1b]0;x\x07\n", "no").finish(),
            "\\u{1b}]0;x\\u{7}\\n",
            Rule::HardLinkMissing,
        ),
    ];
    let field = Field::new();
    for (what, archive, entry, rule) in rows {
        field.refuse(what, &archive, entry, rule);
    }
}

/// PAX records as they are.
fn raw_pax(records: &[u8]) -> Vec<u8> {
    let size = i64::try_from(records.len()).expect("records are short");
    new().entry(&Header { size, ..Header::new(b'x', "pax") }, records).file("f", b"").finish()
}

#[test]
fn odd_entries_are_unpacked_within_the_root() {
    let field = Field::new();
    let canary = field.canary();
    let canary_link = format!("l out -> {canary}");
    let (inside, parents) = (&canary[1..], parents_of(&canary[1..]));
    let within = |rest: &[&str]| {
        let mut lines = parents.clone();
        lines.extend(rest.iter().map(|line| (*line).to_owned()));
        lines.sort_by(|a, b| a[2..].cmp(&b[2..]));
        lines
    };
    let list = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    let long = format!("{}/{}", "x".repeat(200), "y".repeat(99));
    let rows: Vec<(&str, Vec<u8>, Vec<String>)> = vec![
        ("an absolute name", new().file("/etc/f", b"").finish(), list(&["d etc", "- etc/f"])),
        ("a name with .. that stays", new().file("a/../b", b"").finish(), list(&["- b"])),
        (
            "L-04 a file through a link to the host",
            new().symlink("out", &canary).file("out/g", b"").finish(),
            within(&[&canary_link, &format!("- {inside}/g")]),
        ),
        (
            "a file over a link to a file of the host",
            new().symlink("f", format!("{canary}/f")).file("f", b"mine").finish(),
            list(&["- f"]),
        ),
        (
            "a file through a relative link out",
            new().symlink("out", "../../../../x").file("out/g", b"").finish(),
            list(&["l out -> ../../../../x", "d x", "- x/g"]),
        ),
        (
            "a directory through a link to the host",
            new().symlink("out", &canary).directory("out/d").finish(),
            within(&[&canary_link, &format!("d {inside}/d")]),
        ),
        (
            "a hard link to a link",
            new().symlink("l", &canary).hard_link("h", "l").finish(),
            list(&[&format!("l h -> {canary}"), &format!("l l -> {canary}")]),
        ),
        (
            "a file over a hard link",
            new().file("f", b"").hard_link("h", "f").file("h", b"new").finish(),
            list(&["- f", "- h"]),
        ),
        (
            "L-118 a directory over a link to the host",
            new()
                .symlink("d", &canary)
                .entry(&Header { mode: 0o777, ..Header::new(b'5', "d") }, b"")
                .finish(),
            list(&["D d"]),
        ),
        (
            "L-22 a whiteout of nothing that is there",
            new().file(".wh.gone", b"").finish(),
            list(&[]),
        ),
        (
            "L-24 a sibling, then opaque",
            new().file("d/f", b"").file("d/.wh..wh..opq", b"").finish(),
            list(&["D d", "- d/f"]),
        ),
        (
            "L-23 opaque, then a sibling",
            new().file("d/.wh..wh..opq", b"").file("d/f", b"").finish(),
            list(&["D d", "- d/f"]),
        ),
        (
            "L-28 AUFS's own",
            new().file(".wh..wh.aufs", b"").file(".wh..wh.plnk/1.2", b"").finish(),
            list(&[]),
        ),
        ("L-30 a disk", new().device(b'4', "sda", (8, 0)).finish(), list(&["b sda 8:0"])),
        ("a character device", new().device(b'3', "null", (1, 3)).finish(), list(&["c null 1:3"])),
        ("L-32 a FIFO", new().entry(&Header::new(b'6', "p"), b"").finish(), list(&["p p"])),
        (
            "L-36 no type and a slash",
            new().entry(&Header::new(0, "d/"), b"").finish(),
            list(&["d d"]),
        ),
        ("no type and no slash", new().entry(&Header::new(0, "f"), b"").finish(), list(&["- f"])),
        (
            "L-50 a GNU long name",
            gnu_long(&long),
            list(&[&format!("d {}", "x".repeat(200)), &format!("- {long}")]),
        ),
        ("L-54 UTF-8", new().file("gr\u{fc}n", b"").finish(), list(&["- gr\\xc3\\xbcn"])),
        (
            "a name that is not UTF-8",
            new().file(b"\xff\xfe", b"").finish(),
            list(&["- \\xff\\xfe"]),
        ),
        (
            "L-56 newline and ESC",
            new().file("a\n\x1b[31m", b"").finish(),
            list(&["- a\\n\\x1b[31m"]),
        ),
        (
            "L-62 a global path",
            new().pax(b'g', &[("path", b"evil")]).file("f", b"").finish(),
            list(&["- f"]),
        ),
        ("L-66 no end of archive", new().file("f", b"").unfinished(), list(&["- f"])),
        (
            "L-68 a second archive after the end",
            [new().file("f", b"").finish(), new().file("g", b"").finish()].concat(),
            list(&["- f"]),
        ),
        (
            "L-72 a file, then a directory with a child",
            new().file("a", b"").directory("a").file("a/b", b"").finish(),
            list(&["D a", "- a/b"]),
        ),
        (
            "a directory, then a file",
            new().file("a/b/c", b"").file("a", b"").finish(),
            list(&["- a"]),
        ),
        ("a file twice", new().file("a", b"1").file("a", b"2").finish(), list(&["- a"])),
        (
            "a directory twice with a child between",
            new().directory("a").file("a/b", b"").directory("a").finish(),
            list(&["d a", "- a/b"]),
        ),
        (
            "L-80 missing parents",
            new().file("a/b/c", b"").finish(),
            list(&["d a", "d a/b", "- a/b/c"]),
        ),
        (
            "L-82 dots and slashes",
            new().directory("./").file("./a", b"").file(".//b", b"").finish(),
            list(&["- a", "- b"]),
        ),
        (
            "L-84 a closed directory with a child",
            new()
                .entry(&Header { mode: 0, ..Header::new(b'5', "d") }, b"")
                .file("d/f", b"")
                .finish(),
            list(&["d d", "- d/f"]),
        ),
        (
            "L-86 proc and dev as links",
            new().symlink("dev", &canary).symlink("proc", "/").finish(),
            list(&[&format!("l dev -> {canary}"), "l proc -> /"]),
        ),
        ("L-90 no bytes at all", Vec::new(), list(&[])),
        ("only an end", vec![0; 1024], list(&[])),
        ("L-110 GNU and PAX names", both_names(), list(&["- pax"])),
        (
            "L-114 composed and decomposed",
            new().file("\u{e9}", b"").file("e\u{301}", b"").file("E", b"").file("e", b"").finish(),
            list(&["- E", "- e", "- e\\xcc\\x81", "- \\xc3\\xa9"]),
        ),
        ("L-58 PAX says the size, the header none", pax_size(0), list(&["- after", "- f"])),
        ("PAX and the header disagree", pax_size(1), list(&["- after", "- f"])),
        ("PAX says less than the header", pax_size(4096), list(&["- after", "- f"])),
        (
            "a link with a size",
            new()
                .entry(&Header { size: 512, link: b"x".to_vec(), ..Header::new(b'2', "l") }, b"")
                .file("f", b"")
                .finish(),
            list(&["- f", "l l -> x"]),
        ),
    ];
    for (what, archive, mut expected) in rows {
        let found = field.unpack(&archive).unwrap_or_else(|told| panic!("{what}: {told}"));
        expected.sort_by(|a, b| a[2..].cmp(&b[2..]));
        assert_eq!(found, expected, "{what}");
    }
    assert!(field.scratch.skipped().iter().any(|reason| reason.contains(".wh..wh.")));
}

/// `a/b/c` as the directories that lead there and itself.
fn parents_of(path: &str) -> Vec<String> {
    let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
    ends.map(|end| format!("d {}", &path[..end])).collect()
}

fn gnu_long(name: &str) -> Vec<u8> {
    let content = format!("{name}\0");
    let size = i64::try_from(content.len()).expect("names are short");
    let long = Header { size, magic: *b"ustar  \0", ..Header::new(b'L', "././@LongLink") };
    new().entry(&long, content.as_bytes()).file("short", b"").finish()
}

fn both_names() -> Vec<u8> {
    let long = Header { size: 4, ..Header::new(b'L', "long") };
    new().entry(&long, b"gnu\0").pax(b'x', &[("path", b"pax")]).file("header", b"").finish()
}

/// A file of 1024 bytes whose header says another size.
fn pax_size(size: i64) -> Vec<u8> {
    new()
        .pax(b'x', &[("size", b"1024")])
        .entry(&Header { size, ..Header::new(b'0', "f") }, &[7; 1024])
        .file("after", b"")
        .finish()
}

#[test]
fn the_size_in_an_extended_header_decides() {
    for size in [0, 1, 4096] {
        let field = Field::new();
        let image = field.pull(vec![Layer::plain(pax_size(size))]).expect("this is allowed");
        let content = crate::store::file(&image, "f").expect("it is there");
        assert_eq!(content, [7; 1024], "the header says {size}");
    }
}
