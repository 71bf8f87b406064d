//! Compression, manifests and configurations that lie. The numbers are those of the catalogue in
//! the security notes.

#![expect(clippy::too_many_lines, reason = "a table has as many lines as cases")]

use std::thread;

use image_puller::Digest;
use serde_json::{Value, json};

use crate::archive::{Archive, gzip, zstd};
use crate::field::{Field, tree};
use crate::image::{INDEX, Layer, MANIFEST, TestImage, descriptor};
use crate::registry::{Answer, Registry};
use crate::store::{Scratch, file, reference, told};

fn archive() -> Vec<u8> {
    Archive::new().file("f", b"content").finish()
}

fn image() -> TestImage {
    TestImage::of(vec![Layer::plain(archive())])
}

#[test]
fn compression_is_recognized_by_the_bytes_and_read_to_the_end() {
    let plain = archive();
    let cut = plain.len() / 2;
    let members = [gzip(&plain[..cut]), gzip(&plain[cut..])].concat();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&plain[..cut])];
    let frames = [&skippable.concat()[..], &zstd(&plain[cut..])].concat();
    let rows = [
        ("gzip", gzip(&plain), "gzip"),
        ("gzip of two members", members, "gzip"),
        ("zstd", zstd(&plain), "zstd"),
        ("M-10 zstd frames, one of them to skip", frames, "zstd"),
        ("M-12 zstd that is called gzip", zstd(&plain), "gzip"),
        ("gzip that is called zstd", gzip(&plain), "zstd"),
        ("an archive that is called gzip", plain.clone(), "gzip"),
    ];
    let field = Field::new();
    for (what, blob, name) in rows {
        let pulled = field.pull(vec![Layer::compressed(blob, &plain, name)]);
        let image = pulled.unwrap_or_else(|told| panic!("{what}: {told}"));
        assert_eq!(tree(&image.layers[0]), ["- f"], "{what}");
    }
    let nothing = Layer::compressed(gzip(b""), b"", "gzip");
    let image = field.pull(vec![nothing]).expect("M-36: no bytes are an empty layer");
    assert_eq!(tree(&image.layers[0]), [] as [String; 0]);
}

#[test]
fn compression_that_is_broken_or_hides_something_is_refused() {
    let plain = archive();
    let squeezed = gzip(&plain);
    let mut wrong_sum = squeezed.clone();
    let at = wrong_sum.len() - 8;
    wrong_sum[at] ^= 1;
    let hidden = Archive::new().file("hidden", b"").finish();
    let unlike = "the image's configuration says";
    let rows = [
        ("M-02 a wrong checksum", wrong_sum, "cannot read the layer"),
        ("cut off", squeezed[..squeezed.len() - 9].to_vec(), "cannot read the layer"),
        ("M-04 garbage after it", [&squeezed[..], b"garbage"].concat(), "cannot read the layer"),
        ("M-06 a second archive after it", [squeezed.clone(), gzip(&hidden)].concat(), unlike),
        ("zstd with another frame after it", [zstd(&plain), zstd(&hidden)].concat(), unlike),
        ("zstd cut off", zstd(&plain)[..20].to_vec(), "cannot"),
        ("a format nobody uses", b"BZh91AY&SY garbage".repeat(40), "header checksum"),
    ];
    for (what, blob, why) in rows {
        let field = Field::new();
        let told = field.pull(vec![Layer::compressed(blob, &plain, "gzip")]).map(|_| ());
        let told = told.expect_err(what);
        assert!(told.contains(why), "{what}: {told}");
        field.scratch.assert_empty(what);
    }
}

/// M-16, M-17.
#[test]
fn layers_that_docker_once_kept_elsewhere_are_layers() {
    let types = [
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ];
    for media_type in types {
        let layer = Layer { media_type: media_type.to_owned(), ..Layer::plain(archive()) };
        let pulled = Field::new().pull(vec![layer]);
        pulled.unwrap_or_else(|told| panic!("{media_type}: {told}"));
    }
}

fn refused(what: &str, image: &TestImage, why: &str) {
    let field = Field::new();
    let told = field.pull_image(image).map(|_| ()).expect_err(what);
    assert!(told.contains(why), "{what}: no {why:?} in {told}");
    field.scratch.assert_empty(what);
}

fn with_manifest(change: impl Fn(&mut Value)) -> TestImage {
    let mut image = image();
    change(&mut image.manifest);
    image
}

fn with_manifest_text(change: impl Fn(&str) -> String) -> TestImage {
    let image = image();
    let text = change(&image.manifest.to_string());
    TestImage { manifest_bytes: Some(text.into_bytes()), ..image }
}

fn with_config(change: impl Fn(&mut Value)) -> TestImage {
    let image = image();
    let mut config = serde_json::from_slice(&image.config).expect("the tests write JSON");
    change(&mut config);
    TestImage::with_config(image.layers, config.to_string().into_bytes())
}

