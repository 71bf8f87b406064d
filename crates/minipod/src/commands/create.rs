//! `create configmap` and `create secret`: objects without a manifest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use k8s_openapi::ByteString;
use pod_api::Object;
use pod_api::api::Existing;
use pod_model::{ParseOptions, Source};
use serde_json::{Value, json};

use super::apply;
use super::result::Printer;
use super::{api, require_root};
use crate::cli::{CreateArgs, DataArgs, NewObject, NewSecret, PlaceArgs, ResultArgs};
use crate::failure::{Failure, Kind};

/// What the object holds: keys and their bytes.
type Data = BTreeMap<String, Vec<u8>>;

pub(crate) fn run(places: &PlaceArgs, create: &CreateArgs) -> Result<(), Failure> {
    let Some(object) = &create.object else {
        return apply::run(places, &create.manifests, Existing::Refuse);
    };
    let (manifest, result) = match object {
        NewObject::ConfigMap(args) => (config_map(args)?, &args.result),
        NewObject::Secret(NewSecret::Generic(args)) => {
            let DataArgs { name, result, .. } = &args.data;
            (secret(name, &args.kind, &data(&args.data)?), result)
        }
        NewObject::Secret(NewSecret::Tls(args)) => {
            let mut data = Data::new();
            data.insert("tls.crt".to_owned(), read(&args.cert)?);
            data.insert("tls.key".to_owned(), read(&args.key)?);
            (secret(&args.name, "kubernetes.io/tls", &data), &args.result)
        }
        NewObject::Secret(NewSecret::DockerRegistry(args)) => {
            let (user, password) = (&args.docker_username, &args.docker_password);
            let auth = base64(format!("{user}:{password}").as_bytes());
            let mut login = json!({"username": user, "password": password, "auth": auth});
            if !args.docker_email.is_empty() {
                login["email"] = args.docker_email.clone().into();
            }
            let file = json!({"auths": {&args.docker_server: login}}).to_string();
            let data = Data::from([(".dockerconfigjson".to_owned(), file.into_bytes())]);
            (secret(&args.name, "kubernetes.io/dockerconfigjson", &data), &args.result)
        }
    };
    finish(places, &manifest, result)
}

fn config_map(args: &DataArgs) -> Result<Value, Failure> {
    let mut texts = BTreeMap::new();
    let mut binaries = BTreeMap::new();
    for (key, bytes) in data(args)? {
        match String::from_utf8(bytes) {
            Ok(text) => drop(texts.insert(key, text)),
            Err(error) => drop(binaries.insert(key, base64(error.as_bytes()))),
        }
    }
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": args.name}});
    if !texts.is_empty() {
        map["data"] = json!(texts);
    }
    if !binaries.is_empty() {
        map["binaryData"] = json!(binaries);
    }
    Ok(map)
}

fn secret(name: &str, kind: &str, data: &Data) -> Value {
    let data: BTreeMap<_, _> = data.iter().map(|(key, bytes)| (key, base64(bytes))).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data})
}

/// As the API writes bytes.
fn base64(bytes: &[u8]) -> String {
    let text = serde_json::to_value(ByteString(bytes.to_vec())).unwrap_or_default();
    text.as_str().unwrap_or_default().to_owned()
}

/// Checks the object as one of a manifest, and stores or prints it.
fn finish(places: &PlaceArgs, manifest: &Value, result: &ResultArgs) -> Result<(), Failure> {
    let text = manifest.to_string();
    let options =
        ParseOptions { namespace: Some(places.namespace.clone()), ..ParseOptions::default() };
    let parsed = pod_model::parse(&Source { name: "", text: &text }, &options);
    let parsed = parsed.map_err(|problems| {
        let kind = manifest["kind"].as_str().unwrap_or_default().to_lowercase();
        Failure::new(Kind::Manifest, format!("failed to create {kind}: {problems}"))
    })?;
    let Some(object) = parsed.objects.into_iter().next() else {
        return Ok(()); // one object was described
    };
    let dry_run = result.dry_run.mode;
    if !dry_run.is_dry() {
        require_root()?;
    }
    let api = api(places);
    let mut printer = Printer::new(result)?;
    let existing = apply::or_ignore(Existing::Refuse, dry_run);
    let applied = api.apply(&object, existing, dry_run.is_dry())?;
    let object = Object::from(object);
    let object = if dry_run.is_dry() { for_any_namespace(object) } else { object };
    printer.print(object, applied.outcome.word(), &api)?;
    printer.finish()
}

/// As kubectl prints it: without a namespace that goes without saying.
fn for_any_namespace(mut object: Object) -> Object {
    let namespace = &mut object.metadata_mut().namespace;
    if namespace.as_deref() == Some("default") {
        *namespace = None;
    }
    object
}

/// Everything that the options name; a key can be given once.
fn data(args: &DataArgs) -> Result<Data, Failure> {
    let mut data = Data::new();
    for literal in &args.from_literal {
        let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
            let text = format!("invalid literal source {literal}, expected key=value");
            return Err(Failure::new(Kind::Usage, text));
        };
        add(&mut data, key, value.into())?;
    }
    for source in &args.from_file {
        add_files(&mut data, source)?;
    }
    for file in &args.from_env_file {
        let bytes = read(file)?;
        for line in String::from_utf8_lossy(&bytes).lines() {
            add_variable(&mut data, line.trim_start())?;
        }
    }
    Ok(data)
}

fn add(data: &mut Data, key: &str, value: Vec<u8>) -> Result<(), Failure> {
    if data.insert(key.to_owned(), value).is_none() {
        return Ok(());
    }
    let text = format!("cannot add key \"{key}\", another key by that name already exists");
    Err(Failure::new(Kind::Usage, text))
}

/// `[KEY=]PATH`; a directory stands for the files in it.
fn add_files(data: &mut Data, source: &str) -> Result<(), Failure> {
    let (key, path) = match source.split_once('=') {
        Some((key, path)) => (Some(key), Path::new(path)),
        None => (None, Path::new(source)),
    };
    if path.is_dir() && key.is_some() {
        let text = "cannot give a key name for a directory path";
        return Err(Failure::new(Kind::Usage, text));
    }
    if !path.is_dir() {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        return add(data, key.unwrap_or(&name), read(path)?);
    }
    let entries = fs::read_dir(path).map_err(|error| cannot_read(path, &error))?;
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.is_file()) {
        add(data, &file.file_name().unwrap_or_default().to_string_lossy(), read(file)?)?;
    }
    Ok(())
}

/// A line of an environment file; a name alone has the value that it has here.
fn add_variable(data: &mut Data, line: &str) -> Result<(), Failure> {
    if line.is_empty() || line.starts_with('#') {
        return Ok(());
    }
    match line.split_once('=') {
        Some((name, value)) => add(data, name, value.into()),
        None => match std::env::var(line) {
            Ok(value) => add(data, line, value.into()),
            Err(_) => Ok(()),
        },
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| cannot_read(path, &error))
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("error reading {}: {error}", path.display()))
}
