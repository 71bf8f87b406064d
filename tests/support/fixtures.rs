//! Where the program, the images and the examples are.

use std::path::{Path, PathBuf};

/// The top of the workspace.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).unwrap_or_default()
}

/// The program under test: `MINIPOD_BIN`, else the one that was built last.
pub fn program() -> PathBuf {
    match std::env::var_os("MINIPOD_BIN") {
        Some(path) => path.into(),
        None => workspace().join("target/debug/minipod"),
    }
}

/// The OCI layout of a fixture image.
pub fn layout(name: &str) -> PathBuf {
    workspace().join("rootfs-fixtures/build").join(name)
}

/// An example manifest.
pub fn example(name: &str) -> PathBuf {
    workspace().join("examples").join(name)
}

/// The real kubectl, as `scripts/install-needs` fetches it.
pub fn kubectl() -> PathBuf {
    workspace().join("target/clients/kubectl")
}
