//! Objects by the verbs of HTTP.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use pod_api::pods::{FoundPod, Pods};
use pod_api::selectors::{FieldSelector, LabelSelector};
use pod_api::{Object, Resource, Selection};
use serde_json::{Value, json};

use crate::kinds::{Kind, Source};
use crate::request::{Objects, Query};
use crate::respond::{Answer, Failed, document};
use crate::server::Shared;
use crate::table::{self, Form};
use crate::watch::Watch;
use crate::writing::Options;
use crate::{exec, logs, node, port_forward, protobuf};

/// The longest body, in bytes: what etcd takes of an object, and something above it.
const LONGEST_BODY: usize = 3 << 20;

/// Answers a request for objects.
pub(crate) async fn answer(
    shared: &Arc<Shared>,
    wanted: Objects,
    query: Query,
    request: Request<Incoming>,
) -> Result<Answer, Failed> {
    shared.cache.catch_up().await?;
    let headers = request.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let form = Form::of(text(ACCEPT).unwrap_or_default(), query.get("includeObject"));
    let kind_of_body = text(CONTENT_TYPE).unwrap_or_default().to_owned();
    let asked = Asked { shared, wanted, query, form };
    let method = request.method().clone();
    if asked.wanted.subresource.is_some() {
        return asked.subresource(method, request).await;
    }
    if method == Method::GET {
        return asked.read();
    }
    let verb = match (&method, &asked.wanted.name) {
        (&Method::POST, None) => "create",
        (&Method::PUT, Some(_)) => "update",
        (&Method::PATCH, Some(_)) => "patch",
        (&Method::DELETE, Some(_)) => "delete",
        (&Method::DELETE, None) => "deletecollection",
        _ => return Err(Failed::not_allowed()),
    };
    if !asked.wanted.kind.verbs.contains(&verb) {
        return Err(Failed::not_allowed());
    }
    let body = body(request).await?;
    match verb {
        "create" => asked.create(&protobuf::body(&body)?).await,
        "update" => asked.update(protobuf::body(&body)?).await,
        "patch" => asked.patch(&kind_of_body, &body).await,
        "delete" => {
            let name = asked.wanted.name.clone().unwrap_or_default();
            let deleted = asked.delete(&name, &Options::of(&body)?).await?;
            Ok(document(StatusCode::OK, &deleted))
        }
        _ => asked.delete_all(&Options::of(&body)?).await,
    }
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Failed> {
    let limited = Limited::new(request.into_body(), LONGEST_BODY);
    let collected = limited.collect().await.map_err(|error| {
        Failed::new(413, "RequestEntityTooLarge", format!("the body cannot be read: {error}"))
    })?;
    Ok(collected.to_bytes())
}

/// A request for objects, with what it needs.
pub(crate) struct Asked<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) wanted: Objects,
    query: Query,
    pub(crate) form: Form,
}

