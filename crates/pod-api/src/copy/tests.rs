use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

use super::receive::{Rules, receive};
use super::send::send;
use super::*;

fn here(dir: &TempDir, name: &str) -> Place {
    Place { dir: open_directory(dir.path()).unwrap(), name: name.into() }
}

fn sent(place: &Place) -> (Vec<u8>, Vec<Note>) {
    let (mut stream, mut notes) = (Vec::new(), Vec::new());
    send(place, &mut stream, &mut |note| notes.push(note)).unwrap();
    (stream, notes)
}

fn received(stream: &[u8], place: Place, rules: Rules) -> Vec<Note> {
    let mut notes = Vec::new();
    receive(|_| Ok(place), stream, rules, &mut |note| notes.push(note)).unwrap();
    notes
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_tree_arrives_as_it_was_in_a_container_and_without_privileges_on_the_host() {
    let source = TempDir::new().unwrap();
    let tree = source.path().join("tree");
    fs::create_dir_all(tree.join("deep/er")).unwrap();
    fs::write(tree.join("deep/er/file"), "content").unwrap();
    fs::write(tree.join(format!("{}\n", "long".repeat(50))), "").unwrap();
    fs::write(tree.join("tool"), vec![7; 300_000]).unwrap();
    fs::set_permissions(tree.join("tool"), fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("/etc/passwd", tree.join("link")).unwrap();
    nix::unistd::mkfifo(&tree.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (stream, notes) = sent(&here(&source, "tree"));
    assert_eq!(notes, [Note::Skipped("pipe".into(), "is neither file nor directory")]);

    let inside = TempDir::new().unwrap();
    assert_eq!(received(&stream, here(&inside, "new"), Rules::in_container(true)), []);
    let new = inside.path().join("new");
    assert_eq!(fs::read(new.join("deep/er/file")).unwrap(), b"content");
    assert_eq!(fs::read(new.join("tool")).unwrap(), vec![7; 300_000]);
    assert_eq!((mode(&new.join("tool")), mode(&new)), (0o4755, mode(&tree)));
    assert_eq!(fs::read_link(new.join("link")).unwrap(), Path::new("/etc/passwd"));
    let modified = |path: &Path| fs::metadata(path).unwrap().mtime();
    assert_eq!(modified(&new.join("deep")), modified(&tree.join("deep")));

    let outside = TempDir::new().unwrap();
    let notes = received(&stream, here(&outside, "new"), Rules::on_host());
    assert_eq!(notes, [Note::Link("new/link".into(), "/etc/passwd".into())]);
    assert_eq!(mode(&outside.path().join("new/tool")), 0o755);
    assert!(!outside.path().join("new/link").exists());
}

/// A stream as a hostile container would make it.
fn hostile(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut archive = Builder::new(Vec::new());
    for (kind, name, target) in entries {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o6777);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        let content = if *kind == EntryType::Regular { *target } else { "" };
        if *kind != EntryType::Regular {
            header.set_link_name_literal(target).unwrap();
        }
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn no_name_and_no_link_leads_out_of_the_destination() {
    use EntryType::{Block, Directory, Link, Regular, Symlink};
    let canary = TempDir::new().unwrap();
    let away = canary.path().to_str().unwrap().to_owned();
    let outside = TempDir::new().unwrap();
    // The user's directory has a link with a name that the container uses.
    fs::create_dir(outside.path().join("to")).unwrap();
    symlink(&away, outside.path().join("to/there")).unwrap();
    symlink(format!("{away}/new"), outside.path().join("to/file")).unwrap();
    let stream = hostile(&[
        (Directory, "top", ""),
        (Regular, "top/../../escaped", "x"),
        (Regular, "/etc/escaped", "x"),
        (Regular, "other/escaped", "x"),
        (Symlink, "top/link", &away),
        (Regular, "top/link/escaped", "x"),
        (Directory, "top/there", ""),
        (Regular, "top/there/escaped", "x"),
        (Link, "top/hard", "/etc/passwd"),
        (Block, "top/device", ""),
        (Regular, "top/file", "mine"),
        (Regular, "top/there", "mine"),
    ]);
    let notes = received(&stream, here(&outside, "to"), Rules::on_host());
    let to = outside.path().join("to");
    assert_eq!(fs::read_dir(canary.path()).unwrap().count(), 0, "{notes:?}");
    assert_eq!(fs::read_to_string(to.join("file")).unwrap(), "mine");
    assert!(to.join("file").symlink_metadata().unwrap().is_file(), "the link was replaced");
    assert_eq!(mode(&to.join("file")) & 0o7000, 0);
    assert!(!to.join("hard").exists() && !to.join("device").exists());
    assert_eq!(notes.len(), 9, "{notes:#?}");
    // In a container links are made, and not followed either.
    let inside = TempDir::new().unwrap();
    let notes = received(&stream, here(&inside, "to"), Rules::in_container(true));
    assert_eq!(fs::read_dir(canary.path()).unwrap().count(), 0, "{notes:?}");
}

#[test]
fn what_was_there_is_replaced_and_what_is_in_the_way_is_told() {
    let source = TempDir::new().unwrap();
    fs::create_dir(source.path().join("tree")).unwrap();
    fs::write(source.path().join("tree/a"), "new").unwrap();
    fs::write(source.path().join("tree/b"), "new").unwrap();
    let (stream, _) = sent(&here(&source, "tree"));
    let target = TempDir::new().unwrap();
    fs::create_dir_all(target.path().join("tree/a")).unwrap();
    nix::unistd::mkfifo(&target.path().join("tree/b"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let notes = received(&stream, here(&target, "tree"), Rules::in_container(true));
    assert_eq!(notes, [Note::Failed("tree/a".into(), "Is a directory".into())]);
    assert!(!fs::metadata(target.path().join("tree/b")).unwrap().file_type().is_fifo());
    // "." is a directory that exists.
    let notes = received(&stream, here(&target, "."), Rules::on_host());
    assert_eq!(notes, []);
    assert_eq!(fs::read_to_string(target.path().join("b")).unwrap(), "new");
}

#[test]
fn a_destination_that_exists_takes_files_in_and_another_becomes_their_name() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("existing")).unwrap();
    let name = |path: &str| {
        let place = destination(&dir.path().join(path), OsStr::new("f"));
        place.map(|place| place.name.into_string().unwrap())
    };
    assert_eq!(name("existing").unwrap(), "f");
    assert_eq!(name("existing/").unwrap(), "f");
    assert_eq!(name("new").unwrap(), "new");
    assert!(name("new/").is_err() && name("missing/new").is_err());
}
