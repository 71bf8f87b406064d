//! Documents that Go's types read, and so must we: `null`, `""` and absence are the same.

use image_puller::{Digest, ImageConfig, Platform, PullOptions, Puller, Reference};
use serde_json::{Value, json};

use crate::archive::Archive;
use crate::field::{Field, tree};
use crate::image::{INDEX, Layer, MANIFEST, TestImage, descriptor};
use crate::registry::{Answer, Registry};
use crate::store::{Scratch, told};

fn layer(name: &str) -> Layer {
    Layer::plain(Archive::new().file(name, b"content").finish())
}

fn own() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// An image whose configuration is that, with the layers' identifiers in it.
fn with_config(layers: Vec<Layer>, mut config: Value) -> TestImage {
    if !layers.is_empty() {
        let ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
        config["rootfs"]["diff_ids"] = json!(ids);
    }
    TestImage::with_config(layers, config.to_string().into_bytes())
}

#[test]
fn an_image_may_have_no_layers() {
    for layers in [json!(null), json!([]), Value::Bool(false)] {
        for rootfs in [json!({"type": "layers", "diff_ids": null}), json!(null), json!({})] {
            let config = json!({"architecture": own(), "os": "linux", "rootfs": rootfs});
            let mut image = with_config(Vec::new(), config);
            match &layers {
                Value::Bool(_) => {
                    image.manifest.as_object_mut().expect("it is one").remove("layers");
                }
                layers => image.manifest["layers"] = layers.clone(),
            }
            let pulled = Field::new().pull_image(&image);
            let pulled = pulled.unwrap_or_else(|told| panic!("{layers} {rootfs}: {told}"));
            assert_eq!(pulled.layers.len(), 0);
        }
    }
}

#[test]
fn empty_types_and_absent_fields_of_a_manifest_say_nothing() {
    let changes: [fn(&mut Value); 6] = [
        |m| m["mediaType"] = json!(""),
        |m| m["mediaType"] = json!(null),
        |m| m["config"]["mediaType"] = json!(""),
        |m| m["layers"][0]["mediaType"] = json!(null),
        |m| m["annotations"] = json!(null),
        |m| m["layers"][0]["annotations"] = json!({"a": null}),
    ];
    for change in changes {
        let mut image = TestImage::of(vec![layer("f")]);
        change(&mut image.manifest);
        let field = Field::new();
        let pulled = field.pull_image(&image);
        let pulled = pulled.unwrap_or_else(|told| panic!("{}: {told}", image.manifest));
        assert_eq!(tree(&pulled.layers[0]), ["- f"]);
    }
}

#[test]
fn a_layer_without_a_size_or_a_digest_is_refused() {
    for (field, why) in
        [("size", "does not say how large"), ("digest", "digest that cannot be used")]
    {
        for value in [json!(null), Value::Bool(false)] {
            let mut image = TestImage::of(vec![layer("f")]);
            let entry = image.manifest["layers"][0].as_object_mut().expect("it is one");
            let _ = if value.is_null() {
                entry.insert(field.to_owned(), value)
            } else {
                entry.remove(field)
            };
            let told = Field::new().pull_image(&image).map(|_| ()).expect_err(field);
            assert!(told.contains(why), "{field}: {told}");
        }
    }
}

#[test]
fn settings_of_a_configuration_may_be_null_or_one_word() {
    let nulls = json!({
        "User": null, "ExposedPorts": null, "Env": null, "Entrypoint": null, "Cmd": null,
        "Volumes": null, "WorkingDir": null, "Labels": null, "StopSignal": null,
    });
    let values = json!({
        "Volumes": {"/d": null, "/e": {}}, "Labels": {"a": null, "b": "c"},
        "ExposedPorts": {"80/tcp": null}, "Entrypoint": "sh", "Cmd": ["a", "b"],
    });
    let full = ImageConfig {
        volumes: vec!["/d".into(), "/e".into()],
        labels: [("a".into(), String::new()), ("b".into(), "c".into())].into(),
        exposed_ports: vec!["80/tcp".into()],
        entrypoint: vec!["sh".into()],
        cmd: vec!["a".into(), "b".into()],
        ..ImageConfig::default()
    };
    for (settings, expected) in
        [(json!(null), ImageConfig::default()), (nulls, ImageConfig::default()), (values, full)]
    {
        let rootfs = json!({"type": ""});
        let config = json!({"created": null, "rootfs": rootfs, "config": settings});
        let image = with_config(vec![layer("f")], config);
        let pulled = Field::new().pull_image(&image);
        let pulled = pulled.unwrap_or_else(|told| panic!("{settings}: {told}"));
        assert_eq!(pulled.config, expected, "{settings}");
        assert_eq!(pulled.platform, Platform::host().to_string(), "nothing is said of it");
    }
}

