//! `images`, `load`, `rmi`, `pull`: the image store.

use image_puller::{PullOptions, Puller, Reference, Store};

use super::places;
use super::pull_progress::PullProgress;
use crate::cli::{ImagesArgs, LoadArgs, PlaceArgs, PullArgs, RmiArgs};
use crate::failure::{Failure, Kind, near_match};
use crate::screen;
use crate::views::table;

pub(crate) fn list(args: &PlaceArgs, images: &ImagesArgs) -> Result<(), Failure> {
    let found = Store::open(&places(args).images())?.list()?;
    if images.output == "json" {
        let values: Vec<serde_json::Value> = found
            .iter()
            .map(|image| {
                serde_json::json!({
                    "id": image.id.to_string(),
                    "names": image.names,
                    "size": image.size,
                })
            })
            .collect();
        return screen::answer(&crate::views::output::json_text(&values.into()));
    }
    if found.is_empty() {
        screen::narrate(
            "There are no images; minipod pull NAME or minipod load -i FILE brings one.\n",
        );
        return Ok(());
    }
    let rows: Vec<Vec<String>> = found
        .iter()
        .flat_map(|image| {
            let id: String = image.id.to_string().chars().skip("sha256:".len()).take(12).collect();
            image.names.iter().map(move |name| {
                let (name, tag) = split(name);
                vec![name, tag, id.clone(), size(image.size)]
            })
        })
        .collect();
    screen::answer(&table::render(Some(&["REPOSITORY", "TAG", "IMAGE ID", "SIZE"]), &rows))
}

fn split(name: &str) -> (String, String) {
    match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (name.to_owned(), "<none>".to_owned()),
    }
}

/// Bytes as people read them.
fn size(bytes: u64) -> String {
    let mut tenths = bytes.saturating_mul(10);
    for unit in ["B", "kB", "MB", "GB"] {
        if tenths < 10_000 {
            let text = format!("{}.{}{unit}", tenths / 10, tenths % 10);
            return text.replace(".0", "");
        }
        tenths /= 1000;
    }
    format!("{}TB", tenths / 10)
}

pub(crate) fn load(args: &PlaceArgs, load: &LoadArgs) -> Result<(), Failure> {
    let store = Store::open(&places(args).images())?;
    for input in &load.input {
        let names = store
            .load(input, &())
            .map_err(|error| Failure::of(Kind::Failed, &error).maybe_hint(error.hint()))?;
        for name in names.iter().filter(|_| !load.quiet) {
            screen::answer(&format!("Loaded image: {name}\n"))?;
        }
    }
    Ok(())
}

pub(crate) fn remove(args: &PlaceArgs, rmi: &RmiArgs) -> Result<(), Failure> {
    let store = Store::open(&places(args).images())?;
    for image in &rmi.image {
        let reference = reference(image)?;
        if store.find(&reference)?.is_none() {
            return Err(not_found(&store, image));
        }
        store.remove(&reference)?;
        screen::answer(&format!("Untagged: {reference}\n"))?;
    }
    Ok(())
}

fn not_found(store: &Store, image: &str) -> Failure {
    let known = store.list().unwrap_or_default();
    let names: Vec<&str> =
        known.iter().flat_map(|image| &image.names).map(String::as_str).collect();
    let near = near_match(&format!("docker.io/{image}"), names.iter().copied());
    Failure::new(Kind::NotFound, format!("there is no image {image:?} in the store"))
        .maybe_hint(near.map(|near| format!("did you mean {near}?")))
}

fn reference(text: &str) -> Result<Reference, Failure> {
    Reference::parse(text).map_err(|error| Failure::of(Kind::Usage, &error))
}

pub(crate) fn pull(args: &PlaceArgs, pull: &PullArgs) -> Result<(), Failure> {
    for image in &pull.image {
        let reference = reference(image)?;
        let store = Store::open(&places(args).images())?;
        let puller = Puller::new(store, PullOptions::from_environment()?);
        let progress = PullProgress::new(&reference, pull.quiet);
        let pulled = puller.pull(&reference, &progress);
        progress.finish();
        let pulled =
            pulled.map_err(|error| Failure::of(Kind::Failed, &error).maybe_hint(error.hint()))?;
        if !pull.quiet {
            let id = &pulled.image.manifest_digest;
            screen::answer(&format!("{reference} {id} {}\n", size(pulled.image.size)))?;
        }
    }
    Ok(())
}