#[test]
fn manifests_that_lie_or_can_be_read_in_two_ways_are_refused() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let twice = |key: &str, value: &str| {
        let from = format!("\"{key}\":");
        with_manifest_text(|text| text.replacen(&from, &format!("{from}{value},{from}"), 1))
    };
    let digest = |digest: &str| with_manifest(|m| m["layers"][0]["digest"] = json!(digest));
    let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let rows = [
        (
            "M-28 an index that is called a manifest",
            with_manifest(|m| m["mediaType"] = json!(INDEX)),
            "announced as",
        ),
        (
            "a manifest and an index in one",
            with_manifest(|m| m["manifests"] = json!([])),
            "neither clearly",
        ),
        ("neither of both", with_manifest(|m| *m = json!({"schemaVersion": 2})), "neither clearly"),
        (
            "schema 1",
            with_manifest(|m| *m = json!({"schemaVersion": 1, "fsLayers": []})),
            "schema 1",
        ),
        ("M-32 very deep JSON", with_manifest_text(|_| deep.clone()), "cannot read"),
        (
            "deep JSON within",
            with_manifest_text(|text| {
                text.replacen("\"layers\":", &format!("\"layers\":{deep},\"x\":"), 1)
            }),
            "cannot read",
        ),
        ("M-38 layers twice", twice("layers", "[]"), "cannot read"),
        ("a digest twice", twice("digest", &format!("\"sha256:{hex}\"")), "cannot read"),
        ("a configuration twice", twice("config", "{}"), "cannot read"),
        ("M-24 a sha512 digest", digest(&format!("sha512:{hex}{hex}")), "only sha256 is supported"),
        ("a digest that is a path", digest("sha256:../../../../etc/passwd"), "cannot"),
        ("a digest in capitals", digest(&format!("sha256:{}", hex.to_uppercase())), "cannot"),
        ("an empty digest", digest(""), "cannot"),
        ("a negative size", with_manifest(|m| m["layers"][0]["size"] = json!(-1)), "cannot read"),
        (
            "a size that is a text",
            with_manifest(|m| m["layers"][0]["size"] = json!("7")),
            "cannot read",
        ),
        (
            "something that is no layer",
            with_manifest(|m| m["layers"][0]["mediaType"] = json!("text/x-wasm")),
            "no root filesystem layer",
        ),
        (
            "a huge configuration",
            with_manifest(|m| m["config"]["size"] = json!(5 << 20)),
            "at most",
        ),
        (
            "M-20 more layers than the configuration has",
            with_manifest(|m| {
                let layer = m["layers"][0].clone();
                m["layers"] = json!([layer, layer]);
            }),
            "lists 2 layers, the configuration 1",
        ),
        (
            "fewer layers",
            with_manifest(|m| m["layers"] = json!([])),
            "lists 0 layers, the configuration 1",
        ),
        ("nothing at all", with_manifest_text(|_| String::new()), "cannot read"),
        (
            "not UTF-8",
            TestImage { manifest_bytes: Some(b"{\"\xff\":1}".to_vec()), ..image() },
            "cannot read",
        ),
    ];
    for (what, image, why) in rows {
        refused(what, &image, why);
    }
}

#[test]
fn configurations_that_lie_are_refused() {
    let other = Digest::of(b"other").to_string();
    let rows = [
        (
            "M-30 another type of root",
            with_config(|c| c["rootfs"]["type"] = json!("baselayer")),
            "instead of \"layers\"",
        ),
        (
            "another DiffID",
            with_config(|c| c["rootfs"]["diff_ids"] = json!([other])),
            "configuration says",
        ),
        (
            "a DiffID that is a path",
            with_config(|c| c["rootfs"]["diff_ids"] = json!(["sha256:../x"])),
            "cannot",
        ),
        (
            "no root at all",
            with_config(|c| *c = json!({"os": "linux"})),
            "lists 1 layers, the configuration 0",
        ),
        ("not JSON", TestImage::with_config(image().layers, b"<html>".to_vec()), "cannot read"),
    ];
    for (what, image, why) in rows {
        refused(what, &image, why);
    }
}

#[test]
fn what_a_configuration_tells_about_itself_is_inert() {
    let image = with_config(|config| {
        config["history"] = json!([{"empty_layer": true}, {"created_by": "\u{1b}[31m"}, {}, {}]);
        config["config"]["Labels"] = json!({"\u{1b}]0;x\u{7}": "..\n/", "minipod.pod": "other"});
        config["config"]["Volumes"] = json!({"/../../canary": {}});
        config["config"]["Env"] = json!(["SECRET", "=x", "A=\n"]);
    });
    let found = Field::new().pull_image(&image).expect("M-44 and M-46: these are only words");
    assert_eq!(found.config.labels["minipod.pod"], "other");
    assert_eq!(found.config.volumes, ["/../../canary"]);
    assert_eq!(found.config.env, ["SECRET", "=x", "A=\n"]);
}

