//! Good archives with random damage: whatever comes of them, nothing else does.

use crate::archive::Archive;
use crate::field::Field;
use crate::random_input::{Dice, with_checksums};

/// L-120.
#[test]
fn damaged_layers_never_do_harm() {
    let field = Field::new();
    let good = Archive::new()
        .directory("d")
        .file("d/f", &[1; 700])
        .symlink("l", "d")
        .hard_link("h", "d/f")
        .pax(b'x', &[("path", b"p\xc3\xa4x"), ("mtime", b"12.5")])
        .file("x", b"12")
        .device(b'3', "null", (1, 3))
        .file("d/.wh.g", b"")
        .finish();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut random = |below: usize| dice.below(below);
    let mut accepted = 0;
    for round in 0..400 {
        let mut bytes = good.clone();
        for _ in 0..=random(4) {
            match random(3) {
                0 => {
                    let at = random(bytes.len());
                    bytes[at] ^= 1 << random(8);
                }
                1 => bytes.truncate(random(bytes.len()).max(1)),
                _ => {
                    let (a, b) = (random(bytes.len() / 512 + 1), random(bytes.len() / 512 + 1));
                    let block = bytes.get(a * 512..a * 512 + 512).map(<[u8]>::to_vec);
                    let at = (b * 512).min(bytes.len());
                    let copied = block.unwrap_or_default();
                    bytes.splice(at..at, copied);
                }
            }
        }
        let bytes = if random(2) == 1 { with_checksums(bytes) } else { bytes };
        match field.unpack(&bytes) {
            Ok(_) => accepted += 1,
            Err(told) => assert!(told.contains("cannot unpack layer"), "round {round}: {told}"),
        }
    }
    assert!((20..380).contains(&accepted), "{accepted} of 400 are accepted, so little is tried");
}
