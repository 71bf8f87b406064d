//! Layers that want more than anybody would give: each has a limit, and the failure names it.

use std::time::{Duration, Instant};

use image_puller::{Rule, Unwanted};

use crate::archive::{Archive, Header, gzip, zstd};
use crate::field::Field;
use crate::image::Layer;
use crate::store::Scratch;

const MIB: usize = 1 << 20;

fn refused(field: &Field, what: &str, layer: Layer, rule: Rule) {
    let started = Instant::now();
    let told = field.pull(vec![layer]).map(|_| ()).expect_err(what);
    assert!(told.contains(&rule.to_string()), "{what}: {told}");
    assert!(started.elapsed() < Duration::from_secs(20), "{what}: {:?}", started.elapsed());
    field.scratch.assert_empty(what);
}

#[test]
fn more_bytes_than_allowed_are_not_written() {
    let mut field = Field::new();
    field.scratch.limits.unpacked_bytes = 10 * MIB as u64;
    let zeros = vec![0; 11 * MIB];
    let one = Archive::new().file("bomb", &zeros).finish();
    let many = (0..11).fold(Archive::new(), |archive, number| {
        archive.file(format!("part{number}"), &zeros[..MIB])
    });
    let after = [Archive::new().file("f", b"").finish(), zeros.clone()].concat();
    let rows = [("one file", one), ("many files", many.finish()), ("after the end", after)];
    for (what, archive) in rows {
        let squeezed = gzip(&archive);
        assert!(squeezed.len() < archive.len() / 50, "{what} is a bomb");
        refused(&field, what, Layer::compressed(squeezed, &archive, "gzip"), Rule::TooLarge);
        refused(&field, what, Layer::compressed(zstd(&archive), &archive, "zstd"), Rule::TooLarge);
    }
}

#[test]
fn all_layers_together_have_a_limit_besides_their_own() {
    let zeros = vec![0; 4 * MIB];
    let layer = |name: &str| {
        let archive = Archive::new().file(name, &zeros).finish();
        Layer::compressed(gzip(&archive), &archive, "gzip")
    };
    let attributes = |name: &str| {
        let value = vec![b'v'; 3000];
        let records: [(&str, &[u8]); 1] = [("SCHILY.xattr.user.k", &value)];
        Layer::plain(Archive::new().pax(b'x', &records).file(name, &zeros).finish())
    };
    let mut field = Field::new();
    field.scratch.limits.image_bytes = 10 * MIB as u64;
    field.pull(vec![layer("a"), layer("b")]).expect("two are not too many");
    let rule = Rule::ImageTooLarge.to_string();
    let too_many = vec![layer("a"), layer("b"), layer("c")];
    let told = field.pull(too_many).map(|_| ()).expect_err("those that are here count, too");
    assert!(told.contains(&rule), "{told}");
    let mut field = Field::new();
    field.scratch.limits.image_bytes = 8 * MIB as u64 + 4000;
    let told = field.pull(vec![attributes("a"), attributes("b")]).map(|_| ());
    let told = told.expect_err("attributes count, too");
    assert!(told.contains(&rule), "{told}");
}

#[test]
fn a_size_that_only_the_header_has_is_refused_before_anything_is_written() {
    let field = Field::new();
    let header = Header { size: 1 << 40, ..Header::new(b'0', "huge") };
    let archive = Archive::new().entry(&header, b"").finish();
    field.refuse("a terabyte", &archive, "huge", Rule::TooLarge);
}

/// L-106.
#[test]
fn more_entries_than_allowed_are_not_made() {
    let mut field = Field::new();
    field.scratch.limits.entries = 1000;
    let files = (0..1001).fold(Archive::new(), |archive, n| archive.file(format!("f{n}"), b""));
    refused(&field, "files", Layer::plain(files.finish()), Rule::TooManyEntries);
    let deep = "d/".repeat(40);
    let implied =
        (0..30).fold(Archive::new(), |archive, n| archive.file(format!("{n}/{deep}f"), b""));
    refused(&field, "implied directories", Layer::plain(implied.finish()), Rule::TooManyEntries);
}