/// A registry whose tag is that index, with the image behind it.
fn pulled_from_index(scratch: &Scratch, index: &Value) -> Result<image_puller::Pulled, String> {
    let text = index.to_string();
    let registry = Registry::serving(&image(), move |request, answer| {
        let is_index = request.path.ends_with("/latest")
            || request.path.ends_with(&Digest::of(text.as_bytes()).to_string());
        if is_index { Answer::new(200, &*text).with("Content-Type", INDEX) } else { answer }
    });
    scratch.pull(&registry.host()).map_err(|error| told(&error))
}

fn platform(architecture: &str, image: &Value) -> Value {
    let mut entry = image.clone();
    entry["platform"] = json!({"os": "linux", "architecture": architecture});
    entry
}

#[test]
fn an_index_is_followed_once_and_to_the_first_that_fits() {
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let here = descriptor(MANIFEST, &image().manifest());
    let missing = descriptor(MANIFEST, b"missing");
    let index =
        |manifests: Value| json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let two =
        index(json!([platform("s390x", &missing), platform(own, &here), platform(own, &missing)]));
    let pulled = pulled_from_index(&Scratch::new(), &two).expect("M-40: the first match is taken");
    assert_eq!(pulled.image.manifest_digest, Digest::of(&image().manifest()));

    let inner = index(json!([here]));
    let nested = json!({
        "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [descriptor(INDEX, inner.to_string().as_bytes())],
    });
    let many: Vec<Value> = (0..10_000).map(|_| platform("s390x", &missing)).collect();
    let twice = index(json!([platform("mips", &here)]));
    let rows = [
        ("nothing that fits", twice, "no variant for linux/"),
        ("nothing at all", index(json!([])), "no variant for"),
        ("M-40 too many", index(json!(many)), "has 10000 entries"),
        ("M-40 an index in an index", nested, "404"),
        (
            "a path as a digest",
            index(json!([{"mediaType": MANIFEST, "size": 1, "digest": "sha256:../x"}])),
            "cannot",
        ),
    ];
    for (what, index, why) in rows {
        let scratch = Scratch::new();
        let told = pulled_from_index(&scratch, &index).map(|_| ()).expect_err(what);
        assert!(told.contains(why), "{what}: {told}");
        scratch.assert_empty(what);
    }
}

#[test]
fn as_many_layers_as_the_kernel_stacks_are_accepted() {
    let layers = |count: usize| -> Vec<Layer> {
        let archive = |n| Archive::new().file(format!("f{n}"), format!("{n}").as_bytes()).finish();
        (0..count).map(|n| Layer::plain(archive(n))).collect()
    };
    for count in [130, 500] {
        let field = Field::new();
        let image = field.pull(layers(count)).expect("M-34: as many can be stacked");
        assert_eq!(image.layers.len(), count);
        let last = count - 1;
        assert_eq!(file(&image, &format!("f{last}")), Some(last.to_string().into_bytes()));
    }
    refused("M-34 one more", &TestImage::of(layers(501)), "has 501 layers");
}

#[test]
fn an_image_with_a_corrupt_layer_does_not_harm_another_that_is_pulled_at_once() {
    let layer = |name: &str| Layer::plain(Archive::new().file(name, &[1; 50_000]).finish());
    let (shared, own) = (layer("shared"), layer("own"));
    let mut corrupt = layer("corrupt");
    let size = corrupt.blob.len();
    let bad = TestImage::of(vec![shared.clone(), corrupt.clone()]);
    corrupt.blob[600] ^= 1;
    let good = Registry::serving(&TestImage::of(vec![shared, own]), |_, answer| answer);
    let bad = Registry::serving(&bad, move |_, mut answer| {
        // Both layers have the same size; the shared one must be good in one of the two images.
        if answer.body.len() == size && answer.body.starts_with(b"corrupt") {
            answer.body.clone_from(&corrupt.blob);
        }
        answer
    });
    for _ in 0..10 {
        let scratch = Scratch::new();
        thread::scope(|scope| {
            scope.spawn(|| scratch.pull(&bad.host()).expect_err("M-48: a layer is corrupt"));
            scope.spawn(|| scratch.pull(&good.host()).expect("M-48: this one is good"));
        });
        let store = scratch.store();
        assert!(store.find(&reference(&bad.host())).expect("it can be read").is_none());
        let found = store.find(&reference(&good.host())).expect("it can be read");
        let found = found.expect("it was pulled");
        assert_eq!(file(&found, "shared"), Some(vec![1; 50_000]));
        assert_eq!(scratch.names_in("tmp"), [] as [String; 0]);
    }
}
