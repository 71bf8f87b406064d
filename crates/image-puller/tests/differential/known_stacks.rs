//! Stacks of layers that are known to be told apart only by what is below, and large ones.

#![expect(clippy::too_many_lines, reason = "a table has as many lines as cases")]

use crate::Test;
use crate::item::{Item, What, archive};
use crate::listing::differences;
use crate::model::{Links, Model};
use crate::side_by_side::Bench;

pub(crate) const TESTS: &[Test] = &[
    (
        "five_hundred_layers_look_as_if_they_were_applied_in_order",
        five_hundred_layers_look_as_if_they_were_applied_in_order,
    ),
    (
        "stacks_that_umoci_takes_otherwise_look_as_if_they_were_applied_in_order",
        stacks_that_umoci_takes_otherwise_look_as_if_they_were_applied_in_order,
    ),
];

pub(crate) const TESTS_WITH_UMOCI: &[Test] = &[
    (
        "layers_that_change_what_is_below_look_as_umoci_unpacks_them",
        layers_that_change_what_is_below_look_as_umoci_unpacks_them,
    ),
    (
        "sparse_files_of_gnu_tar_look_as_umoci_unpacks_them",
        sparse_files_of_gnu_tar_look_as_umoci_unpacks_them,
    ),
];

fn file(path: &str) -> Item {
    Item::new(path, What::File(path.as_bytes().to_vec()))
}

fn directory(path: &str) -> Item {
    Item::new(path, What::Directory)
}

fn symlink(path: &str, target: &str) -> Item {
    Item::new(path, What::Symlink(target.as_bytes().to_vec()))
}

fn hard_link(path: &str, target: &str) -> Item {
    Item::new(path, What::HardLink(target.as_bytes().to_vec()))
}

/// A whiteout for what is at a path.
fn hide(path: &str) -> Item {
    Item::new(path, What::Whiteout)
}

/// A marker that makes a directory opaque.
fn clear(path: &str) -> Item {
    Item::new(path, What::Opaque)
}

fn listing(stack: &[Vec<Item>], links: Links) -> crate::listing::Listing {
    let mut model = Model::new(links);
    for layer in stack {
        for item in layer {
            model.apply(item).expect("it is a good stack");
        }
        model.next_layer();
    }
    model.listing()
}

fn five_hundred_layers_look_as_if_they_were_applied_in_order() {
    let layer = |number: usize| match number % 5 {
        0 => {
            vec![directory(&format!("d{number}")).with(0o1777, 7, 5), file(&format!("d{number}/f"))]
        }
        1 => vec![file(&format!("d{}/g", number - 1))],
        2 => vec![Item::new(&format!("d{}/f", number - 2), What::Whiteout)],
        3 => vec![symlink(&format!("l{number}"), &format!("d{}", number - 3))],
        _ => vec![file(&format!("l{}/h", number - 1))],
    };
    let stack: Vec<Vec<Item>> = (0..500).map(layer).collect();
    let bench = Bench::new(stack.iter().map(|layer| archive(layer)).collect());
    let found = bench.ours().expect("as many can be stacked");
    let told = differences(&listing(&stack, Links::CopiedUp), &found);
    assert!(told.is_empty(), "{}", told.join("\n"));
}