/// L-106, with the limit that everybody has. Entries for the root make nothing, so that this is
/// about counting alone.
#[test]
fn the_entry_after_two_millions_is_refused() {
    let field = Field::new();
    let entries = |count| (0..count).fold(Archive::new(), |archive, _| archive.directory("./"));
    let thousand = gzip(&entries(1000).unfinished());
    let last = gzip(&Archive::new().file("one-more", b"").finish());
    for (count, rule) in [(1999, None), (2000, Some(Rule::TooManyEntries))] {
        let blob = [thousand.repeat(count), last.clone()].concat();
        let told = field.pull(vec![Layer::compressed(blob, b"", "gzip")]).map(|_| ());
        let told = told.expect_err("the digest of what is in it is not given");
        match rule {
            Some(rule) => {
                assert!(told.contains("one-more") && told.contains(&rule.to_string()), "{told}");
            }
            None => assert!(told.contains("the image's configuration says"), "{told}"),
        }
        field.scratch.assert_empty(&told);
    }
}

#[test]
fn extended_headers_without_an_entry_do_not_go_on_for_ever() {
    let field = Field::new();
    for kind in [b'g', b'x'] {
        let archive =
            (0..100).fold(Archive::new(), |archive, _| archive.pax(kind, &[("comment", b"x")]));
        let layer = Layer::plain(archive.file("f", b"").finish());
        refused(&field, "headers", layer, Rule::TooManyExtendedHeaders);
    }
}

#[test]
fn attributes_of_directories_do_not_fill_the_memory() {
    let field = Field::new();
    let value = vec![b'x'; 1_000_000];
    let archive = (0..300).fold(Archive::new(), |archive, n| {
        archive.pax(b'x', &[("SCHILY.xattr.user.x", &value)]).directory(format!("d{n}"))
    });
    let archive = archive.finish();
    let layer = Layer::compressed(gzip(&archive), &archive, "gzip");
    refused(&field, "attributes", layer, Rule::DirectoriesTooLarge);
}

#[test]
fn attributes_count_as_bytes_that_are_written() {
    let mut field = Field::new();
    field.scratch.limits.unpacked_bytes = MIB as u64;
    let value = vec![b'x'; 60_000];
    let entries = |count| {
        let entry = |archive: Archive, n| {
            archive.pax(b'x', &[("SCHILY.xattr.user.x", &value)]).file(format!("f{n}"), b"")
        };
        Layer::plain((0..count).fold(Archive::new(), entry).finish())
    };
    field.pull(vec![entries(17)]).expect("this is less than a MiB");
    let mut field = Field::new();
    field.scratch.limits.unpacked_bytes = MIB as u64;
    refused(&field, "attributes", entries(18), Rule::TooLarge);
}

#[test]
fn attributes_without_number_take_neither_time_nor_memory() {
    let field = Field::new();
    let named = |range: std::ops::Range<usize>| -> Vec<String> {
        range.map(|n| format!("SCHILY.xattr.trusted.{n}")).collect()
    };
    let header = |archive: Archive, names: &[String]| {
        let records: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        archive.pax(b'x', &records)
    };
    // As many as one entry may have, each time with other names.
    let mut archive = Archive::new();
    for n in 0..50 {
        let names = named(n * 4000..(n + 1) * 4000);
        archive = header(archive, &names).file(format!("f{n}"), b"");
    }
    let archive = archive.finish();
    let started = Instant::now();
    let layer = Layer::compressed(gzip(&archive), &archive, "gzip");
    field.pull(vec![layer]).expect("they are left out");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let told = field.scratch.skipped();
    assert_eq!(told.len(), 101, "{told:?}");
    assert_eq!(told[100], "more of the kind");

    let archive = header(Archive::new(), &named(0..10_000)).file("f", b"").finish();
    refused(&Field::new(), "names", Layer::plain(archive), Rule::TooManyAttributes);
}

#[test]
fn a_very_deep_tree_is_made_and_removed() {
    let field = Field::new();
    let path = "d/".repeat(2000) + "f";
    let archive = Archive::new().pax(b'x', &[("path", path.as_bytes())]).file("f", b"").finish();
    field.pull(vec![Layer::plain(archive)]).expect("it has fewer than 4096 bytes");
    let store = field.scratch.store();
    let name = store.list().expect("it can be listed")[0].names[0].clone();
    store.remove(&image_puller::Reference::parse(&name).expect("it is one")).expect("it is there");
    store.prune(&Unwanted::Nameless, &[]).expect("no depth is too deep");
    field.scratch.assert_empty("pruned");
}

#[test]
fn replacing_one_of_many_directories_is_quick() {
    let field = Field::around(Scratch::in_memory());
    let mut archive = Archive::new();
    for number in 0..20_000 {
        archive = archive.directory(format!("d{number}"));
    }
    for number in 0..20_000 {
        archive = archive.file(format!("d{number}"), b"");
    }
    let started = Instant::now();
    field.pull(vec![Layer::plain(archive.finish())]).expect("the last one wins");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}
