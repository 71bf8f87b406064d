//! A registry that serves one fixture image, remembers what it was asked and keeps people waiting
//! if that is wanted.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use serde_json::Value;
use tempfile::TempDir;

use crate::node::PATIENCE;
use crate::{Lab, fixtures};

/// The registry; it stands in Docker Hub's place for whoever is in the lab.
#[derive(Debug)]
pub struct LayoutRegistry {
    shared: Arc<Shared>,
    directory: TempDir,
}

#[derive(Debug)]
struct Shared {
    blobs: PathBuf,
    manifest: String,
    layer: String,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    asked: Vec<String>,
    is_holding: bool,
}

impl LayoutRegistry {
    /// Serves that fixture, whatever the name and the tag that it is asked for.
    ///
    /// # Panics
    ///
    /// When that does not work.
    pub fn start(lab: &Lab, fixture: &str) -> Self {
        let layout = fixtures::layout(fixture);
        let blobs = layout.join("blobs/sha256");
        let read = |path: PathBuf| -> Value {
            let text = std::fs::read_to_string(path).expect("the fixture is there");
            serde_json::from_str(&text).expect("it is JSON")
        };
        let digest = |value: &Value| {
            let text = value["digest"].as_str().expect("a descriptor has one");
            text.trim_start_matches("sha256:").to_owned()
        };
        let manifest = digest(&read(layout.join("index.json"))["manifests"][0]);
        let layer = digest(&read(blobs.join(&manifest))["layers"][0]);
        let (state, changed) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { blobs, manifest, layer, state, changed });
        // A socket stays in the network that it was made in.
        let listener = thread::scope(|scope| {
            let bind = || {
                let _visit = lab.enter();
                TcpListener::bind("127.0.0.1:0").expect("the loopback has free ports")
            };
            scope.spawn(bind).join().expect("the lab can be entered")
        });
        let directory = TempDir::new().expect("a directory for the registry");
        let address = listener.local_addr().expect("the listener is bound");
        let instead = format!(
            "[[registry]]\nprefix = \"docker.io\"\nlocation = \"{address}\"\ninsecure = true\n"
        );
        std::fs::write(directory.path().join("registries.conf"), instead).expect("its settings");
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&accepting);
                // A client that goes away in the middle is no concern of ours.
                thread::spawn(move || shared.serve(&stream).ok());
            }
        });
        Self { shared, directory }
    }

    /// The `registries.conf` that puts it in Docker Hub's place.
    pub fn configuration(&self) -> String {
        self.directory.path().join("registries.conf").display().to_string()
    }

    /// The digest of the image's layer, without `sha256:`.
    pub fn layer(&self) -> &str {
        &self.shared.layer
    }

    /// What it was asked, for example `HEAD manifests`, `GET layer`.
    pub fn asked(&self) -> Vec<String> {
        self.shared.lock().asked.clone()
    }

    /// From now on who asks for the layer gets half of it and waits, until that is over.
    pub fn hold(&self, is_holding: bool) {
        self.shared.lock().is_holding = is_holding;
        self.shared.changed.notify_all();
    }

    /// Waits until it has been asked for that.
    ///
    /// # Panics
    ///
    /// When that takes too long; with what it was asked for.
    pub fn wait_until_asked(&self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.lock();
        while !state.asked.iter().any(|asked| asked == what) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "nobody asked for {what}: {:?}", state.asked);
            state = self.shared.changed.wait_timeout(state, left).expect("nobody panics here").0;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics here")
    }

    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        let mut first = [0];
        if stream.peek(&mut first)? == 0 || first[0] == 0x16 {
            return Ok(()); // it speaks no TLS
        }
        let mut lines = BufReader::new(stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (parent, name) = path.rsplit_once('/').unwrap_or_default();
        let name = name.trim_start_matches("sha256:");
        let is_manifest = parent.ends_with("/manifests");
        let is_layer = name == self.layer;
        self.note(match (is_manifest, is_layer) {
            (true, _) => format!("{method} manifests"),
            (false, true) => format!("{method} layer"),
            (false, false) => format!("{method} {}", parent.rsplit('/').next().unwrap_or_default()),
        });
        let name = if is_manifest { &self.manifest } else { name };
        let Ok(content) = std::fs::read(self.blobs.join(name)) else {
            return stream.write_all(b"HTTP/1.1 404 No\r\nConnection: close\r\n\r\n");
        };
        let kind = if is_manifest { "manifest.v1+json" } else { "layer.v1.tar" };
        let head = format!(
            "HTTP/1.1 200 Yes\r\nConnection: close\r\nContent-Length: {}\r\n\
             Content-Type: application/vnd.oci.image.{kind}\r\n\
             Docker-Content-Digest: sha256:{name}\r\n\r\n",
            content.len()
        );
        stream.write_all(head.as_bytes())?;
        if method != "GET" {
            return Ok(());
        }
        let (first, second) = content.split_at(content.len() / 2);
        stream.write_all(first)?;
        if is_layer {
            let state = self.lock();
            let waiting = self.changed.wait_timeout_while(state, PATIENCE, |one| one.is_holding);
            drop(waiting.expect("nobody panics here"));
        }
        stream.write_all(second)
    }

    fn note(&self, asked: String) {
        self.lock().asked.push(asked);
        self.changed.notify_all();
    }
}
