//! Why a file that is there cannot be run. The kernel answers `ENOENT` as well when the program that
//! a file needs is missing, and `ENOEXEC` for all that it does not know (execve(2)).

use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use nix::errno::Errno;

/// The kernel reads no more of a script's first line (`BINPRM_BUF_SIZE`).
const LINE: usize = 256;
/// Program headers and the name of the loader are at the beginning of every usual program.
const HEAD: u64 = 4096;
const PT_INTERP: u64 = 3;
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A sentence about the file; none if the error says all there is to say, or nothing can be read.
pub(super) fn reason(path: &str, errno: Errno) -> Option<String> {
    if !matches!(errno, Errno::ENOENT | Errno::ENOEXEC) {
        return None;
    }
    let head = head(path)?;
    let text = match (errno, head.strip_prefix(b"#!")) {
        (Errno::ENOENT, Some(line)) => missing_interpreter(line),
        (Errno::ENOENT, None) => format!("it needs {:?}, which does not exist", loader(&head)?),
        _ => unknown_format(&head),
    };
    Some(text)
}

/// The file may be anything by now: whoever is in the container can have changed it.
fn head(path: &str) -> Option<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    let mut head = Vec::new();
    let _ = file.take(HEAD).read_to_end(&mut head).ok()?;
    Some(head)
}

fn missing_interpreter(line: &[u8]) -> String {
    let line = &line[..line.len().min(LINE - 2)];
    let line = line.split(|byte| matches!(byte, b'\n' | 0)).next().unwrap_or_default();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let name = line[start..].split(is_blank).next().unwrap_or_default();
    let shown = String::from_utf8_lossy(name);
    if let Some(bare) = shown.strip_suffix('\r') {
        return format!(
            "its first line asks for the interpreter {bare:?} and ends with CRLF; save the file \
             with the line ends of Unix (LF)"
        );
    }
    if fs::metadata(&*shown).is_ok() {
        return format!("its interpreter {shown:?} needs a program that does not exist");
    }
    format!("its interpreter {shown:?} does not exist")
}

fn unknown_format(head: &[u8]) -> String {
    const FORMAT: &str = "exec format error";
    if head.is_empty() {
        return format!("{FORMAT}: the file is empty");
    }
    if head.strip_prefix(MARK).is_some_and(|rest| rest.starts_with(b"#!")) {
        return format!("{FORMAT}: there is a byte order mark before #!; save the file without it");
    }
    if head.starts_with(b"\x7fELF") {
        let own = std::env::consts::ARCH;
        return match machine(head) {
            Some(other) if other != own => {
                format!("{FORMAT}: it is a program for {other}, and this machine is {own}")
            }
            _ => format!("{FORMAT}: it is not a program that this kernel can run"),
        };
    }
    format!("{FORMAT}: it is no program, and does not begin with #! and an interpreter")
}

/// The processor of an ELF program (elf(5)), in Rust's words.
fn machine(head: &[u8]) -> Option<&'static str> {
    Some(match number(head, 18, 2)? {
        3 => "x86",
        8 => "mips",
        20 => "powerpc",
        21 => "powerpc64",
        22 => "s390x",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        258 => "loongarch64",
        _ => "another processor",
    })
}

/// The dynamic loader that an ELF program names.
fn loader(head: &[u8]) -> Option<String> {
    if !head.starts_with(b"\x7fELF") {
        return None;
    }
    let is_64 = *head.get(4)? == 2;
    let (word, at) = if is_64 { (8, [32, 54, 56]) } else { (4, [28, 42, 44]) };
    let table = usize::try_from(number(head, at[0], word)?).ok()?;
    let size = usize::try_from(number(head, at[1], 2)?).ok()?;
    let count = usize::try_from(number(head, at[2], 2)?).ok()?;
    let (offset, length) = if is_64 { (8, 32) } else { (4, 16) };
    let entries = (0..count.min(64)).filter_map(|index| table.checked_add(index * size));
    let entry = entries.into_iter().find(|entry| number(head, *entry, 4) == Some(PT_INTERP))?;
    let start = usize::try_from(number(head, entry.checked_add(offset)?, word)?).ok()?;
    let length = usize::try_from(number(head, entry.checked_add(length)?, word)?).ok()?;
    let name = head.get(start..start.checked_add(length)?)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(String::from_utf8_lossy(name).into_owned())
}

/// A number in the byte order that the header names.
fn number(head: &[u8], at: usize, length: usize) -> Option<u64> {
    let bytes = head.get(at..at.checked_add(length)?)?;
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    let is_big = head.get(5) == Some(&2);
    Some(if is_big { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(errno: Errno, content: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), content).unwrap();
        reason(&file.path().display().to_string(), errno).unwrap_or_default()
    }

    #[test]
    fn a_script_that_cannot_be_run_says_which_interpreter_is_missing() {
        let rows: [(&[u8], &str); 5] = [
            (b"#!/no/such/sh\necho\n", "its interpreter \"/no/such/sh\" does not exist"),
            (b"#! \t/no/such/sh -e\n", "its interpreter \"/no/such/sh\" does not exist"),
            (b"#!/bin/sh\r\necho\r\n", "\"/bin/sh\" and ends with CRLF"),
            (b"#!/proc\n", "its interpreter \"/proc\" needs a program that does not exist"),
            (b"#!/no\x1b[2J\n", "\"/no\\u{1b}[2J\""),
        ];
        for (content, expected) in rows {
            let found = told(Errno::ENOENT, content);
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn a_file_of_an_unknown_format_says_what_it_is() {
        let mut foreign = b"\x7fELF\x02\x01\x01".to_vec();
        foreign.resize(64, 0);
        foreign[18] = 21;
        let rows: [(&[u8], &str); 4] = [
            (b"", "the file is empty"),
            (b"echo hello\n", "does not begin with #!"),
            (b"\xef\xbb\xbf#!/bin/sh\n", "byte order mark"),
            (&foreign, "it is a program for powerpc64, and this machine is"),
        ];
        for (content, expected) in rows {
            let found = told(Errno::ENOEXEC, content);
            assert!(
                found.starts_with("exec format error: ") && found.contains(expected),
                "{found}"
            );
        }
    }

    #[test]
    fn a_program_whose_loader_is_missing_names_it() {
        let mut program = b"\x7fELF\x02\x01\x01".to_vec();
        program.resize(256, 0);
        program[32] = 64; // the table
        program[54] = 56;
        program[56] = 1;
        program[64] = 3; // PT_INTERP
        program[72] = 200;
        program[96] = 12;
        program[200..212].copy_from_slice(b"/lib/ld-x.so");
        let found = told(Errno::ENOENT, &program);
        assert_eq!(found, "it needs \"/lib/ld-x.so\", which does not exist");
        // Nothing can be read beyond the file.
        program[72..80].fill(0xff);
        assert_eq!(told(Errno::ENOENT, &program), "");
        assert_eq!(reason("/no/such/file", Errno::ENOENT), None);
        assert_eq!(reason("/proc/self/exe", Errno::EACCES), None);
    }
}
