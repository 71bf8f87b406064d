//! Objects that are created, changed and deleted.

use std::sync::Arc;

use http::StatusCode;
use http::header::{HeaderValue, WARNING};
use pod_api::api::{Applied, Deleted, Existing};
use pod_api::{Object, name_ending};
use pod_model::{ParseOptions, Severity, Source as Text, Unnamed};
use serde_json::{Map, Value, json};

use crate::objects::Asked;
use crate::respond::{Answer, Failed, document};
use crate::{patch, protobuf, table};

/// What a deletion is asked for with.
pub(crate) struct Options {
    grace: Option<u64>,
    is_dry: bool,
    uid: Option<String>,
}

impl Options {
    pub(crate) fn of(body: &[u8]) -> Result<Self, Failed> {
        let options = if body.is_empty() { Value::Null } else { protobuf::body(body)? };
        Ok(Self {
            grace: options["gracePeriodSeconds"].as_u64(),
            is_dry: options["dryRun"][0] == "All",
            uid: options["preconditions"]["uid"].as_str().map(str::to_owned),
        })
    }
}

impl Asked<'_> {
    /// Checks an object by Kubernetes' rules; with what there is to be warned of.
    fn checked(&self, mut value: Value) -> Result<(pod_model::Object, Vec<String>), Failed> {
        let kind = self.kind().name;
        if let Value::Object(object) = &mut value {
            complete(object, kind);
        }
        let stated = value["kind"].as_str().unwrap_or_default();
        if stated != kind {
            let text = format!("the object is a {stated}, and {kind} was expected");
            return Err(Failed::bad_request(text));
        }
        let namespace = value["metadata"]["namespace"].as_str();
        if namespace.is_some_and(|namespace| namespace != self.namespace()) {
            return Err(Failed::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        value["metadata"]["namespace"] = self.namespace().into();
        let name = value["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let text = value.to_string();
        let options = ParseOptions {
            namespace: Some(self.namespace().to_owned()),
            unnamed: Unnamed::EndWith(name_ending),
            ..ParseOptions::default()
        };
        let parsed = pod_model::parse(&Text { name: "", text: &text }, &options);
        let parsed = parsed.map_err(|problems| invalid(kind, &name, &problems.0))?;
        let warnings = parsed.warnings.iter().map(|problem| problem.message.clone()).collect();
        let object = parsed.objects.into_iter().next();
        object
            .map(|object| (object, warnings))
            .ok_or_else(|| Failed::bad_request(format!("there is no {kind} in the request")))
    }

    pub(crate) async fn create(&self, value: &Value) -> Result<Answer, Failed> {
        let (object, warnings) = self.checked(value.clone())?;
        let (shared, is_dry) = (Arc::clone(self.shared), self.is_dry());
        let applied = blocking(move || shared.api.apply(&object, Existing::Refuse, is_dry)).await?;
        self.changed(StatusCode::CREATED, applied, &warnings).await
    }

    pub(crate) async fn update(&self, value: Value) -> Result<Answer, Failed> {
        let name = self.wanted.name.as_deref().unwrap_or_default();
        if value["metadata"]["name"].as_str().is_some_and(|stated| stated != name) {
            return Err(Failed::bad_request(
                "the name of the object does not match the name on the URL",
            ));
        }
        let version = value["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let (object, warnings) = self.checked(value)?;
        let applied = self.store(object, version).await?;
        self.changed(StatusCode::OK, applied, &warnings).await
    }

    async fn store(
        &self,
        object: pod_model::Object,
        version: Option<String>,
    ) -> Result<Applied, Failed> {
        let mut object = Object::from(object);
        object.metadata_mut().resource_version = version;
        let (shared, is_dry) = (Arc::clone(self.shared), self.is_dry());
        blocking(move || shared.api.update(&object, is_dry)).await
    }

    pub(crate) async fn patch(&self, kind: &str, patch: &[u8]) -> Result<Answer, Failed> {
        const MOST_TRIES: usize = 10;
        let name = self.wanted.name.clone().unwrap_or_default();
        let mut tries = 0;
        loop {
            tries += 1;
            let (former, _) = self.one(&name)?;
            let patched = patch::apply(kind, &former, patch)?;
            if patched == former {
                return Ok(document(StatusCode::OK, &former));
            }
            let version = patched["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            let is_conditional =
                version.as_deref() != former["metadata"]["resourceVersion"].as_str();
            let (object, warnings) = self.checked(patched)?;
            match self.store(object, version).await {
                Err(failed) if failed.is("Conflict") && !is_conditional && tries < MOST_TRIES => {
                    self.shared.cache.catch_up().await?; // somebody else was faster
                }
                Err(failed) => return Err(failed),
                Ok(applied) => return self.changed(StatusCode::OK, applied, &warnings).await,
            }
        }
    }

    /// The object as it is since a change.
    async fn changed(
        &self,
        code: StatusCode,
        applied: Applied,
        warnings: &[String],
    ) -> Result<Answer, Failed> {
        if let Some(mut launched) = applied.launched {
            // Whoever starts a supervisor waits for it, in the end.
            std::thread::spawn(move || launched.supervisor.wait());
        }
        self.shared.cache.catch_up().await?;
        let object = applied.object;
        let shown = table::one(self.form, self.kind(), &object.value(), Some(&object));
        let mut answer = document(code, &shown);
        for warning in warnings {
            let text = warning.replace(['\n', '"', '\\'], " ");
            if let Ok(value) = HeaderValue::from_str(&format!("299 minipod \"{text}\"")) {
                answer.headers_mut().append(WARNING, value);
            }
        }
        Ok(answer)
    }

    pub(crate) async fn delete(&self, name: &str, options: &Options) -> Result<Value, Failed> {
        let resource = self.resource()?;
        let (value, object) = self.one(name)?;
        let uid = object.as_ref().map(|object| object.uid().to_owned()).unwrap_or_default();
        if options.uid.as_ref().is_some_and(|wanted| *wanted != uid) {
            let text = format!(
                "Operation cannot be fulfilled on {} \"{name}\": the UID in the precondition does \
                 not match the UID in record",
                self.kind().plural
            );
            return Err(Failed::new(409, "Conflict", text));
        }
        if options.is_dry {
            return Ok(value);
        }
        let shared = Arc::clone(self.shared);
        let (namespace, name, grace) =
            (self.namespace().to_owned(), name.to_owned(), options.grace);
        let about = json!({"name": name, "kind": self.kind().plural, "uid": uid});
        let ended = blocking(move || {
            let deleted = shared.api.delete(resource, &namespace, &name, grace)?;
            if let Deleted::Pod(deletion) = deleted {
                // One that has no supervisor goes at once.
                deletion.leave(shared.api.machine())?;
                return Ok(None);
            }
            Ok(Some(deleted))
        })
        .await?;
        self.shared.cache.catch_up().await?;
        Ok(match ended {
            None => {
                let name = about["name"].as_str().unwrap_or_default();
                self.one(name).map_or(value, |(now, _)| now)
            }
            Some(_) => json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Success", "details": about}),
        })
    }

    pub(crate) async fn delete_all(&self, options: &Options) -> Result<Answer, Failed> {
        let meant = self.selection()?;
        let (entries, _) = self.shared.cache.list(self.resource()?);
        let mut items = Vec::new();
        for entry in entries.iter().filter(|entry| meant.matches(&entry.object)) {
            match self.delete(entry.object.name(), options).await {
                Err(failed) if failed.is("NotFound") => {} // somebody was faster
                deleted => items.push(deleted?),
            }
        }
        let kind = format!("{}List", self.kind().name);
        let version = self.shared.cache.version().to_string();
        let list = json!({"kind": kind, "apiVersion": "v1",
            "metadata": {"resourceVersion": version}, "items": items});
        Ok(document(StatusCode::OK, &list))
    }
}

/// Kubernetes' own fields of an object that a client may send back are those that it got.
fn complete(object: &mut Map<String, Value>, kind: &str) {
    object.entry("apiVersion").or_insert_with(|| "v1".into());
    object.entry("kind").or_insert_with(|| kind.into());
    object.remove("status");
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        for field in ["managedFields", "selfLink", "generation"] {
            metadata.remove(field);
        }
        metadata.retain(|_, value| !value.is_null());
    }
}

fn invalid(kind: &str, name: &str, problems: &[pod_model::Problem]) -> Failed {
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
    let messages: Vec<&str> = errors.map(|problem| problem.message.as_str()).collect();
    let unknown: Vec<&str> =
        messages.iter().copied().filter(|message| message.contains("unknown field")).collect();
    if !unknown.is_empty() {
        let text = format!(
            "{kind} in version \"v1\" cannot be handled as a {kind}: strict decoding error: {}",
            unknown.join(", ")
        );
        return Failed::bad_request(text);
    }
    let mut failed =
        Failed::new(422, "Invalid", format!("{kind} {name:?} is invalid: {}", messages.join(", ")));
    let causes: Vec<Value> = messages
        .iter()
        .map(|message| {
            let (field, message) = message.split_once(": ").unwrap_or(("", message));
            json!({"reason": "FieldValueInvalid", "message": message, "field": field})
        })
        .collect();
    failed.add_details(json!({"name": name, "kind": kind, "causes": causes}));
    failed
}

/// Has another thread do what waits for files or for a supervisor.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, pod_api::ApiError> + Send + 'static,
) -> Result<T, Failed> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(Failed::from),
        Err(error) => Err(Failed::internal(&error)),
    }
}
