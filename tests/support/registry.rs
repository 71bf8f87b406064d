//! Debian's docker-registry in a lab's internet.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{Lab, fixtures};

/// Where the registry listens in the lab.
const ADDRESS: &str = "203.0.113.1:5000";

/// A running registry; dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    directory: TempDir,
}

impl Registry {
    /// Starts a registry in the lab's internet and pushes these fixture images to it.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn start(lab: &Lab, images: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a directory for the registry");
        let storage = directory.path().join("storage");
        let settings = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{ADDRESS}'}}\n",
            storage.display()
        );
        let path = directory.path().join("config.yml");
        std::fs::write(&path, settings).expect("the registry's settings");
        // The location instead of a mirror: what this registry lacks is not looked for elsewhere.
        let instead = format!(
            "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{ADDRESS}\"\ninsecure = true\n"
        );
        std::fs::write(directory.path().join("registries.conf"), instead).expect("its settings");
        let process = lab
            .internet("docker-registry")
            .args(["serve", &path.display().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry can be started");
        let registry = Self { process, directory };
        let mut ready = lab.command(Path::new("curl"));
        ready.args(["-s", "--retry", "50", "--retry-connrefused", "--retry-delay", "1"]);
        run(ready.arg(format!("http://{ADDRESS}/v2/")));
        for (layout, name) in images {
            let from = format!("oci:{}", fixtures::layout(layout).display());
            let to = format!("docker://{ADDRESS}/{name}");
            let mut push = lab.command(Path::new("skopeo"));
            run(push.args(["copy", "--quiet", "--dest-tls-verify=false", &from, &to]));
        }
        registry
    }

    /// The `registries.conf` that puts the registry in Docker Hub's place.
    pub fn configuration(&self) -> String {
        self.directory.path().join("registries.conf").display().to_string()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait(); // nobody is left to tell
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("the program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
