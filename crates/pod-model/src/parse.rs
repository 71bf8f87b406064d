//! A text becomes objects, or every problem at once.

use k8s_openapi::api::core::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;

use crate::decode::{Decoder, place_of};
use crate::kinds::{self, KINDS, LeftOut};
use crate::problem::{Problem, Problems, Severity, Source};
use crate::validate::{self, Findings, Path};
use crate::yaml::{self, Node, Place, Value};
use crate::{Pod, apparmor, defaults, distill, token_volume};

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
    /// The namespace of objects that name none. One that is not `default` was asked for, and an
    /// object that names another one is refused.
    pub namespace: Option<String>,
    /// Whether fields that are not supported are only warned about.
    pub ignore_unsupported: bool,
    /// What becomes of objects without a name.
    pub unnamed: Unnamed,
}

/// What becomes of an object that has a `generateName` and no name.
#[derive(Clone, Copy, Debug)]
pub enum Unnamed {
    /// Its name ends with what this returns.
    EndWith(fn() -> String),
    /// It is refused by this command, which would not find it again.
    Refuse(&'static str),
}

impl Default for Unnamed {
    fn default() -> Self {
        Self::Refuse("apply")
    }
}

/// The most characters of a generated name that come from `generateName`.
const LONGEST_PREFIX: usize = 58;

/// A manifest without errors.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its objects in their order.
    pub objects: Vec<Object>,
    /// What to know about it.
    pub warnings: Vec<Problem>,
    /// What else it describes.
    pub left_out: Vec<LeftOut>,
}

const DEFAULT_NAMESPACE: &str = "default";

/// Reads a manifest.
pub fn parse(source: &Source<'_>, options: &ParseOptions) -> Result<Manifest, Problems> {
    let mut reader = Reader {
        decoder: Decoder::new(options.ignore_unsupported),
        namespace: options.namespace.clone().unwrap_or_else(|| DEFAULT_NAMESPACE.into()),
        objects: Vec::new(),
        unnamed: options.unnamed,
        left_out: Vec::new(),
    };
    let documents = yaml::documents(source.text);
    if documents.is_empty() {
        let message = "there is no object in this manifest".to_owned();
        let hint = "it begins with apiVersion: v1 and kind: Pod".to_owned();
        reader.decoder.error(Place { line: 1, column: 1 }, message, Some(hint));
    }
    for document in documents {
        reader.decoder.object = None;
        match document {
            Ok(node) => reader.document(&node, ""),
            Err(broken) => reader.decoder.error(broken.place, broken.message, None),
        }
    }
    let Reader { decoder, objects, left_out, .. } = reader;
    let mut problems = decoder.problems;
    let is_wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    if is_wrong {
        problems.extend(left_out.iter().map(LeftOut::warning));
    }
    problems.sort_by_key(|problem| problem.place);
    problems.dedup();
    if is_wrong {
        Err(Problems(problems))
    } else {
        Ok(Manifest { objects, warnings: problems, left_out })
    }
}

/// A stored pod, which was checked when it was created, as a [`Pod`] again.
pub fn from_object(object: v1::Pod) -> Result<Pod, Problems> {
    distill::pod(object).map_err(|error| {
        let mut decoder = Decoder::new(false);
        decoder.error(Place::default(), error.to_string(), None);
        Problems(decoder.problems)
    })
}

struct Reader {
    decoder: Decoder,
    namespace: String,
    objects: Vec<Object>,
    unnamed: Unnamed,
    left_out: Vec<LeftOut>,
}

/// What the kinds have in common.
struct Kind<T> {
    name: &'static str,
    metadata: fn(&mut T) -> &mut ObjectMeta,
    defaults: fn(&mut T),
    check: fn(&T, &mut Findings),
}

impl Reader {
    /// Reads an object; in a list of one kind, items need not name it.
    fn document(&mut self, node: &Node, default_kind: &str) {
        if !matches!(node.value, Value::Map(_)) {
            let message = "an object must be a map of fields".to_owned();
            return self.decoder.error(node.place, message, None);
        }
        let text = |field| node.get(field).and_then(Node::text).unwrap_or_default();
        let kind = if text("kind").is_empty() { default_kind } else { text("kind") };
        self.decoder.object = match node.get("metadata").and_then(|metadata| metadata.get("name")) {
            Some(name) if KINDS.contains(&kind) => {
                Some(format!("{kind} {:?}", name.text().unwrap_or_default()))
            }
            _ => None,
        };
        self.duplicates(node, &Path::object());
        if !self.check_type(node, kind, default_kind) {
            return;
        }
        match kind {
            "Pod" => self.pod(node),
            "ConfigMap" => self.config_map(node),
            "Secret" => self.secret(node),
            "PersistentVolumeClaim" => self.claim(node),
            list => self.list(node, kinds::list_of(list).unwrap_or_default()),
        }
    }

