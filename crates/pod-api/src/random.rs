//! Random bytes for identities.

use rustix::rand::{GetRandomFlags, getrandom};

/// Fills the buffer with random bytes (getrandom(2)).
///
/// # Panics
///
/// Never: getrandom(2) without flags fails only for invalid memory.
pub fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .expect("getrandom(2) without flags fails only for invalid memory");
    }
}

/// A container's id: 64 random hexadecimal digits.
pub fn container_id() -> String {
    let mut bytes = [0_u8; 32];
    fill(&mut bytes);
    hex(&bytes)
}

/// A random UUID (RFC 9562, version 4).
pub fn uid() -> String {
    let mut bytes = [0_u8; 16];
    fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = hex(&bytes);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Letters and digits that are not taken for one another and make no words, as Kubernetes has them.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The end of a name that begins with a `generateName`: five random letters and digits.
pub fn name_ending() -> String {
    let fair = u8::MAX - u8::MAX % 27; // bytes from here on would favor the first letters
    let mut ending = String::new();
    while ending.len() < 5 {
        let mut byte = [0];
        fill(&mut byte);
        if byte[0] < fair {
            ending.push(char::from(LETTERS[usize::from(byte[0] % 27)]));
        }
    }
    ending
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(u32::from(digit), 16)).collect()
}
