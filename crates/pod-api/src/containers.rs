//! Which container of a pod is meant.

use k8s_openapi::api::core::v1;

/// The annotation that names the container which is meant when none is named.
const DEFAULT: &str = "kubectl.kubernetes.io/default-container";

/// The container that is named, else the one that the annotation names, else the first main
/// container; with a note for the user when a choice was made.
///
/// # Errors
///
/// The containers that there are, when none has the name.
pub fn choose(pod: &v1::Pod, stated: Option<&str>) -> Result<(String, Option<String>), String> {
    let names = names(pod);
    if let Some(stated) = stated {
        let is_there = names.iter().any(|name| name == stated);
        return if is_there {
            Ok((stated.to_owned(), None))
        } else {
            Err(marked_names(pod).join(", "))
        };
    }
    let mut note = String::new();
    let annotations = pod.metadata.annotations.as_ref();
    match annotations.and_then(|annotations| annotations.get(DEFAULT)) {
        Some(name) if names.contains(name) => return Ok((name.clone(), None)),
        Some(name) => {
            let pod = pod.metadata.name.as_deref().unwrap_or_default();
            note = format!("Default container name \"{name}\" not found in pod {pod}\n");
        }
        None => {}
    }
    let first = main_names(pod).first().cloned().unwrap_or_default();
    if names.len() > 1 {
        let list = marked_names(pod).join(", ");
        note.push_str(&format!("Defaulted container \"{first}\" out of: {list}\n"));
    }
    Ok((first, (!note.is_empty()).then_some(note)))
}

/// Main containers, then init containers, which are marked as such.
fn marked_names(pod: &v1::Pod) -> Vec<String> {
    let inits = init_names(pod).into_iter().map(|name| format!("{name} (init)"));
    main_names(pod).into_iter().chain(inits).collect()
}

/// Main containers, then init containers, as kubectl lists them.
pub fn names(pod: &v1::Pod) -> Vec<String> {
    main_names(pod).into_iter().chain(init_names(pod)).collect()
}

/// Init containers, then main containers: the order in which they start.
pub fn names_in_start_order(pod: &v1::Pod) -> Vec<String> {
    init_names(pod).into_iter().chain(main_names(pod)).collect()
}

fn main_names(pod: &v1::Pod) -> Vec<String> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| &spec.containers).map(|container| container.name.clone()).collect()
}

fn init_names(pod: &v1::Pod) -> Vec<String> {
    let spec = pod.spec.iter();
    spec.flat_map(|spec| spec.init_containers.iter().flatten())
        .map(|container| container.name.clone())
        .collect()
}
