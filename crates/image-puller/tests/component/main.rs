//! Images from registries and files that fail, lie or attack. Everything is made here and served
//! on the loopback; stores are in temporary directories. Needs root, as unpacking does.

mod archive;
mod image;
mod registry;
mod registry_faults;
mod registry_lies;
mod store;