    /// Whether the document says which kind of object it is, and it is one that minipod reads.
    fn check_type(&mut self, node: &Node, kind: &str, default_kind: &str) -> bool {
        let version = node.get("apiVersion").and_then(Node::text);
        let (is_item, before) = (!default_kind.is_empty(), self.decoder.errors());
        if version.is_none() && !is_item {
            let hint = Some("apiVersion: v1".to_owned());
            self.decoder.error(node.place, "apiVersion not set".to_owned(), hint);
        }
        if kind.is_empty() {
            let hint = Some("kind: Pod".to_owned());
            self.decoder.error(node.place, "kind not set".to_owned(), hint);
        } else if !KINDS.contains(&kind) && kinds::list_of(kind).is_none() {
            let name = node.get("metadata").and_then(|metadata| metadata.get("name"));
            let name = name.and_then(Node::text).unwrap_or_default();
            let other = LeftOut::new(place_of(node, &Path::root("kind")), kind, name);
            if version.is_none_or(|version| !kinds::is_of_a_cluster(version, kind)) {
                self.decoder.problems.push(other.error());
            } else {
                self.left_out.push(other);
            }
            return false;
        } else if let Some(version) = version.filter(|version| *version != "v1") {
            let place = place_of(node, &Path::root("apiVersion"));
            let message = format!("no matches for kind {kind:?} in version {version:?}");
            self.decoder.error(place, message, Some("apiVersion: v1".to_owned()));
        }
        self.decoder.errors() == before
    }

    fn list(&mut self, node: &Node, kind: &str) {
        let Value::Map(entries) = &node.value else {
            return;
        };
        for (key, _) in entries {
            if !["apiVersion", "kind", "metadata", "items"].contains(&key.name.as_str()) {
                let message = format!("unknown field \"{}\"", key.name);
                self.decoder.error(key.place, message, None);
            }
        }
        match node.get("items").map(|items| &items.value) {
            Some(Value::List(items)) => items.iter().for_each(|item| self.document(item, kind)),
            _ => self.decoder.error(node.place, "items: Required value".to_owned(), None),
        }
    }

    /// Keys that are given twice, wherever they are.
    fn duplicates(&mut self, node: &Node, path: &Path) {
        match &node.value {
            Value::List(items) => {
                for (at, item) in items.iter().enumerate() {
                    self.duplicates(item, &path.index(at));
                }
            }
            Value::Map(entries) => {
                let mut lines = std::collections::HashMap::new();
                for (key, value) in entries {
                    let below = path.child(&key.name);
                    if let Some(line) = lines.insert(key.name.as_str(), key.place.line) {
                        let hint = format!("it was given in line {line} already");
                        let message = format!("duplicate field \"{below}\"");
                        self.decoder.error(key.place, message, Some(hint));
                    }
                    self.duplicates(value, &below);
                }
            }
            _ => {}
        }
    }

    fn pod(&mut self, node: &Node) {
        let kind = Kind {
            name: "Pod",
            metadata: |pod: &mut v1::Pod| &mut pod.metadata,
            defaults: |pod| {
                pod.spec.iter_mut().for_each(defaults::pod);
                pod.status = None;
            },
            check: validate::check,
        };
        let taken_out = token_volume::taken_out(node);
        for place in taken_out.iter().flat_map(|(_, places)| places) {
            let message = "the service account's volume is left out: there is no API server";
            self.decoder.add(Severity::Warning, *place, message.to_owned(), None);
        }
        let mut complete = taken_out.map_or_else(|| node.clone(), |(node, _)| node);
        apparmor::annotations_to_fields(&mut complete);
        let node = &complete;
        self.decoder.is_from_server =
            node.get("metadata").is_some_and(|metadata| metadata.get("uid").is_some());
        let object = self.read(node, &kind);
        self.decoder.is_from_server = false;
        let Some(object) = object else {
            return;
        };
        match distill::pod(object) {
            Ok(pod) => self.objects.push(Object::Pod(Box::new(pod))),
            Err(error) => self.decoder.error(node.place, error.to_string(), None),
        }
    }

