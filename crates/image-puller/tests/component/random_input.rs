//! Random bytes for everything that reads bytes of strangers: the targets of `fuzz/`, each for a
//! few seconds, with damage to good input as a start. `fuzz/README.md` says how to go on longer.

use std::time::{Duration, Instant};

use image_puller::fuzzing;

use crate::archive::{Archive, Header};
use crate::image::TestImage;

const TIME: Duration = Duration::from_secs(2);

/// Numbers that are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("48 bits fit") % limit.max(1)
    }
}

/// Calls the target with good input, and with input that is damaged more and more.
fn for_a_while(seeds: &[Vec<u8>], words: &[&[u8]], target: impl Fn(&[u8])) {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut pool: Vec<Vec<u8>> = seeds.to_vec();
    seeds.iter().for_each(|seed| target(seed));
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        let mut bytes = pool[dice.below(pool.len())].clone();
        for _ in 0..=dice.below(3) {
            damage(&mut bytes, words, &mut dice);
        }
        target(&bytes);
        if dice.below(50) == 0 && bytes.len() < 100_000 {
            let place = dice.below(200);
            if place < pool.len() && place >= seeds.len() {
                pool[place] = bytes;
            } else {
                pool.push(bytes);
            }
        }
    }
}

fn damage(bytes: &mut Vec<u8>, words: &[&[u8]], dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    match dice.below(6) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 if at < bytes.len() => bytes[at] = u8::try_from(dice.below(256)).expect("a byte"),
        2 => bytes.truncate(at),
        3 => {
            let end = (at + dice.below(600)).min(bytes.len());
            bytes.drain(at..end);
        }
        4 => {
            let from = dice.below(bytes.len() + 1);
            let piece = bytes[from..(from + dice.below(600)).min(bytes.len())].to_vec();
            bytes.splice(at..at, piece);
        }
        _ => {
            let word = words[dice.below(words.len())].to_vec();
            let end = if dice.below(2) == 0 { at } else { (at + word.len()).min(bytes.len()) };
            bytes.splice(at..end, word);
        }
    }
}

#[test]
fn random_references_are_read_as_they_are_written_or_not_at_all() {
    let hex = "0e5574283393e5b2cf6a2a0c3a1d9c3d5c5d7a6bb4a7d6b4cbf1d7f2c8a9b0c1";
    let digest = format!("localhost:5000/a/b:tag@sha256:{hex}").into_bytes();
    let seeds =
        [b"busybox".to_vec(), b"docker.io/library/x:1".to_vec(), b"[::1]:5/x".to_vec(), digest];
    let words: [&[u8]; 9] = [b"/", b":", b"@", b"..", b"_", b"-", b"sha256:", b"A", b"localhost"];
    for_a_while(&seeds, &words, fuzzing::reference);
}

#[test]
fn random_manifests_never_do_harm() {
    let image = TestImage::of_size(10);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, image.manifest["config"]);
    let seeds = [image.manifest(), image.config, index.into_bytes()];
    let words: [&[u8]; 9] = [
        b"[",
        b"{",
        b"\"",
        b"null",
        b"-1",
        b"1e999",
        b"\"layers\":",
        b"\"manifests\":",
        b"sha512:",
    ];
    for_a_while(&seeds, &words, fuzzing::manifest);
}

/// Archives with all that the reader knows.
pub(crate) fn good_archives() -> Vec<Vec<u8>> {
    let long = Header { size: 5, magic: *b"ustar  \0", ..Header::new(b'L', "././@LongLink") };
    let sparse: [(&str, &[u8]); 2] = [("GNU.sparse.map", b"5,2"), ("GNU.sparse.size", b"9")];
    let mapped: [(&str, &[u8]); 3] =
        [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9")];
    let mut content = vec![0; 514];
    content[..6].copy_from_slice(b"1\n5\n2\n");
    vec![
        Archive::new().directory("d").file("d/f", &[1; 700]).symlink("l", "d").finish(),
        Archive::new().file("f", b"").hard_link("h", "f").device(b'3', "null", (1, 3)).finish(),
        Archive::new()
            .pax(b'x', &[("path", b"p\xc3\xa4x"), ("mtime", b"12.5")])
            .file("x", b"1")
            .finish(),
        Archive::new()
            .file("d/.wh.g", b"")
            .file(".wh..wh..opq", b"")
            .entry(&long, b"name\0")
            .finish(),
        Archive::new().pax(b'x', &sparse).file("s", b"12").finish(),
        Archive::new().pax(b'x', &mapped).file("s", &content).finish(),
    ]
}

/// The archive with all checksums right, so that more than those is tried.
pub(crate) fn with_checksums(mut bytes: Vec<u8>) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}

#[test]
fn random_archives_become_safe_entries_or_none() {
    let words: [&[u8]; 8] = [
        b"../",
        b"/",
        b"\0",
        b"7777777",
        b"\x80\0\0\0\xff\xff\xff\xff",
        b"30 path=",
        b"GNU.sparse.",
        b"SCHILY.xattr.",
    ];
    for_a_while(&good_archives(), &words, |bytes| {
        fuzzing::plan(bytes);
        fuzzing::plan(&with_checksums(bytes.to_vec()));
    });
}

#[test]
fn random_whiteouts_hide_one_name_or_nothing() {
    let seeds = [b"a/.wh.b".to_vec(), b".wh..wh..opq".to_vec(), b"a/.wh..wh.plnk/1".to_vec()];
    let words: [&[u8]; 6] = [b".wh.", b"..", b"/", b".", b"\0", b".wh..wh..opq"];
    for_a_while(&seeds, &words, fuzzing::whiteouts);
}
