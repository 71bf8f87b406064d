//! Good archives with random damage: whatever comes of them, nothing else does.

use crate::archive::Archive;
use crate::field::Field;

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
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 16).expect("it fits") % below
    };
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
        match field.unpack(&fixed(bytes, random(2))) {
            Ok(_) => accepted += 1,
            Err(told) => assert!(told.contains("cannot unpack layer"), "round {round}: {told}"),
        }
    }
    assert!((20..380).contains(&accepted), "{accepted} of 400 are accepted, so little is tried");
}

/// The archive with all checksums right, so that more than those is tried.
fn fixed(mut bytes: Vec<u8>, whether: usize) -> Vec<u8> {
    for block in bytes.chunks_exact_mut(512).filter(|block| &block[257..262] == b"ustar") {
        if whether == 1 {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    bytes
}
