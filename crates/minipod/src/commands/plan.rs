//! `plan`: what would be done for a manifest.

use image_puller::{Reference, Store};
use pod_model::{Object, Pod};
use pod_runner::plan::{self, PlanInput, VolumeImages};
use pod_runner::{Objects, settings as node};
use serde_json::{Value, json};

use super::settings;
use crate::cli::{PlaceArgs, PlanArgs};
use crate::failure::Failure;
use crate::views::output;
use crate::{manifest, screen};

pub(crate) fn run(args: &PlaceArgs, plan: &PlanArgs) -> Result<(), Failure> {
    let objects = manifest::read(std::slice::from_ref(&plan.file), args, plan.manifest)?;
    let mut values = Vec::new();
    for object in objects {
        if let Object::Pod(pod) = object {
            let (text, value) = plan_pod(args, &pod)?;
            values.push(value);
            if plan.output != "json" {
                screen::answer(&text)?;
            }
        }
    }
    if plan.output == "json" {
        screen::answer(&output::json_text(&Value::Array(values)))?;
    }
    Ok(())
}

fn plan_pod(args: &PlaceArgs, pod: &Pod) -> Result<(String, Value), Failure> {
    let settings = settings(args);
    let places = &settings.places;
    let uid = if pod.uid.0.is_empty() { "UID" } else { &pod.uid.0 };
    let (dir, data) = (places.pod(&pod.namespace, pod.name.as_str()), places.pod_data(uid));
    let objects = Objects::new(places);
    let host_ip = node::host_address().to_string();
    let input = PlanInput {
        pod,
        dir: &dir,
        data: &data,
        pod_ips: &[],
        host_ip: &host_ip,
        node_name: &settings.node_name,
        objects: &objects,
        volume_images: &VolumeImages::new(),
    };
    let sandbox = plan::pod(&input);
    let mut text = format!("pod {}\n{}", pod.name, indented(&sandbox.to_string()));
    let mut containers = Vec::new();
    let store = Store::open(&places.images())?;
    for container in &pod.containers {
        let image = Reference::parse(&container.image).ok();
        let image = image.and_then(|reference| store.find(&reference).ok().flatten());
        let heading = format!("{:?} container {}", container.role, container.name).to_lowercase();
        text.push_str(&format!("{heading}\n  image       {}\n", container.image));
        let Some(image) = image else {
            text.push_str("  is not in the store: its command and user are known after a pull\n");
            containers
                .push(json!({ "name": container.name.to_string(), "image": container.image }));
            continue;
        };
        let plan = plan::container(&input, &image, &plan::first_start(&container.name))?;
        text.push_str(&indented(&plan.to_string()));
        containers.push(serde_json::to_value(&plan)?);
    }
    let value = json!({
        "pod": pod.name.to_string(),
        "sandbox": serde_json::to_value(&sandbox)?,
        "containers": containers,
    });
    Ok((text, value))
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}
