//! What `docker load` of any age reads: a configuration and uncompressed layers per image, and
//! `manifest.json` that names them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufReader;

use serde_json::{Value, json};

use crate::digest::{Digest, HashingReader};
use crate::image_manifest::Descriptor;
use crate::layer::Decoder;
use crate::reference::Reference;
use crate::store::Store;

use super::target::{Failure, Target};
use super::{Saved, drain, require};

pub(super) fn write(
    store: &Store,
    images: &[Saved],
    target: &mut Target<'_>,
) -> Result<(), Failure> {
    let items: Vec<Value> = images.iter().map(item).collect();
    target.document("manifest.json", json!(items).to_string().as_bytes())?;
    let mut written: BTreeSet<String> = BTreeSet::new();
    for image in images {
        let name = config_name(&image.manifest.config.digest);
        if written.insert(name.clone()) {
            target.document(&name, &image.config_bytes)?;
        }
        for (blob, diff_id) in image.manifest.layers.iter().zip(&image.configuration.diff_ids) {
            let name = layer_name(diff_id);
            if written.insert(name.clone()) {
                write_layer(store, (blob, diff_id), &name, target)?;
            }
        }
    }
    Ok(())
}

fn item(image: &Saved) -> Value {
    let tagged = |name: &&Reference| name.digest().is_none();
    let names: Vec<String> = image.names.iter().filter(tagged).map(ToString::to_string).collect();
    let layers: Vec<String> = image.configuration.diff_ids.iter().map(layer_name).collect();
    json!({
        "Config": config_name(&image.manifest.config.digest),
        "RepoTags": names,
        "Layers": layers,
    })
}

fn config_name(digest: &Digest) -> String {
    format!("{}.json", digest.hex())
}

fn layer_name(diff_id: &Digest) -> String {
    format!("{}.tar", diff_id.hex())
}

/// Uncompresses a layer twice: an archive wants to know the size before the content.
fn write_layer(
    store: &Store,
    (blob, diff_id): (&Descriptor, &Digest),
    name: &str,
    target: &mut Target<'_>,
) -> Result<(), Failure> {
    let read = |source| Failure::Read { digest: blob.digest.clone(), source };
    let mut reader = plain(store, blob)?;
    let size = drain(&mut reader).map_err(read)?;
    require(diff_id, &reader.finish().0)?;
    target.file(name, size, (&blob.digest, &mut plain(store, blob)?))
}

type Plain = HashingReader<Decoder<BufReader<File>>>;

fn plain(store: &Store, blob: &Descriptor) -> Result<Plain, Failure> {
    let file = BufReader::with_capacity(256 * 1024, store.open_blob(blob)?);
    let decoder = Decoder::new(file)
        .map_err(|source| Failure::Read { digest: blob.digest.clone(), source })?;
    Ok(HashingReader::new(decoder))
}