fn layers_that_change_what_is_below_look_as_umoci_unpacks_them() {
    let usr = || {
        vec![
            directory("usr"),
            directory("usr/lib").with(0o711, 3, 9),
            symlink("lib", "usr/lib"),
            file("usr/lib/a"),
        ]
    };
    let rows = [
        ("L-101 a file through a link below", vec![usr(), vec![file("lib/b")]]),
        ("a link replaced by a directory", vec![usr(), vec![directory("lib"), file("lib/b")]]),
        (
            "first through the link, then replacing it",
            vec![usr(), vec![file("lib/b"), directory("lib")]],
        ),
        (
            "first through the link, then a file in its place",
            vec![usr(), vec![file("lib/b"), file("lib")]],
        ),
        ("a whiteout through a link below", vec![usr(), vec![hide("lib/a")]]),
        (
            "an opaque directory through a link below",
            vec![usr(), vec![clear("lib"), file("lib/b")]],
        ),
        (
            "a whiteout in a directory that is new",
            vec![usr(), vec![directory("new"), hide("new/f")]],
        ),
        ("a directory made only to be opaque in an opaque root", vec![vec![clear("a"), clear("")]]),
        (
            "a directory made only to be opaque in one that is hidden",
            vec![vec![clear("a/b"), hide("a")]],
        ),
        (
            "through a link to the root, a directory that replaces the link",
            vec![vec![symlink("b", "/")], vec![file("b/f"), directory("b/b"), file("b/g")]],
        ),
        ("an opaque root", vec![usr(), vec![clear(""), file("b")]]),
        (
            "a parent that is only implied",
            vec![vec![directory("t").with(0o1777, 5, 7)], vec![file("t/f")]],
        ),
        (
            "and implied twice",
            vec![vec![directory("t").with(0o1777, 5, 7)], vec![file("t/f")], vec![file("t/g")]],
        ),
        (
            "a root of its own",
            vec![vec![directory("").with(0o700, 5, 7), file("f")], vec![file("g")]],
        ),
        ("a hard link to a layer below", vec![usr(), vec![hard_link("h", "lib/a")]]),
        ("a hard link to a link below", vec![usr(), vec![hard_link("h", "lib")]]),
        (
            "a hard link to a layer below, through a link of its own layer",
            vec![usr(), vec![symlink("l", "usr/lib"), hard_link("h", "l/a")]],
        ),
        (
            "a file that replaces a linked one",
            vec![vec![file("f"), hard_link("g", "f")], vec![file("g")]],
        ),
        (
            "a link that leads over a missing name",
            vec![vec![symlink("l", "no/../yes")], vec![file("l/f")]],
        ),
    ];
    for (what, stack) in rows {
        let bench = Bench::new(stack.iter().map(|layer| archive(layer)).collect());
        check_ours(what, &stack, &bench);
        let told = differences(&listing(&stack, Links::Shared), &bench.umoci());
        assert!(told.is_empty(), "{what}, umoci: {}", told.join("\n"));
    }
}

/// Umoci makes no directories for what only hides something (containerd does), and it removes what
/// a hard link replaces before it looks for the target.
fn stacks_that_umoci_takes_otherwise_look_as_if_they_were_applied_in_order() {
    let rows = [
        ("one made opaque, and a whiteout in it", vec![vec![clear("a"), hide("a/b/c"), hide("a")]]),
        ("a whiteout twice, and one within", vec![vec![hide("a"), hide("a/b"), hide("a")]]),
        (
            "a whiteout, then one within what a layer below made opaque",
            vec![vec![clear("a/a")], vec![hide("a"), hide("a/a/a")]],
        ),
        (
            "a whiteout within what a layer below made opaque, then one for all of it",
            vec![vec![clear("a/a")], vec![hide("a/a/a"), hide("a")]],
        ),
        (
            "a hard link to itself and a layer below",
            vec![vec![file("f"), hard_link("g", "f")], vec![hard_link("g", "g")]],
        ),
        (
            "a hard link in place of the directory through which its target was found",
            vec![vec![file("f")], vec![symlink("d/l", "/"), hard_link("d", "d/l/f")]],
        ),
        (
            "a way through a hard link to a link of the layer below, where a file was before",
            vec![vec![symlink("l", "/")], vec![file("a"), hard_link("a", "l"), directory("a/a")]],
        ),
    ];
    for (what, stack) in rows {
        let bench = Bench::new(stack.iter().map(|layer| archive(layer)).collect());
        check_ours(what, &stack, &bench);
    }
}

fn check_ours(what: &str, stack: &[Vec<Item>], bench: &Bench) {
    let ours = bench.ours().unwrap_or_else(|told| panic!("{what}: {told}"));
    let told = differences(&listing(stack, Links::CopiedUp), &ours);
    assert!(told.is_empty(), "{what}, ours: {}", told.join("\n"));
}

fn sparse_files_of_gnu_tar_look_as_umoci_unpacks_them() {
    let scratch = tempfile::tempdir().expect("there is room for temporary files");
    let path = scratch.path().join("holes");
    let file = std::fs::File::create(&path).expect("it is new");
    for (offset, piece) in [(0, "start"), (1 << 20, "middle"), ((2 << 20) - 3, "end")] {
        std::os::unix::fs::FileExt::write_all_at(&file, piece.as_bytes(), offset).expect("ours");
    }
    file.set_len(3 << 20).expect("it is ours");
    for version in ["0.0", "0.1", "1.0"] {
        let done = std::process::Command::new("tar")
            .args(["-c", "--format=pax", "--sparse", "--sparse-version", version, "-C"])
            .arg(scratch.path())
            .args(["--owner=7", "--group=8", "holes"])
            .output()
            .expect("there is tar");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert!(done.stdout.len() < 1 << 20, "{version}: it was packed with its holes");
        let bench = Bench::new(vec![done.stdout]);
        let ours = bench.ours().unwrap_or_else(|told| panic!("{version}: {told}"));
        let told = differences(&bench.umoci(), &ours);
        let told: Vec<_> = told.iter().filter(|line| !line.starts_with("/ has the time")).collect();
        assert!(told.is_empty(), "{version}: {told:?}");
    }
}
