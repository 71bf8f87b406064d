//! Prints as JSON what a process in a container sees.

fn main() {}
