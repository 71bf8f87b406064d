//! Images from registries and files that fail, lie or attack. Everything is made here and served
//! on the loopback; stores are in temporary directories. Needs root, as unpacking does.

mod addresses;
mod archive;
mod archive_formats;
mod catalogue;
mod child;
mod credentials;
mod damaged_layers;
mod field;
mod hostile_archives;
mod hostile_documents;
mod hostile_layers;
mod image;
mod interruptions;
mod layer_bombs;
mod layer_metadata;
mod layer_stacks;
mod lenient_documents;
mod mirrors;
mod pruning;
mod random_input;
mod realms;
mod registry;
mod registry_faults;
mod registry_lies;
mod restarts;
mod saving;
mod store;
mod tls;
mod unchanged;
