use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

#[test]
fn what_is_left_out_is_filled_in() {
    let digest = format!("busybox@sha256:{HEX}");
    let both = format!("quay.io/a/b:v1@sha256:{HEX}");
    let rows = [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("luksa/kubia:1.0", "docker.io/luksa/kubia:1.0", "luksa/kubia:1.0"),
        ("docker.io/nginx:alpine", "docker.io/library/nginx:alpine", "nginx:alpine"),
        ("index.docker.io/luksa/kubia", "docker.io/luksa/kubia:latest", "luksa/kubia:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:2", "localhost:5000/app:2", "localhost:5000/app:2"),
        ("ghcr.io/a/b/c", "ghcr.io/a/b/c:latest", "ghcr.io/a/b/c:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("[::]/0__0/0--0/0.0:_", "[::]/0__0/0--0/0.0:_", "[::]/0__0/0--0/0.0:_"),
        ("x:1/a:0........", "x:1/a:0........", "x:1/a:0........"),
        (
            "my_app/a__b--c.d:V_1.0-x",
            "docker.io/my_app/a__b--c.d:V_1.0-x",
            "my_app/a__b--c.d:V_1.0-x",
        ),
        (
            &digest,
            &format!("docker.io/library/busybox@sha256:{HEX}"),
            &format!("busybox@sha256:{HEX}"),
        ),
        (&both, &both, &both),
    ];
    for (text, canonical, familiar) in rows {
        let reference = Reference::parse(text).unwrap();
        assert_eq!(reference.to_string(), canonical, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
        assert_eq!(Reference::parse(canonical).unwrap().to_string(), canonical, "{text}");
    }
}

#[test]
fn latest_is_what_has_no_other_tag_and_no_digest() {
    let rows = [
        ("busybox", true),
        ("busybox:latest", true),
        ("busybox:1", false),
        (&format!("busybox:latest@sha256:{HEX}"), false),
        (&format!("busybox@sha256:{HEX}"), false),
    ];
    for (text, latest) in rows {
        assert_eq!(Reference::parse(text).unwrap().is_latest(), latest, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let long = format!("a/{}", "b".repeat(255));
    let rows = [
        ("", "the image name is empty"),
        ("Luksa/kubia", "repository name (Luksa/kubia) must be lowercase"),
        ("luksa/Kubia:1", "repository name (luksa/Kubia) must be lowercase"),
        ("./myimage", "\".\" is not a registry host"),
        ("a//b", "\"\" in \"a//b\" is not a name"),
        ("/a", "\"\" in \"/a\" is not a name"),
        ("a/", "\"\" in \"a/\" is not a name"),
        ("a b", "\"a b\" in \"a b\" is not a name"),
        ("a___b", "\"a___b\""),
        ("a..b", "\"a..b\""),
        ("-a", "\"-a\""),
        ("a:", "\"\" is not a tag"),
        ("a:-x", "\"-x\" is not a tag"),
        ("a:b:c/", "\"a:b:c\" is not a registry host"),
        ("localhost:99999/a", "\"localhost:99999\" is not a registry host"),
        ("localhost:+80/a", "\"localhost:+80\" is not a registry host"),
        ("localhost:/a", "\"localhost:\" is not a registry host"),
        ("::1:80/a", "\"::1:80\" is not a registry host"),
        ("x[::1]:80/a", "\"x[::1]:80\" is not a registry host"),
        (":80/a", "\":80\" is not a registry host"),
        ("a@sha256:12", "the part after '@' is not a digest"),
        ("https://docker.io/a", "has a scheme"),
        (HEX, "is an image id"),
        (&long, "at most 255"),
    ];
    for (text, part) in rows {
        let error = Reference::parse(text).unwrap_err().to_string();
        assert!(
            error.starts_with("invalid reference format") && error.contains(part),
            "{text}: {error}"
        );
    }
}
