//! Who is shown what: names, passwords and tokens.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::child;
use crate::image::TestImage;
use crate::registry::{Answer, Registry};
use crate::store::Scratch;

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn config(host: &str, name: &str, password: &str) -> String {
    let auth = STANDARD.encode(format!("{name}:{password}"));
    format!(r#"{{"auths":{{"{host}":{{"auth":"{auth}"}}}}}}"#)
}

/// A registry that lets in those who come with this header.
fn guarded(image: &TestImage, challenge: &'static str, header: String) -> Registry {
    Registry::serving(image, move |request, answer| match request.header("authorization") {
        Some(found) if found == header => answer,
        _ => Answer::new(401, "").with("WWW-Authenticate", challenge),
    })
}

/// A registry whose tokens are at `/token`, for those whom `lets_in` accepts.
fn with_tokens(
    image: &TestImage,
    lets_in: impl Fn(&crate::registry::Request) -> bool + Send + Sync + 'static,
) -> Registry {
    Registry::serving(image, move |request, answer| {
        if request.path.starts_with("/token") {
            return if lets_in(request) {
                Answer::new(200, r#"{"access_token":"good","expires_in":300}"#)
            } else {
                Answer::new(401, "{}")
            };
        }
        let host = request.header("host").unwrap_or_default();
        let realm = format!("Bearer realm=\"http://{host}/token\",service=\"a b\"");
        match request.header("authorization") {
            Some("Bearer good") => answer,
            _ => Answer::new(401, "").with("WWW-Authenticate", realm),
        }
    })
}

#[test]
fn a_name_and_a_password_open_a_registry() {
    let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = guarded(&image, "Basic realm=\"x\"", basic("me", "secret"));
    let told = scratch.pull_fails(&registry.host());
    assert!(told.contains("denies access"), "{told}");
    scratch.docker_config = Some(config(&registry.host(), "me", "secret"));
    scratch.pull(&registry.host()).expect("it opens");
}

#[test]
fn without_credentials_a_token_is_asked_for_by_nobody() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = with_tokens(&image, |request| request.header("authorization").is_none());
    scratch.pull(&registry.host()).expect("it opens");
    let asked = registry.requests_for("/token");
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/token?scope=repository%3Aimage%3Apull&service=a%20b");
}

/// R-60.
#[test]
fn an_identity_token_is_exchanged_and_never_sent_on() {
    let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = with_tokens(&image, |request| {
        let has = |part: &str| request.body.contains(part);
        request.method == "POST"
            && has("grant_type=refresh_token")
            && has("refresh_token=identity%2Ftoken")
            && has("service=a%20b")
            && has("scope=repository%3Aimage%3Apull")
    });
    let host = registry.host();
    scratch.docker_config =
        Some(format!(r#"{{"auths":{{"{host}":{{"identitytoken":"identity/token"}}}}}}"#));
    scratch.pull(&host).expect("it opens");
    let elsewhere = Registry::start(|_| Answer::new(200, r#"{"access_token":"good"}"#));
    let target = format!("http://{}/token", elsewhere.other_host());
    let thief = Registry::start(move |request| {
        let host = request.header("host").unwrap_or_default();
        if request.path.starts_with("/token") {
            return Answer::new(307, "").with("Location", target.clone());
        }
        let realm = format!("Bearer realm=\"http://{host}/token\"");
        Answer::new(401, "").with("WWW-Authenticate", realm)
    });
    let mut other = Scratch::new();
    let host = thief.host();
    other.docker_config =
        Some(format!(r#"{{"auths":{{"{host}":{{"identitytoken":"identity/token"}}}}}}"#));
    other.pull_fails(&host);
    assert_eq!(elsewhere.requests().len(), 0, "it learns nothing");
}

#[test]
fn a_registry_token_is_used_as_it_is() {
    let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = guarded(&image, "Bearer realm=\"http://x.example/\"", "Bearer mine".into());
    let host = registry.host();
    scratch.docker_config = Some(format!(r#"{{"auths":{{"{host}":{{"registrytoken":"mine"}}}}}}"#));
    scratch.pull(&host).expect("it opens");
}

/// R-64.
#[test]
fn all_secrets_that_fit_are_tried_before_it_is_given_up() {
    let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = guarded(&image, "Basic realm=\"x\"", basic("me", "right"));
    let auth = |password: &str| STANDARD.encode(format!("me:{password}"));
    let host = registry.host();
    scratch.docker_config = Some(format!(
        r#"{{"auths":{{"{host}/image":{{"auth":"{}"}},"{host}":{{"auth":"{}"}}}}}}"#,
        auth("wrong"),
        auth("right")
    ));
    scratch.pull(&host).expect("the second one opens");
    scratch.docker_config = Some(config(&host, "me", "wrong"));
    let before = registry.requests().len();
    let mut other = Scratch::new();
    other.docker_config = scratch.docker_config.clone();
    other.pull_fails(&host);
    assert_eq!(registry.requests().len() - before, 2, "once without and once with the password");
}

#[test]
fn a_mirror_is_not_shown_the_credentials_of_the_registry() {
    let (image, mut scratch) = (TestImage::of_size(1000), Scratch::new());
    let mirror = guarded(&image, "Basic realm=\"x\"", basic("nobody", "has it"));
    let registry = guarded(&image, "Basic realm=\"x\"", basic("me", "secret"));
    let text = format!(
        "[[registry]]\nlocation = \"{}\"\n[[registry.mirror]]\nlocation = \"{}\"\n",
        registry.host(),
        mirror.host()
    );
    fs::write(scratch.path().join("registries.conf"), text).expect("it is ours");
    scratch.docker_config = Some(config(&registry.host(), "me", "secret"));
    scratch.pull(&registry.host()).expect("the registry itself has it");
    let shown: Vec<_> = mirror.requests().into_iter().map(|one| one.headers).collect();
    assert!(!shown.is_empty());
    assert!(shown.iter().all(|headers| !headers.contains_key("authorization")), "{shown:?}");
}

#[test]
fn the_files_and_helpers_of_this_machine_open_a_registry() {
    let (image, scratch) = (TestImage::of_size(1000), Scratch::new());
    let registry = guarded(&image, "Basic realm=\"x\"", basic("me", "secret"));
    let (host, home) = (registry.host(), scratch.path().join("home"));
    let name = format!("{host}/image:latest");
    let told = child::pull(&scratch, &name, &[]).expect_err("there are no credentials");
    assert!(told.contains("put credentials for") && told.contains("docker login"), "{told}");
    let programs = scratch.path().join("bin");
    for directory in [home.join(".docker"), home.join(".config/containers"), programs.clone()] {
        fs::create_dir_all(directory).expect("it is ours");
    }
    let docker = home.join(".docker/config.json");
    fs::write(&docker, r#"{"credsStore":"ours"}"#).expect("it is ours");
    let told = child::pull(&scratch, &name, &[]).expect_err("there is no such helper");
    assert!(told.contains("docker-credential-ours"), "{told}");
    let helper = programs.join("docker-credential-ours");
    let text = format!(
        "#!/bin/sh\nread host\n[ \"$host\" = {host} ] && \
         echo '{{\"Username\":\"me\",\"Secret\":\"secret\"}}'\n"
    );
    fs::write(&helper, text).expect("it is ours");
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("it is ours");
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    child::pull(&scratch, &name, &[("PATH", &path)]).expect("the helper knows it");
    fs::write(&docker, "{}").expect("it is ours");
    let other = scratch.path().join("auth.json");
    fs::write(&other, config(&host, "me", "secret")).expect("it is ours");
    let path = other.display().to_string();
    let moved = format!("{host}/image@{}", image_puller::Digest::of(&image.manifest()));
    child::pull(&scratch, &moved, &[("REGISTRY_AUTH_FILE", &path)]).expect("it is here anyway");
    fs::remove_dir_all(scratch.path().join("data")).expect("it is ours");
    child::pull(&scratch, &name, &[("REGISTRY_AUTH_FILE", &path)]).expect("the file knows it");
}
