//! What containers get, computed without root.

use image_puller::{Digest, ImageConfig};
use pod_model::{Object, ParseOptions, Source};
use tempfile::TempDir;

use super::*;
use pod_api::objects;
use pod_api::places::Places;

/// A machine with stored objects, and a pod on it that has an address and an identity.
struct Scene {
    places: Places,
    pod: Pod,
    objects: Objects,
    app_armor: app_armor::Support,
    _directory: TempDir,
}

impl Scene {
    /// The pod of a manifest; the other objects of it are stored.
    fn new(manifest: &str) -> Self {
        let directory = TempDir::new().unwrap();
        let below = |name: &str| directory.path().join(name);
        let places = Places { state: below("state"), data: below("data"), logs: below("logs") };
        let objects = Objects::new(&places);
        let source = Source { name: "pod.yaml", text: manifest };
        let found = pod_model::parse(&source, &ParseOptions::default()).unwrap();
        let mut pod = None;
        for object in found.objects {
            match object {
                Object::Pod(mut found) => {
                    found.uid = pod_model::PodUid("0-1-2-3".into());
                    pod = Some(*found);
                }
                Object::ConfigMap(map) => {
                    objects.store("default", &name_of(&map), &map).unwrap();
                }
                Object::Secret(secret) => {
                    objects.store("default", &name_of(&secret), &secret).unwrap();
                }
                Object::PersistentVolumeClaim(_) => {}
            }
        }
        let app_armor = app_armor::Support::Off;
        Self { places, pod: pod.unwrap(), objects, app_armor, _directory: directory }
    }

    fn plan(&self, image: ImageConfig) -> Result<ContainerPlan, PlanError> {
        let digest = Digest::of(b"");
        let image = Image {
            id: digest.clone(),
            manifest_digest: digest,
            index_digest: None,
            config: image,
            layers: Vec::new(),
            size: 0,
            names: Vec::new(),
            platform: "linux/amd64".into(),
            created: None,
        };
        let name = &self.pod.containers[0].name;
        let input = PlanInput {
            pod: &self.pod,
            dir: &self.places.pod("default", "p"),
            data: &self.places.pod_data("0-1-2-3"),
            pod_ips: &["10.1.2.3".parse().unwrap(), "fd00::3".parse().unwrap()],
            host_ip: "192.0.2.1",
            node_name: "here",
            objects: &self.objects,
            volume_images: &VolumeImages::new(),
            seccomp_profiles: Path::new("/nowhere"),
            app_armor: self.app_armor,
        };
        container(&input, &image, &first_start(name))
    }

    fn env(&self) -> Vec<String> {
        self.plan(image(&["/a"], &[])).unwrap().process.env
    }
}

fn name_of<T: objects::StoredObject>(object: &T) -> String {
    object.clone().metadata_mut().name.clone().unwrap_or_default()
}

fn image(entrypoint: &[&str], cmd: &[&str]) -> ImageConfig {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    ImageConfig { entrypoint: texts(entrypoint), cmd: texts(cmd), ..ImageConfig::default() }
}

/// A pod with one container that has these fields, and more documents.
fn scene(fields: &str, documents: &str) -> Scene {
    Scene::new(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels: {{app: kubia, b/c: d}}\n  \
         annotations: {{note: 'two\\n'}}\nspec:\n  containers:\n  - {{name: c, image: i, {fields}}}\n{documents}"
    ))
}

const OBJECTS: &str = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {A: from-map, B: from-map}\n\
    ---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {B: from-secret, C: $(A)}\n";

/// The value of a variable.
fn value<'a>(env: &'a [String], name: &str) -> Option<&'a str> {
    env.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='))
}

#[test]
fn command_and_arguments_replace_entrypoint_and_cmd_as_kubernetes_says() {
    for (fields, argv) in [
        ("tty: false", ["/entry", "e", "cmd"].as_slice()),
        ("command: [own]", &["own"]),
        ("args: [one, two]", &["/entry", "e", "one", "two"]),
        ("command: [own], args: [one]", &["own", "one"]),
        ("command: [], args: []", &["/entry", "e", "cmd"]),
    ] {
        let plan = scene(fields, "").plan(image(&["/entry", "e"], &["cmd"])).unwrap();
        assert_eq!(plan.process.argv, argv, "{fields}");
    }
    assert_eq!(scene("command: [own]", "").plan(image(&[], &[])).unwrap().process.argv, ["own"]);
    let error = scene("tty: false", "").plan(image(&[], &[])).unwrap_err();
    assert_eq!(error.to_string(), "no command specified");
    assert!(!error.is_configuration());
}

