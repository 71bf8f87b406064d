//! Lives of pods in virtual time, one line per thing that is done.

mod hooks;
mod images;
mod inits;
mod probes;
mod restarts;
mod rules;
mod sandbox;
mod sidecars;
mod simulator;
mod status;
mod termination;
mod updates;

use std::time::Duration;

use pod_lifecycle::Fact;
use simulator::Simulator;

/// A pod of that restart policy; `rest` is the rest of its specification.
fn pod(policy: &str, rest: &str) -> Simulator {
    Simulator::new(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  restartPolicy: {policy}\n{rest}"
    ))
}

const MAIN: &str = "  containers: [{name: web, image: 'i:1'}]\n";
const TWO_MAINS: &str = "  containers: [{name: web, image: 'i:1'}, {name: log, image: 'i:1'}]\n";
const TWO_INITS: &str = "  initContainers: [{name: a, image: 'i:1'}, {name: b, image: 'i:1'}]\n";

/// A main container `web` with more fields.
fn main_with(fields: &str) -> String {
    format!("  containers:\n  - {{name: web, image: 'i:1', {fields}}}\n")
}

/// Sidecars of these names.
fn sidecars(names: &[&str]) -> String {
    let lines = names
        .iter()
        .map(|name| format!("  - {{name: {name}, image: 'i:1', restartPolicy: Always}}\n"));
    format!("  initContainers:\n{}", lines.collect::<String>())
}

fn delete(grace: Option<u64>) -> Fact {
    Fact::DeleteRequested { grace: grace.map(Duration::from_secs) }
}
