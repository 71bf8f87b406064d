//! An image reference becomes a verified root filesystem.
