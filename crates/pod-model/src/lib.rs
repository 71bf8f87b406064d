//! The words of the domain: a manifest becomes a valid pod.