#[test]
fn references_are_expanded_in_commands_arguments_and_later_variables() {
    let fields = "command: [echo, $(A), $$(A), '${A}', $(Z)], args: [$(B)-$(B)], env: \
                  [{name: EARLY, value: $(A)}, {name: A, value: a}, {name: B, value: $(A)b}, {name: PATHS, value: '$(PATH)'}]";
    let process = scene(fields, "").plan(image(&[], &[])).unwrap().process;
    assert_eq!(process.argv, ["echo", "a", "$(A)", "${A}", "$(Z)", "ab-ab"]);
    assert_eq!(value(&process.env, "EARLY"), Some("$(A)"), "A comes later");
    assert_eq!(value(&process.env, "PATHS"), Some("$(PATH)"), "the image's variables are not seen");
}

#[test]
fn variables_come_from_the_image_then_from_lists_then_one_by_one() {
    let fields = "envFrom: [{configMapRef: {name: m}}, {secretRef: {name: s}}, {prefix: P_, configMapRef: \
                  {name: m}}, {configMapRef: {name: none, optional: true}}], env: [{name: A, value: own}, {name: E}, \
                  {name: B, valueFrom: {configMapKeyRef: {name: m, key: none, optional: true}}}, {name: F, valueFrom: \
                  {secretKeyRef: {name: s, key: C}}}, {name: A, value: $(A)-again}]";
    let env = scene(fields, OBJECTS).env();
    for (name, expected) in [
        ("A", Some("own-again")),
        ("B", Some("from-secret")), // a later list wins, an optional key that is missing changes nothing
        ("C", Some("$(A)")),        // what comes from an object is not expanded
        ("E", Some("")),
        ("F", Some("$(A)")),
        ("P_A", Some("from-map")),
        ("P_B", Some("from-map")),
        ("HOSTNAME", Some("p")),
        ("HOME", Some("/")),
        ("KUBERNETES_SERVICE_HOST", None),
    ] {
        assert_eq!(value(&env, name), expected, "{name}: {env:?}");
    }
    assert_eq!(env.iter().filter(|one| one.starts_with("A=")).count(), 1);
}

#[test]
fn what_is_missing_is_named_as_a_kubelet_names_it() {
    for (fields, message) in [
        ("envFrom: [{configMapRef: {name: none}}]", "configmap \"none\" not found"),
        ("envFrom: [{secretRef: {name: none}}]", "secret \"none\" not found"),
        (
            "env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: k}}}]",
            "configmap \"none\" not found",
        ),
        (
            "env: [{name: A, valueFrom: {configMapKeyRef: {name: m, key: k}}}]",
            "couldn't find key k in ConfigMap default/m",
        ),
        (
            "env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}]",
            "couldn't find key k in Secret default/s",
        ),
        (
            "env: [{name: A, valueFrom: {resourceFieldRef: {containerName: x, resource: limits.cpu}}}]",
            "container x not found",
        ),
    ] {
        let error = scene(fields, OBJECTS).plan(image(&["/a"], &[])).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.is_configuration());
    }
}

