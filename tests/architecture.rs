//! The rules of the workspace, checked.
