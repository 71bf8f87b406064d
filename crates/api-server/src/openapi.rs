//! As much of `OpenAPI` as clients need to leave validation to the server.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::kinds::KINDS;
use crate::respond::{Answer, bytes, document};

/// `/openapi/v2`: a document that says nothing, in protobuf. Clients before 1.29 want it to be there.
pub(crate) fn v2() -> Answer {
    const EMPTY: &[u8] = b"\x0a\x032.0"; // field 1, swagger = "2.0"
    let kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    bytes(StatusCode::OK, kind, EMPTY)
}

/// `/openapi/v3`
pub(crate) fn index() -> Answer {
    document(
        StatusCode::OK,
        &json!({"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=1"}}}),
    )
}

/// `/openapi/v3/api/v1`: that the server validates.
pub(crate) fn core() -> Answer {
    let parameter = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let mut paths = Map::new();
    for kind in &KINDS {
        let path = if kind.is_namespaced {
            format!("/api/v1/namespaces/{{namespace}}/{}/{{name}}", kind.plural)
        } else {
            format!("/api/v1/{}/{{name}}", kind.plural)
        };
        let about = json!({"group": "", "version": "v1", "kind": kind.name});
        let operation = |parameters: Value| {
            json!({"parameters": parameters, "responses": {},
                "x-kubernetes-group-version-kind": about})
        };
        let parameters = json!([parameter("fieldValidation"), parameter("dryRun")]);
        paths.insert(path, json!({"get": operation(json!([])), "patch": operation(parameters)}));
    }
    let info = json!({"title": "minipod", "version": "v1"});
    let all = json!({"openapi": "3.0.0", "info": info, "paths": paths, "components": {}});
    document(StatusCode::OK, &all)
}
