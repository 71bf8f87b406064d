//! One row per rule: a piece of a manifest, and Kubernetes' sentences about it, all of them.

#![expect(clippy::too_many_lines, reason = "tables are as long as there are rules")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on is a failed test")]

mod container;
mod corpus;
mod decoding;
mod defaults;
mod objects;
mod order;
mod pod;
mod pod_resources;
mod security;
mod sources;
mod volume;

use pod_model::{ParseOptions, Problem, Source};

/// A piece of a manifest and everything that is said about it.
type Row = (&'static str, &'static [&'static str]);

/// All problems of a manifest, warnings included.
fn problems(text: &str) -> Vec<Problem> {
    let source = Source { name: "pod.yaml", text };
    match pod_model::parse(&source, &ParseOptions::default()) {
        Ok(manifest) => manifest.warnings,
        Err(problems) => problems.0,
    }
}

fn messages(text: &str) -> Vec<String> {
    problems(text).into_iter().map(|problem| problem.message).collect()
}

/// A pod with this specification.
fn pod(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec: {spec}\n")
}

/// A pod with one container that has these fields, too.
fn container(fields: &str) -> String {
    pod(&format!("{{containers: [{{name: c, image: i, {fields}}}]}}"))
}

/// A pod with one fine container and these fields.
fn beside(fields: &str) -> String {
    pod(&format!("{{containers: [{{name: c, image: i}}], {fields}}}"))
}

fn check(rows: &[Row], manifest: impl Fn(&str) -> String) {
    for (piece, expected) in rows {
        let text = manifest(piece);
        assert_eq!(messages(&text), *expected, "{text}");
    }
}
