//! Debian's docker-registry in a lab's internet.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use crate::{Lab, fixtures};

/// Where the registry listens in the lab.
pub const ADDRESS: &str = "203.0.113.1:5000";
/// What opens a private one.
pub const CREDENTIALS: (&str, &str) = ("me", "secret");
/// The line of an htpasswd file for these credentials.
const HTPASSWD: &str = "me:$2b$04$6KCE7a27Mp80M/4YzJYMBuXdfoxQbEq0op/QHLOBe36kgzVsOUMhS";

/// A running registry; dropping it ends it.
#[derive(Debug)]
pub struct Registry {
    process: Child,
    directory: TempDir,
    authority: String,
}

impl Registry {
    /// Starts a registry in the lab's internet and pushes these fixture images to it. It stands in
    /// Docker Hub's place and speaks plain HTTP.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn start(lab: &Lab, images: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a directory for the registry");
        // The location instead of a mirror: what this registry lacks is not looked for elsewhere.
        let instead = format!(
            "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{ADDRESS}\"\ninsecure = true\n"
        );
        std::fs::write(directory.path().join("registries.conf"), instead).expect("its settings");
        Self::serve(lab, (directory, String::new()), "", images)
    }

    /// Starts one that wants a name and a password, with a certificate of an authority that nobody
    /// knows.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn start_private(lab: &Lab, images: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().expect("a directory for the registry");
        let (authority, certificate, key) = certificate();
        let write = |name: &str, content: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, content).expect("a file of the registry");
            path.display().to_string()
        };
        let (certificate, key) = (write("tls.crt", &certificate), write("tls.key", &key));
        let passwords = write("htpasswd", HTPASSWD);
        let more = format!(
            "  tls: {{certificate: {certificate}, key: {key}}}\n\
             auth: {{htpasswd: {{realm: test, path: {passwords}}}}}\n"
        );
        Self::serve(lab, (directory, authority), &more, images)
    }

    fn serve(
        lab: &Lab,
        (directory, authority): (TempDir, String),
        more: &str,
        images: &[(&str, &str)],
    ) -> Self {
        let storage = directory.path().join("storage");
        let settings = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http:\n  addr: '{ADDRESS}'\n{more}",
            storage.display()
        );
        let path = directory.path().join("config.yml");
        std::fs::write(&path, settings).expect("the registry's settings");
        let process = lab
            .internet("docker-registry")
            .args(["serve", &path.display().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry can be started");
        let registry = Self { process, directory, authority };
        let scheme = if registry.authority.is_empty() { "http" } else { "https" };
        let mut ready = lab.command(Path::new("curl"));
        ready.args(["-sk", "--retry", "50", "--retry-connrefused", "--retry-delay", "1"]);
        run(ready.arg(format!("{scheme}://{ADDRESS}/v2/")));
        for (layout, name) in images {
            let from = format!("oci:{}", fixtures::layout(layout).display());
            let to = format!("docker://{ADDRESS}/{name}");
            let credentials = format!("{}:{}", CREDENTIALS.0, CREDENTIALS.1);
            let mut push = lab.command(Path::new("skopeo"));
            push.args(["copy", "--quiet", "--dest-tls-verify=false", "--dest-creds"]);
            run(push.args([&credentials, &from, &to]));
        }
        registry
    }

    /// The `registries.conf` that puts the registry in Docker Hub's place.
    pub fn configuration(&self) -> String {
        self.directory.path().join("registries.conf").display().to_string()
    }

    /// The certificate of a private registry's authority.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// The certificate of an authority, and one for the registry with its key.
fn certificate() -> (String, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = || KeyPair::generate().expect("there is randomness");
    let authority = CertifiedIssuer::self_signed(params, key()).expect("it signs itself");
    let host = ADDRESS.split(':').next().unwrap_or_default().to_owned();
    let params = CertificateParams::new(vec![host]).expect("it is an address");
    let key = key();
    let certificate = params.signed_by(&key, &authority).expect("it signs");
    (authority.pem(), certificate.pem(), key.serialize_pem())
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