/// A registry with several images and an index of them.
fn registry(images: Vec<TestImage>, index: &Value) -> Registry {
    let text = index.to_string();
    Registry::start(move |request| {
        let is_index = request.path.ends_with("/latest")
            || request.path.ends_with(&Digest::of(text.as_bytes()).to_string());
        if is_index {
            return Answer::new(200, &*text).with("Content-Type", INDEX);
        }
        let mut found = images.iter().filter_map(|image| {
            let name = request.path.rsplit('/').next()?;
            let is_manifest = request.path.contains("/manifests/");
            let is_own = Digest::of(&image.manifest()).to_string() == name;
            (is_own || !is_manifest).then(|| image.content(&request.path))?
        });
        match found.next() {
            Some((media_type, bytes)) => Answer::new(200, bytes).with("Content-Type", media_type),
            None => Answer::new(404, "{}"),
        }
    })
}

fn image_for(architecture: &str) -> TestImage {
    let config = json!({"architecture": architecture, "os": "linux"});
    with_config(vec![layer(architecture)], config)
}

#[test]
fn where_an_index_names_no_platforms_the_configurations_do() {
    let mut signature = TestImage::of(vec![layer("signature")]);
    signature.manifest["layers"][0]["mediaType"] =
        json!("application/vnd.dev.cosign.simplesigning.v1+json");
    let images = vec![signature, image_for("s390x"), image_for(own()), image_for("ppc64le")];
    let entries: Vec<Value> = images
        .iter()
        .enumerate()
        .map(|(number, image)| {
            let mut entry = descriptor(MANIFEST, &image.manifest());
            match number {
                0 => entry["platform"] = json!(null),
                1 => entry["platform"] = json!({"os": "", "architecture": ""}),
                2 => entry["size"] = json!(null),
                _ => entry["mediaType"] = json!(""),
            }
            entry
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": "", "manifests": entries});
    let server = registry(images, &index);
    let scratch = Scratch::new();
    let pulled = scratch.pull(&server.host()).map_err(|error| told(&error));
    let pulled = pulled.expect("its configuration says that it is for this machine");
    assert_eq!(tree(&pulled.image.layers[0]), [format!("- {}", own())]);

    let others = vec![image_for("s390x"), image_for("ppc64le")];
    let entries: Vec<Value> =
        others.iter().map(|image| descriptor(MANIFEST, &image.manifest())).collect();
    let server = registry(others, &json!({"schemaVersion": 2, "manifests": entries}));
    let told = Scratch::new().pull(&server.host()).map_err(|error| told(&error)).expect_err("none");
    assert!(told.contains("it offers linux/ppc64le, linux/s390x"), "{told}");
}

#[test]
fn an_index_without_entries_has_no_variant() {
    for manifests in [json!(null), json!([])] {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
        let server = registry(Vec::new(), &index);
        let told = Scratch::new().pull(&server.host()).map_err(|error| told(&error));
        let told = told.map(|_| ()).expect_err("there is nothing");
        assert!(told.contains("no variant for linux/"), "{told}");
    }
}

#[test]
fn a_platform_may_be_named_as_uname_names_it() {
    let images = vec![image_for("arm64"), image_for("amd64")];
    let entries: Vec<Value> = [("aarch64", &images[0]), ("x86_64", &images[1])]
        .into_iter()
        .map(|(architecture, image)| {
            let mut entry = descriptor(MANIFEST, &image.manifest());
            entry["platform"] = json!({"os": "linux", "architecture": architecture});
            entry
        })
        .collect();
    let server = registry(images, &json!({"schemaVersion": 2, "manifests": entries}));
    let name = Reference::parse(&format!("{}/image", server.host())).expect("it is a name");
    for (text, expected) in [
        ("linux/aarch64", "arm64"),
        ("linux/arm64/v8", "arm64"),
        ("linux/x86_64", "amd64"),
        ("amd64", "amd64"),
    ] {
        let scratch = Scratch::new();
        let mut options = PullOptions::default();
        options.platform = Some(Platform::parse(text).expect("it is one"));
        let pulled = Puller::new(scratch.store(), options).pull(&name, &());
        let pulled = pulled.unwrap_or_else(|error| panic!("{text}: {}", told(&error)));
        assert_eq!(tree(&pulled.image.layers[0]), [format!("- {expected}")], "{text}");
    }
}
