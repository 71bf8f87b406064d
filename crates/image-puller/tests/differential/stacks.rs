//! Random stacks of small layers, made to meet each other: few names, many kinds.

use proptest::prelude::*;
use proptest::sample::select;

use crate::item::{Attributes, Item, What};
use crate::model::{Links, Model};

const LONG: [u8; 255] = [b'n'; 255];

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => select(vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]),
        1 => select(vec![b"\xff\xfe".to_vec(), b"new\nline".to_vec(), LONG.to_vec()]),
    ]
}

fn path() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(name(), 1..4).prop_map(|names| names.join(&b'/'))
}

fn target() -> impl Strategy<Value = Vec<u8>> {
    let odd = ["/", "..", "../..", "../../../c", "/a/b", "a/../b", "/b/./c", "../a", "c/"];
    prop_oneof![
        1 => path(),
        2 => select(odd.to_vec()).prop_map(|target| target.as_bytes().to_vec()),
    ]
}

fn what() -> impl Strategy<Value = What> {
    prop_oneof![
        5 => Just(What::Directory),
        5 => prop::collection::vec(any::<u8>(), 0..6).prop_map(What::File),
        3 => target().prop_map(What::Symlink),
        3 => path().prop_map(What::HardLink),
        1 => Just(What::Device(1, 3)),
        1 => Just(What::Fifo),
        3 => Just(What::Whiteout),
        1 => Just(What::Opaque),
    ]
}

fn attributes() -> impl Strategy<Value = Attributes> {
    let modes = select(vec![0o755, 0o644, 0, 0o4755, 0o2711, 0o1777, 0o7777, 0o200]);
    let owner = || select(vec![0, 0, 1000, 65534, 1 << 31, u32::MAX - 1]);
    let seconds = select(vec![0, 1_700_000_000, -100, -1, 1 << 33]);
    let nanoseconds = select(vec![0, 1, 123_456_789, 999_999_999]);
    let value = prop::collection::vec(any::<u8>(), 1..5);
    (modes, owner(), owner(), (seconds, nanoseconds), prop::option::of(value)).prop_map(
        |(mode, uid, gid, modified, value)| {
            let xattrs = value.map(|value| ("user.a".to_owned(), value)).into_iter().collect();
            Attributes { mode, uid, gid, modified: Some(modified), xattrs }
        },
    )
}

fn item() -> impl Strategy<Value = Item> {
    (path(), what(), attributes(), 0..20).prop_map(|(path, what, mut attributes, root)| {
        // Only files and directories can have attributes of users (xattr(7)).
        if !matches!(what, What::File(_) | What::Directory) {
            attributes.xattrs.clear();
        }
        let is_root = root == 0 && matches!(what, What::Directory | What::Opaque);
        Item { path: if is_root { Vec::new() } else { path }, what, attributes }
    })
}

/// Layers, bottom to top. Whiteouts come first in each, as the specification asks of writers; those
/// that hide what the same layer has linked to can only come after it.
pub(crate) fn stack() -> impl Strategy<Value = Vec<Vec<Item>>> {
    let items = prop::collection::vec((item(), any::<bool>()), 0..9);
    let layer = items.prop_map(|items| {
        let hidden = |(item, is_hidden): &(Item, bool)| match &item.what {
            What::HardLink(target) if *is_hidden => {
                Some(Item { path: target.clone(), what: What::Whiteout, ..item.clone() })
            }
            _ => None,
        };
        let hidden: Vec<Item> = items.iter().filter_map(hidden).collect();
        let mut items: Vec<Item> = items.into_iter().map(|(item, _)| item).collect();
        items.sort_by_key(|item| !matches!(item.what, What::Whiteout | What::Opaque));
        items.extend(hidden);
        items
    });
    prop::collection::vec(layer, 1..6)
}

/// The stack without the entries that would be refused.
pub(crate) fn acceptable(stack: &[Vec<Item>]) -> Vec<Vec<Item>> {
    let mut model = Model::new(Links::CopiedUp);
    let mut layers = Vec::new();
    for layer in stack {
        let mut kept = Vec::new();
        for item in layer {
            let mut tried = model.clone();
            if tried.apply(item).is_ok() {
                model = tried;
                kept.push(item.clone());
            }
        }
        model.next_layer();
        layers.push(kept);
    }
    layers
}
