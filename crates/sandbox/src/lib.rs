//! A plan becomes a confined process in the pod's shared namespaces.
