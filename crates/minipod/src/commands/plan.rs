//! `plan`: what would be done for a manifest.

use image_puller::{Reference, Store};
use pod_api::Objects;
use pod_model::{ContainerSpec, Object, Pod, Role};
use pod_runner::plan::{self, Limits, PlanInput, VolumeImages};
use pod_runner::pod_network::host_address;
use serde_json::{Value, json};

use super::settings;
use crate::cli::{PlaceArgs, PlanArgs};
use crate::failure::{Failure, Kind};
use crate::views::{output, yaml};
use crate::{manifest, screen};

pub(crate) fn run(args: &PlaceArgs, plan: &PlanArgs) -> Result<(), Failure> {
    let known = ["text", "json", "yaml"];
    if !known.contains(&plan.output.as_str()) {
        let text = format!("unknown output format {:?}", plan.output);
        return Err(Failure::new(Kind::Usage, text).hint("text, json or yaml"));
    }
    let file = std::slice::from_ref(&plan.file);
    let objects = manifest::read(file, args, plan.manifest, manifest::NAMED)?;
    let mut values = Vec::new();
    for object in objects {
        if let Object::Pod(pod) = object {
            let (text, value) = plan_pod(args, &pod)?;
            values.push(value);
            if plan.output == "text" {
                screen::answer(&text)?;
            }
        }
    }
    match plan.output.as_str() {
        "json" => screen::answer(&output::json_text(&Value::Array(values))),
        "yaml" => screen::answer(&yaml::text(&Value::Array(values))),
        _ => Ok(()),
    }
}

fn plan_pod(args: &PlaceArgs, pod: &Pod) -> Result<(String, Value), Failure> {
    let settings = settings(args);
    let places = &settings.places;
    let uid = if pod.uid.0.is_empty() { "UID" } else { &pod.uid.0 };
    let (dir, data) = (places.pod(&pod.namespace, pod.name.as_str()), places.pod_data(uid));
    let objects = Objects::new(places);
    let host_ip = host_address().to_string();
    let input = PlanInput {
        pod,
        dir: &dir,
        data: &data,
        pod_ips: &[],
        host_ip: &host_ip,
        node_name: &settings.node_name,
        objects: &objects,
        seccomp_profiles: &places.seccomp_profiles(),
        app_armor: pod_runner::app_armor::support(),
        volume_images: &VolumeImages::new(),
    };
    let sandbox = plan::pod(&input);
    let mut text = format!("pod {}\n", pod.name);
    text.push_str(&indented(&format!(
        "namespace   {}\n{sandbox}{}order       {}\n",
        pod.namespace,
        limits(&plan::pod_limits(pod)),
        order(pod)
    )));
    let mut containers = Vec::new();
    let store = Store::open(&places.images())?;
    for container in &pod.containers {
        let (more, value) = plan_container(&input, &store, container)?;
        text.push_str(&more);
        containers.push(value);
    }
    let value = json!({
        "pod": pod.name.to_string(),
        "namespace": pod.namespace,
        "sandbox": serde_json::to_value(&sandbox)?,
        "containers": containers,
    });
    Ok((text, value))
}

fn plan_container(
    input: &PlanInput<'_>,
    store: &Store,
    container: &ContainerSpec,
) -> Result<(String, Value), Failure> {
    let role = format!("{:?}", container.role).to_lowercase();
    let mut value =
        json!({ "name": container.name.as_str(), "role": role, "image": container.image });
    let mut text = format!(
        "{role} container {}\n  image       {} (pull {:?})\n",
        container.name, container.image, container.pull_policy
    );
    text.push_str(&indented(&limits(&plan::limits(input.pod, &container.name))));
    let image = Reference::parse(&container.image).ok();
    let Some(image) = image.and_then(|reference| store.find(&reference).ok().flatten()) else {
        text.push_str("  is not in the store: its command and user are known after a pull\n");
        return Ok((text, value));
    };
    match plan::container(input, &image, &plan::first_start(&container.name)) {
        Ok(plan) => {
            text.push_str(&indented(&plan.to_string()));
            value["plan"] = serde_json::to_value(&plan)?;
        }
        Err(error) => {
            let reason = if error.is_configuration() {
                "CreateContainerConfigError"
            } else {
                "CreateContainerError"
            };
            text.push_str(&format!("  would wait  {reason}: {error}\n"));
            value["waiting"] = json!({ "reason": reason, "message": error.to_string() });
        }
    }
    Ok((text, value))
}

