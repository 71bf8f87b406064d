//! A text becomes objects, or every problem at once.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;

use crate::decode::{Decoder, place_of};
use crate::problem::{Problem, Problems, Severity, Source};
use crate::validate::{self, Finding, Findings};
use crate::yaml::{self, Node, Place, Value};
use crate::{Pod, defaults, distill};

/// What a manifest can describe.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "few of them exist, and none for long")]
pub enum Object {
    /// A pod.
    Pod(Box<Pod>),
    /// Configuration that pods refer to.
    ConfigMap(v1::ConfigMap),
    /// The same, confidential.
    Secret(v1::Secret),
    /// A directory that outlives pods.
    PersistentVolumeClaim(v1::PersistentVolumeClaim),
}

/// How to read a manifest.
#[derive(Clone, Debug, Default)]
pub struct ParseOptions {
    /// The namespace of objects that name none.
    pub namespace: Option<String>,
    /// Whether fields that are not supported are only warned about.
    pub ignore_unsupported: bool,
}

/// A manifest without errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its objects in their order.
    pub objects: Vec<Object>,
    /// What to know about it.
    pub warnings: Vec<Problem>,
}

/// Kinds that people try, with what to do instead.
const OTHER_KINDS: &str = "minipod runs Pods, with ConfigMaps, Secrets and PersistentVolumeClaims";

/// Reads a manifest.
pub fn parse(source: &Source<'_>, options: &ParseOptions) -> Result<Manifest, Problems> {
    let ignore_unsupported = options.ignore_unsupported;
    let mut reader = Reader {
        decoder: Decoder { problems: Vec::new(), ignore_unsupported },
        namespace: options.namespace.clone().unwrap_or_else(|| "default".into()),
        objects: Vec::new(),
    };
    let documents = yaml::documents(source.text);
    if documents.is_empty() {
        let message = "there is no object in this manifest".to_owned();
        reader.error(Place { line: 1, column: 1 }, message, None);
    }
    for document in documents {
        match document {
            Ok(node) => reader.document(&node),
            Err(broken) => reader.error(broken.place, broken.message, None),
        }
    }
    let mut problems = reader.decoder.problems;
    problems.sort_by_key(|problem| problem.place);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return Err(Problems(problems));
    }
    Ok(Manifest { objects: reader.objects, warnings: problems })
}

/// A stored pod, which was checked when it was created, as a [`Pod`] again.
pub fn from_object(object: v1::Pod) -> Result<Pod, Problems> {
    distill::pod(object).map_err(|error| {
        let message = error.to_string();
        let place = Place::default();
        Problems(vec![Problem { severity: Severity::Error, place, message, hint: None }])
    })
}

struct Reader {
    decoder: Decoder,
    namespace: String,
    objects: Vec<Object>,
}

impl Reader {
    fn error(&mut self, place: Place, message: String, hint: Option<String>) {
        self.decoder.problems.push(Problem { severity: Severity::Error, place, message, hint });
    }

    fn document(&mut self, node: &Node) {
        if !matches!(node.value, Value::Map(_)) {
            self.error(node.place, "an object must be a map of fields".into(), None);
            return;
        }
        let kind = node.get("kind").and_then(Node::text).unwrap_or_default().to_owned();
        let version = node.get("apiVersion").and_then(Node::text).unwrap_or_default().to_owned();
        if kind.is_empty() {
            self.error(node.place, "kind: Required value".into(), Some("kind: Pod".into()));
            return;
        }
        if version != "v1" && matches!(kind.as_str(), "Pod" | "ConfigMap" | "Secret" | "List") {
            let place = place_of(node, "apiVersion");
            let message = format!("apiVersion: Invalid value: \"{version}\": must be v1");
            self.error(place, message, Some("apiVersion: v1".into()));
        }
        match kind.as_str() {
            "Pod" => self.pod(node),
            "ConfigMap" => self.stored(
                node,
                "ConfigMap",
                |one: &mut v1::ConfigMap| &mut one.metadata,
                Object::ConfigMap,
            ),
            "Secret" => self.stored(
                node,
                "Secret",
                |one: &mut v1::Secret| &mut one.metadata,
                |secret| Object::Secret(encode_texts(secret)),
            ),
            "PersistentVolumeClaim" => self.stored(
                node,
                "PersistentVolumeClaim",
                |one: &mut v1::PersistentVolumeClaim| &mut one.metadata,
                Object::PersistentVolumeClaim,
            ),
            "List" => self.list(node),
            other => {
                let message = format!("kind {other} is not supported: {OTHER_KINDS}");
                let pod = "what stands below spec.template is a Pod's metadata and spec";
                let has_template =
                    node.get("spec").is_some_and(|spec| spec.get("template").is_some());
                self.error(place_of(node, "kind"), message, has_template.then(|| pod.to_owned()));
            }
        }
    }

    fn list(&mut self, node: &Node) {
        match node.get("items").map(|items| &items.value) {
            Some(Value::List(items)) => items.iter().for_each(|item| self.document(item)),
            _ => self.error(node.place, "items: Required value".into(), None),
        }
    }

    fn pod(&mut self, node: &Node) {
        let before = self.decoder.problems.len();
        let Some(mut object) = self.decode::<v1::Pod>(node, "Pod") else {
            return;
        };
        defaults::metadata(&mut object.metadata, &self.namespace);
        if let Some(spec) = &mut object.spec {
            defaults::pod(spec);
        }
        object.status = None;
        let findings = validate::check(&object);
        self.place(node, findings);
        let is_fine = self.decoder.problems[before..]
            .iter()
            .all(|problem| problem.severity == Severity::Warning);
        if !is_fine {
            return;
        }
        match distill::pod(object) {
            Ok(pod) => self.objects.push(Object::Pod(Box::new(pod))),
            Err(error) => self.error(node.place, error.to_string(), None),
        }
    }

    fn stored<T: DeserializeOwned>(
        &mut self,
        node: &Node,
        kind: &str,
        metadata: fn(&mut T) -> &mut ObjectMeta,
        wrap: fn(T) -> Object,
    ) {
        let Some(mut object) = self.decode::<T>(node, kind) else {
            return;
        };
        let metadata = metadata(&mut object);
        defaults::metadata(metadata, &self.namespace);
        let mut findings = Findings::default();
        validate::object_name(metadata, &mut findings);
        let is_fine = findings.0.is_empty();
        self.place(node, findings.0);
        if is_fine {
            self.objects.push(wrap(object));
        }
    }

    fn decode<T: DeserializeOwned>(&mut self, node: &Node, kind: &str) -> Option<T> {
        let before = self.decoder.problems.len();
        let json = self.decoder.object(node, kind, "")?;
        let has_errors = self.decoder.problems[before..]
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        match serde_json::from_value(json) {
            Ok(object) => Some(object),
            // What is wrong has been said, with its place.
            Err(_) if has_errors => None,
            Err(error) => {
                self.error(node.place, format!("{kind} is not valid: {error}"), None);
                None
            }
        }
    }

    fn place(&mut self, node: &Node, findings: Vec<Finding>) {
        for Finding { field, message, hint } in findings {
            self.error(place_of(node, &field), format!("{field}: {message}"), hint);
        }
    }
}

/// `stringData` is `data` that nobody had to encode.
fn encode_texts(mut secret: v1::Secret) -> v1::Secret {
    let texts: BTreeMap<String, String> = secret.string_data.take().unwrap_or_default();
    if !texts.is_empty() {
        let data = secret.data.get_or_insert_default();
        data.extend(texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
    }
    secret
}