#[test]
fn a_container_learns_about_its_pod_and_its_resources() {
    for (path, expected) in [
        ("metadata.name", "p"),
        ("metadata.namespace", "default"),
        ("metadata.uid", "0-1-2-3"),
        ("metadata.labels['app']", "kubia"),
        ("metadata.labels['b/c']", "d"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['note']", "two\\n"),
        ("spec.nodeName", "here"),
        ("spec.serviceAccountName", "default"),
        ("status.podIP", "10.1.2.3"),
        ("status.podIPs", "10.1.2.3,fd00::3"),
        ("status.hostIP", "192.0.2.1"),
        ("status.hostIPs", "192.0.2.1"),
    ] {
        let fields =
            format!("env: [{{name: A, valueFrom: {{fieldRef: {{fieldPath: \"{path}\"}}}}}}]");
        assert_eq!(value(&scene(&fields, "").env(), "A"), Some(expected), "{path}");
    }
    let resources = "resources: {limits: {cpu: 1500m, memory: 100Mi}, requests: {cpu: 250m}}";
    for (reference, expected) in [
        ("resource: limits.cpu", "2"),
        ("resource: limits.cpu, divisor: 1m", "1500"),
        ("resource: requests.cpu", "1"),
        ("resource: requests.cpu, containerName: c, divisor: 1m", "250"),
        ("resource: limits.memory", "104857600"),
        ("resource: limits.memory, divisor: 1Mi", "100"),
        ("resource: requests.memory, divisor: 1M", "105"),
        ("resource: requests.ephemeral-storage", "0"),
    ] {
        let fields = format!(
            "{resources}, env: [{{name: A, valueFrom: {{resourceFieldRef: {{{reference}}}}}}}]"
        );
        assert_eq!(value(&scene(&fields, "").env(), "A"), Some(expected), "{reference}");
    }
}

#[test]
fn a_limit_that_is_not_set_is_what_the_node_has() {
    for resource in ["cpu", "memory", "ephemeral-storage"] {
        let fields = format!(
            "env: [{{name: A, valueFrom: {{resourceFieldRef: {{resource: limits.{resource}}}}}}}]"
        );
        let env = scene(&fields, "").env();
        let amount: u64 = value(&env, "A").unwrap().parse().unwrap();
        assert!(amount > 0, "{resource}");
    }
}

#[test]
fn a_variable_comes_from_a_file_that_another_container_wrote() {
    let reference = |more: &str| {
        let fields = format!(
            "env: [{{name: A, valueFrom: {{fileKeyRef: {{volumeName: v, path: d/f.env, key: K{more}}}}}}}]"
        );
        Scene::new(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  volumes: [{{name: v, emptyDir: {{}}}}]\n  \
             containers:\n  - {{name: c, image: i, {fields}}}\n"
        ))
    };
    let one = reference("");
    let error = one.plan(image(&["/a"], &[])).unwrap_err();
    assert_eq!(error.to_string(), "couldn't parse env file");
    assert_eq!(value(&reference(", optional: true").env(), "A"), None);
    let directory = one.places.pod_data("0-1-2-3").volume("v").join("d");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("f.env"), "J='1'\n").unwrap();
    let error = one.plan(image(&["/a"], &[])).unwrap_err();
    let message = "environment variable key \"K\" not found in file \"d/f.env\"";
    assert_eq!(error.to_string(), message);
    std::fs::write(directory.join("f.env"), "K='v w'\n").unwrap();
    assert_eq!(value(&one.env(), "A"), Some("v w"));
    // A link in the volume leads nowhere.
    std::fs::rename(directory.join("f.env"), directory.join("g.env")).unwrap();
    std::os::unix::fs::symlink("g.env", directory.join("f.env")).unwrap();
    assert!(one.plan(image(&["/a"], &[])).is_err());
}

#[test]
fn the_directory_and_the_terminal_are_the_manifests_else_the_images() {
    let of_image = ImageConfig { working_dir: Some("/srv".into()), ..image(&["/a"], &[]) };
    let plan = |fields: &str| scene(fields, "").plan(of_image.clone()).unwrap().process;
    assert_eq!(plan("tty: true").cwd, "/srv");
    assert_eq!(plan("workingDir: /own").cwd, "/own");
    assert_eq!(scene("tty: true", "").plan(image(&["/a"], &[])).unwrap().process.cwd, "/");
    assert_eq!(value(&plan("tty: true").env, "TERM"), Some("xterm"));
    assert_eq!(value(&plan("tty: false").env, "TERM"), None);
}

#[test]
fn a_plan_reads_like_a_list_of_what_the_container_gets() {
    let one = scene(
        "command: [sh, -c, 'sleep 5'], env: [{name: A, value: a}], securityContext: {runAsUser: 1000, \
         readOnlyRootFilesystem: true, capabilities: {add: [NET_ADMIN]}}",
        "",
    );
    let text = one.plan(image(&[], &[])).unwrap().to_string();
    let state = one.places.state.display().to_string();
    let data = one.places.data.display().to_string();
    let text = text.replace(&state, "STATE").replace(&data, "DATA");
    for line in [
        "command     sh -c \"sleep 5\"\n",
        "root        0 layers, read-only\n",
        "mount       STATE/pods/default_p/etc/hosts on /etc/hosts\n",
        "capabilities none, with set-user-ID programs at most AUDIT_WRITE CHOWN DAC_OVERRIDE",
        "seccomp     RuntimeDefault\n",
        "env         A=a\n",
    ] {
        assert!(text.contains(line), "{line}\nnot in\n{text}");
    }
}

