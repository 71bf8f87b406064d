//! Entry points for random bytes. None of them may panic or hang, whatever it is given; what must
//! hold beyond that is asserted. Used by `fuzz/` and by the tests.

use std::io::Read;

use reqwest::Url;

use crate::image_manifest::{Configuration, Document};
use crate::layer::{Entries, EntryKind, EntryPath, whiteout};
use crate::{Platform, Reference};

/// A reference that is accepted means the same when it is written out and read again, and in an
/// address it is nothing but a host and a path.
///
/// # Panics
///
/// When it does not.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(parsed) = Reference::parse(text) else { return };
    let written = parsed.to_string();
    let again = Reference::parse(&written).map(|again| again.to_string());
    assert_eq!(again.ok(), Some(written), "{text:?}");
    let path = format!("/v2/{}/manifests/{}", parsed.repository(), parsed.tag().unwrap_or("x"));
    if let Ok(url) = Url::parse(&format!("https://{}{path}", parsed.registry())) {
        assert_eq!(url.path(), path, "{text:?}");
        let has_more = url.query().is_some() || url.fragment().is_some();
        assert!(!has_more && url.username().is_empty(), "{text:?}");
    }
}

/// Manifests, indexes and configurations.
///
/// # Panics
///
/// When one is accepted with as many layers as it must not have.
pub fn manifest(bytes: &[u8]) {
    if let Ok(Document::Manifest(manifest)) = Document::parse(bytes, None, &Platform::host()) {
        assert!(manifest.layers.len() <= 500, "more layers than the kernel stacks");
    }
    let _ = Configuration::parse(bytes, 1); // it may be refused
}

/// An archive becomes entries whose names are safe, and whose contents end.
///
/// # Panics
///
/// When a name could lead out of the root.
pub fn plan(bytes: &[u8]) {
    let mut entries = Entries::new(bytes);
    let mut buffer = vec![0; 4096];
    while let Ok(Some(entry)) = entries.next_entry() {
        assert_safe(&entry.path);
        match &entry.kind {
            EntryKind::HardLink { target } => assert_safe(target),
            EntryKind::Symlink { target } => assert!(!target.is_empty() && !target.contains(&0)),
            EntryKind::Sparse(map) => {
                assert!(map.pieces.iter().all(|(offset, length)| offset + length <= map.size));
            }
            _ => {}
        }
        while entries.read_content(&mut buffer).is_ok_and(|count| count > 0) {}
    }
    let mut rest = Vec::new();
    let _ = entries.into_source().read_to_end(&mut rest); // bytes in memory can be read
}

/// A name is ordinary, or hides one name in its own directory.
///
/// # Panics
///
/// When it hides something else.
pub fn whiteouts(bytes: &[u8]) {
    let Ok(path) = EntryPath::clean(bytes) else { return };
    let Some((base, parents)) = path.0.split_last() else { return };
    match whiteout::name(parents, base) {
        Ok(whiteout::Name::Whiteout(hidden)) => assert_safe(&EntryPath(vec![hidden])),
        Ok(whiteout::Name::Ordinary) => assert!(!base.starts_with(whiteout::PREFIX)),
        Ok(whiteout::Name::Opaque | whiteout::Name::Ignored) | Err(_) => {}
    }
}

fn assert_safe(path: &EntryPath) {
    for name in &path.0 {
        let is_safe = !name.is_empty() && name != b"." && name != b"..";
        assert!(is_safe && !name.contains(&b'/') && !name.contains(&0), "{path:?}");
    }
}
