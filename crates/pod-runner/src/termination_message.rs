//! What a container leaves as its last words (`terminationMessagePath`).

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use pod_lifecycle::Instance;
use rustix::fs::OFlags;

use crate::linux_host::Context;
use crate::plan;
use pod_api::log_directory::{self, LogDirectory};

/// The most that is read of the file, from its end (Kubernetes: 4096 bytes).
const MOST_FROM_FILE: u64 = 4096;
/// The most that is taken from the log (Kubernetes: 2048 bytes or 80 lines).
const MOST_FROM_LOG: u64 = 2048;
const MOST_LINES: usize = 80;
/// What all containers of a pod share in its status (Kubernetes: 12 KiB).
const MOST_IN_STATUS: usize = 12 * 1024;

/// Creates the empty file that the container finds at its path, writable for every user in it.
pub(crate) fn create(context: &Context, instance: &Instance) -> io::Result<()> {
    let path = context.data.termination_message(instance.name.as_str(), instance.attempt.0);
    File::create(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
}

/// The message of a container that has ended, if it left one.
pub(crate) fn read(context: &Context, instance: &Instance, exit_code: i32) -> Option<String> {
    let (name, attempt) = (instance.name.as_str(), instance.attempt.0);
    let path = context.data.termination_message(name, attempt);
    let mut message = open(&path).and_then(|file| end_of(file, MOST_FROM_FILE)).unwrap_or_default();
    let falls_back = plan::falls_back_to_logs(&context.pod, name);
    if message.is_empty() && exit_code != 0 && falls_back {
        message = end_of_log(&context.logs.file(name, attempt));
    }
    let share = MOST_IN_STATUS / context.pod.containers.len().max(1);
    let mut text = String::from_utf8_lossy(&message).into_owned();
    while text.len() > share {
        text.pop();
    }
    (!text.is_empty()).then_some(text)
}

/// Only a regular file is read: the container could have put anything into its place, were it not a
/// mount.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(file)
}

/// The last bytes of a file.
fn end_of(mut file: File, most: u64) -> io::Result<Vec<u8>> {
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn end_of_log(path: &Path) -> Vec<u8> {
    let file = LogDirectory::of(path).and_then(|one| one.read_from(&log_directory::name_of(path)));
    let raw = file.and_then(|file| end_of(file, 64 * 1024)).unwrap_or_default();
    let lines: Vec<&[u8]> =
        raw.split(|byte| *byte == b'\n').filter(|one| !one.is_empty()).collect();
    let mut text = Vec::new();
    for line in &lines[lines.len().saturating_sub(MOST_LINES)..] {
        let mut words = line.splitn(4, |byte| *byte == b' ').skip(2);
        let (tag, content) = (words.next(), words.next().unwrap_or_default());
        text.extend_from_slice(content);
        if tag == Some(b"F") {
            text.push(b'\n'); // a part of a line is followed by the rest of it
        }
    }
    let most = usize::try_from(MOST_FROM_LOG).unwrap_or(usize::MAX);
    text.split_off(text.len().saturating_sub(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pod_api::logs::{ContainerLog, Stream};

    fn last_words(pieces: &[&[u8]]) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = ContainerLog::create(&path).unwrap();
        for piece in pieces {
            log.write(Stream::Stderr, piece, jiff::Timestamp::UNIX_EPOCH).unwrap();
        }
        log.finish(jiff::Timestamp::UNIX_EPOCH).unwrap();
        String::from_utf8(end_of_log(&path)).unwrap()
    }

    #[test]
    fn the_log_gives_its_last_eighty_lines() {
        let lines: Vec<String> = (0..100).map(|number| format!("line {number}\n")).collect();
        let lines: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let text = last_words(&lines);
        assert_eq!(text.lines().count(), 80);
        assert!(text.starts_with("line 20\n") && text.ends_with("line 99\n"), "{text}");
    }

    #[test]
    fn the_log_gives_no_more_than_its_last_two_kilobytes() {
        let text = last_words(&[&[b'a'; 20_000], b"bc\n"]);
        assert_eq!(text.len(), 2048);
        assert!(text.ends_with("aabc\n"), "the parts of a long line belong together");
    }

    #[test]
    fn the_file_gives_its_last_four_kilobytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("message");
        fs::write(&path, [[b'a'; 3000], [b'b'; 3000]].concat()).unwrap();
        let text = end_of(open(&path).unwrap(), MOST_FROM_FILE).unwrap();
        assert_eq!((text.len(), text[0], text[4095]), (4096, b'a', b'b'));
    }
}