#[test]
fn an_app_armor_profile_is_enforced_or_refused() {
    use app_armor::Support::{Off, WithDefault, WithoutDefault};
    let default = || Ok(Some("minipod-default".to_owned()));
    let localhost = "appArmorProfile: {type: Localhost, localhostProfile: mine}";
    let explicit = "appArmorProfile: {type: RuntimeDefault}";
    let not_loaded = "cannot enforce AppArmor: the profile minipod-default is not loaded";
    let cases = [
        ("", Off, Ok(None)),
        ("", WithoutDefault, Ok(None)),
        ("", WithDefault, default()),
        ("privileged: true", WithDefault, Ok(None)),
        ("appArmorProfile: {type: Unconfined}", WithDefault, Ok(None)),
        (explicit, WithDefault, default()),
        (explicit, WithoutDefault, Err(not_loaded)),
        (explicit, Off, Err("cannot enforce AppArmor: AppArmor is not enabled on the host")),
        (localhost, WithoutDefault, Ok(Some("mine".to_owned()))),
        (localhost, Off, Err("cannot enforce AppArmor: AppArmor is not enabled on the host")),
    ];
    for (context, support, expected) in cases {
        let mut one = scene(&format!("securityContext: {{{context}}}"), "");
        one.app_armor = support;
        let found = one.plan(image(&["/a"], &[])).map(|plan| plan.process.app_armor);
        match (found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{context} {support:?}"),
            (Err(error), Err(start)) => assert!(error.to_string().starts_with(start), "{error}"),
            (found, expected) => panic!("{context} {support:?}: {found:?} and not {expected:?}"),
        }
    }
}

#[test]
fn manifests_and_the_sandbox_know_the_same_capabilities() {
    for (number, name) in (0..).zip(pod_model::CAPABILITIES) {
        assert_eq!(sandbox::capabilities::name(number), name);
        assert_eq!(sandbox::capabilities::number(name), Ok(number));
    }
    let next = u32::try_from(pod_model::CAPABILITIES.len()).unwrap();
    assert_eq!(sandbox::capabilities::name(next), "UNKNOWN");
}

#[test]
fn a_pod_as_a_whole_is_limited_by_itself_or_by_its_containers_together() {
    let pod = |own: &str, first: &str, second: &str| {
        Scene::new(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  resources: {own}\n  containers:\n  \
             - {{name: c, image: i, resources: {first}}}\n  - {{name: d, image: i, resources: {second}}}\n"
        ))
        .pod
    };
    let numbers = |limits: Limits| {
        (limits.cpu_request_milli, limits.cpu_limit_milli, limits.memory_max.map(|max| max >> 20))
    };
    let all = "{limits: {cpu: 250m, memory: 64Mi}}";
    let some = "{limits: {memory: 32Mi}, requests: {cpu: 100m}}";
    let own = "{limits: {cpu: 500m, memory: 128Mi}}";
    for (pod, of_pod, of_first) in [
        (pod("{}", "{}", "{}"), (None, None, None), (None, None, None)),
        (pod("{}", all, all), (Some(500), Some(500), Some(128)), (Some(250), Some(250), Some(64))),
        (pod("{}", all, some), (Some(350), None, Some(96)), (Some(250), Some(250), Some(64))),
        (
            pod(own, "{}", "{}"),
            (Some(500), Some(500), Some(128)),
            (Some(500), Some(500), Some(128)),
        ),
        (pod(own, some, "{}"), (Some(100), Some(500), Some(128)), (Some(100), Some(500), Some(32))),
    ] {
        let first = pod.containers[0].name.clone();
        assert_eq!(numbers(pod_limits(&pod)), of_pod);
        assert_eq!(numbers(limits(&pod, &first)), of_first);
        assert!(!pod_limits(&pod).killed_together && limits(&pod, &first).killed_together);
    }
}

#[test]
fn a_limit_that_only_the_pod_has_is_told_to_its_containers() {
    let one = Scene::new(
        "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  resources: {limits: {memory: 128Mi}}\n  \
         containers:\n  - name: c\n    image: i\n    env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}]\n",
    );
    assert_eq!(value(&one.env(), "A"), Some("128"));
}

#[test]
fn what_a_pod_asks_for_beyond_its_containers_protects_each_of_them() {
    let half = limits::node_memory() / 2;
    let score = |own: &str| {
        let one = Scene::new(&format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n  resources: {own}\n  \
             containers:\n  - {{name: c, image: i}}\n  - {{name: d, image: i}}\n"
        ));
        one.plan(image(&["/a"], &[])).unwrap().process.oom_score_adj.unwrap()
    };
    assert_eq!(score("{}"), 1000);
    let score = score(&format!("{{requests: {{memory: {half}}}}}"));
    assert!((750..=751).contains(&score), "a quarter for each of two: {score}");
}
