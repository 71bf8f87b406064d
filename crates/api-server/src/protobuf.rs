//! Bodies in protobuf, which new clients send where they have types: as JSON.
//!
//! Only what such clients send is known here: `create configmap`, `create secret` and the like.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use crate::respond::Failed;

/// What the bytes begin with.
const MAGIC: &[u8] = b"k8s\0";

/// How a field is written in JSON.
#[derive(Clone, Copy)]
enum Form {
    Text,
    Bytes,
    Number,
    Flag,
    Message(&'static [Field]),
    /// Entries of key (1) and value (2).
    TextMap,
    BytesMap,
    List(&'static [Field]),
    Texts,
}

type Field = (u64, &'static str, Form);

const OWNER: &[Field] = &[
    (5, "apiVersion", Form::Text),
    (1, "kind", Form::Text),
    (3, "name", Form::Text),
    (4, "uid", Form::Text),
    (6, "controller", Form::Flag),
    (7, "blockOwnerDeletion", Form::Flag),
];
const METADATA: &[Field] = &[
    (1, "name", Form::Text),
    (2, "generateName", Form::Text),
    (3, "namespace", Form::Text),
    (5, "uid", Form::Text),
    (6, "resourceVersion", Form::Text),
    (11, "labels", Form::TextMap),
    (12, "annotations", Form::TextMap),
    (13, "ownerReferences", Form::List(OWNER)),
    (14, "finalizers", Form::Texts),
];
const CONFIG_MAP: &[Field] = &[
    (1, "metadata", Form::Message(METADATA)),
    (2, "data", Form::TextMap),
    (3, "binaryData", Form::BytesMap),
    (4, "immutable", Form::Flag),
];
const SECRET: &[Field] = &[
    (1, "metadata", Form::Message(METADATA)),
    (2, "data", Form::BytesMap),
    (3, "type", Form::Text),
    (4, "stringData", Form::TextMap),
    (5, "immutable", Form::Flag),
];
const DELETE_OPTIONS: &[Field] = &[
    (1, "gracePeriodSeconds", Form::Number),
    (4, "propagationPolicy", Form::Text),
    (5, "dryRun", Form::Texts),
];

/// The JSON of a body, whichever of the two it is.
pub(crate) fn body(bytes: &[u8]) -> Result<Value, Failed> {
    let wrong = || Failed::bad_request("the body of the request cannot be read");
    match bytes.strip_prefix(MAGIC) {
        None => serde_json::from_slice(bytes).map_err(|error| {
            Failed::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
        }),
        Some(bytes) => unknown(bytes).ok_or_else(wrong)?,
    }
}

/// The wrapper: apiVersion and kind (1), the object (2).
fn unknown(bytes: &[u8]) -> Option<Result<Value, Failed>> {
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), [].as_slice());
    for (number, value) in fields(bytes)? {
        match (number, value) {
            (1, Wire::Bytes(meta)) => {
                for (number, value) in fields(meta)? {
                    match (number, value) {
                        (1, Wire::Bytes(text)) => version = text_of(text)?,
                        (2, Wire::Bytes(text)) => kind = text_of(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(object)) => raw = object,
            _ => {}
        }
    }
    let known = match kind.as_str() {
        "ConfigMap" => CONFIG_MAP,
        "Secret" => SECRET,
        "DeleteOptions" => DELETE_OPTIONS,
        _ => {
            let text = format!(
                "minipod reads a {kind} as JSON only: kubectl … --dry-run=client -o yaml | \
                 kubectl apply -f -"
            );
            return Some(Err(Failed::new(415, "UnsupportedMediaType", text)));
        }
    };
    let mut object = message(raw, known)?;
    object.insert("apiVersion".into(), version.into());
    object.insert("kind".into(), kind.into());
    Some(Ok(object.into()))
}

/// A value as the wire has it.
enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Wire<'_>)>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => Wire::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                Wire::Bytes(take(&mut bytes, length)?)
            }
            5 => Wire::Bytes(take(&mut bytes, 4)?),
            _ => return None,
        };
        found.push((tag >> 3, value));
    }
    Some(found)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

fn text_of(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

/// Fields that are empty were not set: Go writes all of them.
fn message(bytes: &[u8], known: &[Field]) -> Option<Map<String, Value>> {
    let mut object = Map::new();
    for (number, value) in fields(bytes)? {
        let Some((_, name, form)) = known.iter().find(|(known, ..)| *known == number) else {
            continue;
        };
        match (form, value) {
            (Form::Text, Wire::Bytes(text)) if !text.is_empty() => {
                object.insert((*name).into(), text_of(text)?.into());
            }
            (Form::Bytes, Wire::Bytes(bytes)) => {
                object.insert((*name).into(), BASE64_STANDARD.encode(bytes).into());
            }
            (Form::Number, Wire::Number(number)) => {
                object.insert((*name).into(), number.into());
            }
            (Form::Flag, Wire::Number(number)) => {
                object.insert((*name).into(), (number != 0).into());
            }
            (Form::Message(known), Wire::Bytes(bytes)) => {
                object.insert((*name).into(), message(bytes, known)?.into());
            }
            (Form::List(known), Wire::Bytes(bytes)) => {
                push(&mut object, name, message(bytes, known)?.into());
            }
            (Form::Texts, Wire::Bytes(bytes)) => push(&mut object, name, text_of(bytes)?.into()),
            (Form::TextMap | Form::BytesMap, Wire::Bytes(bytes)) => {
                let is_text = matches!(form, Form::TextMap);
                let value = if is_text { Form::Text } else { Form::Bytes };
                let entry = message(bytes, &[(1, "key", Form::Text), (2, "value", value)])?;
                let key = entry.get("key").and_then(Value::as_str).unwrap_or_default();
                let value = entry.get("value").cloned().unwrap_or_else(|| "".into());
                let map = object.entry(*name).or_insert_with(|| json!({}));
                map[key] = value;
            }
            _ => {}
        }
    }
    Some(object)
}

fn push(object: &mut Map<String, Value>, name: &str, value: Value) {
    let list = object.entry(name).or_insert_with(|| json!([]));
    if let Value::Array(list) = list {
        list.push(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[number << 3 | 2, length], content].concat()
    }

    #[test]
    fn a_config_map_from_go_is_read_and_what_is_empty_was_not_set() {
        let meta = [field(1, b"settings"), field(2, b""), field(3, b"default")].concat();
        let entry = [field(1, b"key"), field(2, b"value")].concat();
        let object = [field(1, &meta), field(2, &entry)].concat();
        let kind = [field(1, b"v1"), field(2, b"ConfigMap")].concat();
        let body_bytes = [MAGIC.to_vec(), field(1, &kind), field(2, &object)].concat();
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "default"}, "data": {"key": "value"},
        });
        assert_eq!(body(&body_bytes).unwrap(), wanted);
        for cut in 4..body_bytes.len() {
            let _ = body(&body_bytes[..cut]); // whatever it is, it is no panic
        }
        let kind = [field(1, b"v1"), field(2, b"Pod")].concat();
        let pod = [MAGIC.to_vec(), field(1, &kind)].concat();
        assert!(body(&pod).unwrap_err().is("UnsupportedMediaType"));
    }
}
