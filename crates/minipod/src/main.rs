//! Runs one Kubernetes pod on one Linux machine.

fn main() {}
