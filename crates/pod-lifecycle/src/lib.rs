//! What should happen next in a pod, given what happened.
