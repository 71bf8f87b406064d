//! What a user sees: functions from values to text, without files, clocks or terminals.

pub(crate) mod custom_columns;
pub(crate) mod describe;
pub(crate) mod fields;
pub(crate) mod images;
pub(crate) mod jsonpath;
pub(crate) mod namespaces;
pub(crate) mod output;
pub(crate) mod sort;
pub(crate) mod table;
pub(crate) mod tabs;
pub(crate) mod usage;
pub(crate) mod version;
pub(crate) mod yaml;