/// Init containers one after the other, then the main containers together.
fn order(pod: &Pod) -> String {
    let inits = pod.init_containers().map(|one| match one.role {
        Role::Sidecar => format!("{} (stays)", one.name),
        _ => one.name.to_string(),
    });
    let mains: Vec<&str> = pod.main_containers().map(|one| one.name.as_str()).collect();
    let steps: Vec<String> = inits.chain([mains.join(" + ")]).collect();
    steps.join(", then ")
}

/// What the container or the pod may use.
fn limits(limits: &Limits) -> String {
    let mut words = Vec::new();
    words.extend(limits.cpu_request_milli.map(|milli| format!("cpu {milli}m asked for")));
    words.extend(limits.cpu_limit_milli.map(|milli| format!("cpu at most {milli}m")));
    words.extend(limits.memory_max.map(|bytes| format!("memory at most {bytes} bytes")));
    words.extend(limits.pids_max.map(|count| format!("at most {count} processes")));
    if words.is_empty() { String::new() } else { format!("limits      {}\n", words.join(", ")) }
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["  ", line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use pod_model::{ParseOptions, Source};

    use super::*;
    use crate::cli::Cli;

    const MANIFEST: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: dev}
spec:
  hostIPC: true
  shareProcessNamespace: true
  initContainers:
  - {name: setup, image: 'example/setup:1'}
  - {name: proxy, image: 'example/proxy:1', restartPolicy: Always}
  containers:
  - {name: web, image: example/web, resources: {limits: {cpu: 500m, memory: 64Mi}}}
  - {name: log, image: 'example/log:1'}
";

    #[test]
    fn a_plan_is_made_without_root_and_without_the_images() {
        let source = Source { name: "web.yaml", text: MANIFEST };
        let manifest = pod_model::parse(&source, &ParseOptions::default()).unwrap();
        let Object::Pod(pod) = &manifest.objects[0] else { panic!("no pod") };
        let directory = tempfile::tempdir().unwrap();
        let below = directory.path().display().to_string();
        let arguments = [
            "minipod",
            "version",
            "--state-dir",
            &below,
            "--data-dir",
            &below,
            "--log-dir",
            &below,
        ];
        let places = Cli::try_parse_from(arguments).unwrap().places;
        let (text, value) = plan_pod(&places, pod).unwrap();
        insta::assert_snapshot!(text, @r"
        pod web
          namespace   dev
          hostname    web
          network     the pod's own
          ipc         the host's
          uts         the pod's own
          pid         the pod's own
          sysctl      net.ipv4.ip_unprivileged_port_start=0
          sysctl      net.ipv4.ping_group_range=0 2147483647
          limits      cpu 500m asked for
          order       setup, then proxy (stays), then web + log
        init container setup
          image       example/setup:1 (pull IfNotPresent)
          limits      at most 4096 processes
          is not in the store: its command and user are known after a pull
        sidecar container proxy
          image       example/proxy:1 (pull IfNotPresent)
          limits      at most 4096 processes
          is not in the store: its command and user are known after a pull
        main container web
          image       example/web (pull Always)
          limits      cpu 500m asked for, cpu at most 500m, memory at most 67108864 bytes, at most 4096 processes
          is not in the store: its command and user are known after a pull
        main container log
          image       example/log:1 (pull IfNotPresent)
          limits      at most 4096 processes
          is not in the store: its command and user are known after a pull
        ");
        assert_eq!(value["containers"][1]["role"], "sidecar");
    }
}