impl Asked<'_> {
    pub(crate) fn kind(&self) -> &'static Kind {
        self.wanted.kind
    }

    pub(crate) fn resource(&self) -> Result<Resource, Failed> {
        match self.kind().source {
            Source::Stored(resource) => Ok(resource),
            _ => Err(Failed::not_allowed()),
        }
    }

    pub(crate) fn namespace(&self) -> &str {
        self.wanted.namespace.as_deref().unwrap_or_default()
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.query.all("dryRun").any(|value| value == "All")
    }

    fn read(&self) -> Result<Answer, Failed> {
        if let Some(name) = &self.wanted.name {
            let (value, object) = self.one(name)?;
            let shown = table::one(self.form, self.kind(), &value, object.as_ref());
            return Ok(document(StatusCode::OK, &shown));
        }
        let meant = self.selection()?;
        let others = self.others(&meant);
        if self.query.is_true("watch") {
            let cache = Arc::clone(&self.shared.cache);
            let watch = Watch { cache, kind: self.kind(), meant, form: self.form };
            return watch.answer(&self.query, others);
        }
        Ok(document(StatusCode::OK, &self.list(&meant, others)))
    }

    pub(crate) fn one(&self, name: &str) -> Result<(Value, Option<Object>), Failed> {
        let missing = || {
            let text = format!("{} \"{name}\" not found", self.kind().plural);
            Failed::new(404, "NotFound", text)
        };
        if let Source::Stored(resource) = self.kind().source {
            let found = self.shared.cache.find(resource, self.namespace(), name);
            let entry = found.ok_or_else(missing)?;
            return Ok((entry.value().clone(), Some(entry.object.clone())));
        }
        let all = self.others(&Selection::of(self.wanted.namespace.as_deref()));
        let found = all.into_iter().find(|value| value["metadata"]["name"] == name);
        Ok((found.ok_or_else(missing)?, None))
    }

    pub(crate) fn selection(&self) -> Result<Selection, Failed> {
        let wrong =
            |error: pod_api::selectors::SelectorError| Failed::bad_request(error.to_string());
        let fields = self.query.get("fieldSelector").unwrap_or_default();
        let known = match self.kind().source {
            Source::Stored(resource) => resource.selectable(),
            _ => &["metadata.name", "metadata.namespace"],
        };
        Ok(Selection {
            namespace: self.wanted.namespace.clone(),
            labels: LabelSelector::parse(self.query.get("labelSelector").unwrap_or_default())
                .map_err(wrong)?,
            fields: FieldSelector::parse(fields, self.kind().plural, known).map_err(wrong)?,
        })
    }

    /// The objects of a kind that is not stored.
    fn others(&self, meant: &Selection) -> Vec<Value> {
        let (namespaces, version) = self.shared.cache.namespaces();
        let settings = self.shared.api.settings();
        let mut all: Vec<Value> = match self.kind().source {
            Source::Stored(_) => Vec::new(),
            Source::Namespaces => namespaces.iter().map(|name| node::namespace(name)).collect(),
            Source::Nodes => {
                let Shared { node_address, version, .. } = &**self.shared;
                vec![node::node(&settings.node_name, node_address, version)]
            }
            Source::ServiceAccounts => {
                namespaces.iter().map(|name| node::service_account(name)).collect()
            }
        };
        for value in &mut all {
            value["metadata"]["resourceVersion"] = version.to_string().into();
        }
        let text = |value: &Value, path: &str| {
            let found = value.pointer(&format!("/{}", path.replace('.', "/")));
            found.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        all.retain(|value| {
            let namespace = text(value, "metadata.namespace");
            let labels = serde_json::from_value(value["metadata"]["labels"].clone()).ok();
            meant.namespace.as_ref().is_none_or(|wanted| *wanted == namespace)
                && meant.labels.matches(labels.as_ref())
                && meant.fields.matches(|field| text(value, field))
        });
        all
    }

    fn list(&self, meant: &Selection, others: Vec<Value>) -> Value {
        let (mut entries, version) = match self.kind().source {
            Source::Stored(resource) => self.shared.cache.list(resource),
            _ => (Vec::new(), self.shared.cache.version()),
        };
        entries.retain(|entry| meant.matches(&entry.object));
        if self.kind().source == Source::Stored(Resource::Event) {
            entries.sort_by_key(|entry| match &entry.object {
                Object::Event(event) => pod_api::object::last_seen(event).map(|time| time.0),
                _ => None,
            });
        }
        let kind = self.kind();
        let version = version.to_string();
        match self.form {
            Form::Objects => {
                let items = entries.iter().map(|entry| entry.value().clone()).chain(others);
                let items: Vec<Value> = items.map(without_kind).collect();
                json!({"kind": format!("{}List", kind.name), "apiVersion": "v1",
                    "metadata": {"resourceVersion": version}, "items": items})
            }
            Form::Metadata => {
                let items = entries.iter().map(|entry| table::metadata(entry.value()));
                let items: Vec<Value> = items.chain(others.iter().map(table::metadata)).collect();
                json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                    "metadata": {"resourceVersion": version}, "items": items})
            }
            form => {
                let row = |value: &Value, object| table::row(form, kind, value, object);
                let rows = entries.iter().map(|entry| row(entry.value(), Some(&entry.object)));
                let rows = rows.chain(others.iter().map(|value| row(value, None)));
                table::table(kind, rows.collect(), &version)
            }
        }
    }

    async fn subresource(
        &self,
        method: Method,
        request: Request<Incoming>,
    ) -> Result<Answer, Failed> {
        let name = self.wanted.name.as_deref().unwrap_or_default();
        let subresource = self.wanted.subresource.as_deref().unwrap_or_default();
        let is_pod = self.kind().source == Source::Stored(Resource::Pod);
        match (subresource, &method) {
            ("log", &Method::GET) if is_pod => {
                logs::answer(self.shared, self.pod(name)?, &self.query)
            }
            ("exec" | "attach", &Method::GET | &Method::POST) if is_pod => {
                let found = self.pod(name)?;
                exec::answer(found, &self.query, request, subresource == "attach")
            }
            ("portforward", &Method::GET | &Method::POST) if is_pod => {
                port_forward::answer(self.pod(name)?, request)
            }
            ("eviction", &Method::POST) if is_pod => {
                let body = protobuf::body(&body(request).await?)?;
                let options = Options::of(body["deleteOptions"].to_string().as_bytes())?;
                self.delete(name, &options).await?;
                let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                    "status": "Success", "code": 201});
                Ok(document(StatusCode::CREATED, &done))
            }
            ("status", &Method::GET) => {
                let (value, object) = self.one(name)?;
                let shown = table::one(self.form, self.kind(), &value, object.as_ref());
                Ok(document(StatusCode::OK, &shown))
            }
            _ => Err(Failed::no_such_path()),
        }
    }

    fn pod(&self, name: &str) -> Result<FoundPod, Failed> {
        let found = Pods::new(self.shared.api.places()).find(self.namespace(), name);
        let found = found.map_err(|error| Failed::internal(&error))?;
        found.ok_or_else(|| Failed::new(404, "NotFound", format!("pods \"{name}\" not found")))
    }
}

/// Items of a list have no kind of their own.
fn without_kind(mut value: Value) -> Value {
    if let Value::Object(object) = &mut value {
        object.remove("apiVersion");
        object.remove("kind");
    }
    value
}