    fn config_map(&mut self, node: &Node) {
        let kind = Kind {
            name: "ConfigMap",
            metadata: |map: &mut v1::ConfigMap| &mut map.metadata,
            defaults: |_| {},
            check: validate::config_map,
        };
        let object = self.read(node, &kind).map(Object::ConfigMap);
        self.objects.extend(object);
    }

    fn secret(&mut self, node: &Node) {
        let kind = Kind {
            name: "Secret",
            metadata: |secret: &mut v1::Secret| &mut secret.metadata,
            defaults: defaults::secret,
            check: validate::secret,
        };
        let object = self.read(node, &kind).map(Object::Secret);
        self.objects.extend(object);
    }

    fn claim(&mut self, node: &Node) {
        let kind = Kind {
            name: "PersistentVolumeClaim",
            metadata: |claim: &mut v1::PersistentVolumeClaim| &mut claim.metadata,
            defaults: defaults::claim,
            check: validate::claim,
        };
        let object = self.read(node, &kind).map(Object::PersistentVolumeClaim);
        self.objects.extend(object);
    }

    /// Decodes, completes and checks an object; nothing is returned when anything is wrong.
    fn read<T: DeserializeOwned>(&mut self, node: &Node, kind: &Kind<T>) -> Option<T> {
        let before = self.decoder.errors();
        let json = self.decoder.object(node, kind.name, &Path::object())?;
        let mut object: T = match serde_json::from_value(json) {
            Ok(object) => object,
            Err(error) => {
                // What is wrong has been said, with its place, but for mistakes of this crate.
                if self.decoder.errors() == before {
                    let message = format!("{} is not valid: {error}", kind.name);
                    self.decoder.error(node.place, message, None);
                }
                return None;
            }
        };
        let metadata = (kind.metadata)(&mut object);
        defaults::metadata(metadata, &self.namespace);
        let namespace = metadata.namespace.clone().unwrap_or_default();
        self.check_namespace(node, &namespace);
        (kind.defaults)(&mut object);
        let mut findings = Findings::default();
        (kind.check)(&object, &mut findings);
        self.place(node, findings);
        self.name((kind.metadata)(&mut object), node);
        (self.decoder.errors() == before).then_some(object)
    }

    /// Gives an object its name if the manifest leaves that to whoever creates it.
    fn name(&mut self, metadata: &mut ObjectMeta, node: &Node) {
        let has_name = metadata.name.as_ref().is_some_and(|name| !name.is_empty());
        let Some(prefix) = metadata.generate_name.as_ref().filter(|_| !has_name) else {
            return;
        };
        match self.unnamed {
            Unnamed::EndWith(ending) => {
                let kept: String = prefix.chars().take(LONGEST_PREFIX).collect();
                metadata.name = Some(kept + &ending());
            }
            Unnamed::Refuse(command) => {
                let place = place_of(node, &Path::root("metadata").child("generateName"));
                let message = format!("from {prefix}: cannot use generate name with {command}");
                self.decoder.error(place, message, Some("minipod create -f names it".to_owned()));
            }
        }
    }

    fn check_namespace(&mut self, node: &Node, stated: &str) {
        let asked = self.namespace.clone();
        if asked == DEFAULT_NAMESPACE || asked == stated {
            return;
        }
        let place = place_of(node, &Path::root("metadata").child("namespace"));
        let message = format!(
            "the namespace from the provided object {stated:?} does not match the namespace \
             {asked:?}"
        );
        self.decoder.error(place, message, Some(format!("-n {stated}")));
    }

    /// Gives findings their places. Where the decoder found something wrong, what follows from it
    /// is not said.
    fn place(&mut self, node: &Node, findings: Findings) {
        let said: Vec<Place> = self.decoder.problems.iter().map(|problem| problem.place).collect();
        for finding in findings.0 {
            let place = place_of(node, &finding.at);
            if finding.severity == Severity::Warning || !said.contains(&place) {
                self.decoder.add(finding.severity, place, finding.message, finding.hint);
            }
        }
    }
}
