//! Probes and hooks: asked from outside the containers, whose images need no tool for it.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use e2e_tests::{Node, fixtures};

use crate::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "every_kind_of_probe_and_hook_asks_the_pods_ports",
        every_kind_of_probe_and_hook_asks_the_pods_ports,
    ),
    ("a_container_without_a_listener_is_killed", a_container_without_a_listener_is_killed),
    ("probes_and_hooks_are_asked_from_the_node", probes_and_hooks_are_asked_from_the_node),
];

/// HTTP that wants a header, HTTPS with a certificate nobody trusts, and gRPC's health service:
/// `/flip` makes both turn bad. Connections without HTTP are closed, as Node.js does it.
const SERVER: &str = r"
const http = require('http'), https = require('https'), http2 = require('http2'), fs = require('fs');
let well = true;
const answer = (request, response) => {
  if (request.url == '/flip') well = false;
  if (request.url == '/away') { response.writeHead(302, {Location: 'http://192.0.2.1/'}); return response.end('elsewhere'); }
  if (request.url == '/here') { response.writeHead(302, {Location: '/'}); return response.end(); }
  const named = request.headers['x-probe'] == 'yes' && request.headers.host == 'example.com';
  response.writeHead(request.url == '/headers' && !named ? 404 : well ? 200 : 503);
  response.end();
};
http.createServer(answer).listen(8080, '0.0.0.0');
const certificate = {key: fs.readFileSync('/certs/key'), cert: fs.readFileSync('/certs/crt')};
https.createServer(certificate, answer).listen(8443, '0.0.0.0');
http2.createServer().on('stream', (stream, headers) => {
  let data = Buffer.alloc(0);
  stream.on('data', piece => data = Buffer.concat([data, piece]));
  stream.on('end', () => {
    const known = headers[':path'] == '/grpc.health.v1.Health/Check' && data.subarray(7).toString() == 'web';
    stream.respond({':status': 200, 'content-type': 'application/grpc'}, {waitForTrailers: true});
    stream.on('wantTrailers', () => stream.sendTrailers({'grpc-status': known ? '0' : '5', 'grpc-message': 'unknown'}));
    stream.end(Buffer.from([0, 0, 0, 0, 2, 8, well ? 1 : 2]));
  });
}).listen(9000, '0.0.0.0');
";

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: probes}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: files, configMap: {name: server}}]
  initContainers:
  - name: server
    image: luksa/kubia:1.0
    restartPolicy: Always
    command: [node, /certs/server.js]
    ports: [{name: http, containerPort: 8080}]
    volumeMounts: [{name: files, mountPath: /certs}]
    startupProbe: {tcpSocket: {port: 9000}, periodSeconds: 1, failureThreshold: 60}
    readinessProbe:
      httpGet:
        path: headers
        port: http
        httpHeaders: [{name: X-Probe, value: 'yes'}, {name: Host, value: example.com}]
      periodSeconds: 1
      failureThreshold: 1
  containers:
  - name: https
    image: busybox:1.36
    command: [sleep, '998']
    readinessProbe: {httpGet: {scheme: HTTPS, path: /here, port: 8443}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 5}
    lifecycle: {postStart: {httpGet: {scheme: HTTPS, port: 8080}}}
  - name: grpc
    image: busybox:1.36
    command: [sleep, '998']
    readinessProbe: {grpc: {port: 9000, service: web}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 5}
    lifecycle: {postStart: {exec: {command: [touch, /hooked]}}, preStop: {sleep: {seconds: 1}}}
  - name: away
    image: busybox:1.36
    command: [sleep, '998']
    readinessProbe: {httpGet: {path: /away, port: '8080'}, periodSeconds: 60}
  - name: hangs
    image: busybox:1.36
    command: [sleep, '998']
    readinessProbe: {exec: {command: [sh, -c, 'sleep 999 & sleep 999']}, periodSeconds: 2, failureThreshold: 99}
";

fn manifest() -> String {
    let indented = |text: &str| text.trim_end().replace('\n', "\n      ");
    let file = |name: &str| {
        let path = fixtures::workspace().join("rootfs-fixtures/files").join(name);
        indented(&fs::read_to_string(path).expect("a file of the fixtures"))
    };
    let (crt, key) = (file("example-com.crt"), file("example-com.key"));
    let server = indented(SERVER.trim_start());
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: server}}\ndata:\n  \
         crt: |\n      {crt}\n  key: |\n      {key}\n  server.js: |\n      {server}\n---\n{POD}"
    )
}

/// MP-23.
fn every_kind_of_probe_and_hook_asks_the_pods_ports() {
    let node = Node::new("probes", &["busybox", "kubia"]);
    let _ = node.apply(&manifest()).succeeds();
    let is_ready = |wanted: &[&str]| {
        node.wait_until("probes", |pod| {
            let statuses = ["containerStatuses", "initContainerStatuses"]
                .map(|list| pod["status"][list].as_array().cloned().unwrap_or_default());
            let mut ready: Vec<String> = statuses
                .concat()
                .iter()
                .filter(|status| status["ready"] == true)
                .map(|status| status["name"].as_str().unwrap_or_default().to_owned())
                .collect();
            ready.sort();
            ready == wanted
        });
    };
    is_ready(&["away", "grpc", "https", "server"]);
    let ip = node.pod("probes")["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    let _ = node.run(&["exec", "probes", "-c", "grpc", "--", "ls", "/hooked"]).succeeds();
    let hangs = "Readiness probe failed: command timed out: \"sh -c sleep 999 & sleep 999\" timed out after 1s";
    node.wait_for_event("Unhealthy", hangs);
    let processes = node.run(&["exec", "probes", "-c", "hangs", "--", "ps"]).succeeds().stdout;
    assert!(!processes.contains("sleep 999"), "a probe's children are killed, too:\n{processes}");
    let flip = format!("http://{ip}:8080/flip");
    let _ = node.run(&["exec", "probes", "-c", "https", "--", "wget", "-qO-", &flip]).ends_with(1);
    is_ready(&["away"]);
    let events = node.events();
    for (reason, message) in [
        ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
        ("Unhealthy", "Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")"),
        (
            "ProbeWarning",
            "Readiness probe warning: Probe terminated redirects, Response body: elsewhere",
        ),
        (
            "LifecycleHTTPFallback",
            &format!(
                "request to HTTPS lifecycle hook {ip}:8080 got HTTP response, retry with HTTP succeeded"
            ),
        ),
    ] {
        let is_there = events.iter().any(|event| event.0 == reason && event.1 == message);
        assert!(is_there, "{reason} {message}\n{events:#?}");
    }
    node.delete_leaves_nothing("probes", &[]);
}

/// MP-24.
fn a_container_without_a_listener_is_killed() {
    let node = Node::new("closed", &["busybox"]);
    let manifest = "\
apiVersion: v1
kind: Pod
metadata: {name: closed}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:1.36
    command: [sleep, '1000']
    livenessProbe: {tcpSocket: {port: 81}, periodSeconds: 1, failureThreshold: 1}
    lifecycle: {preStop: {tcpSocket: {port: 81}}}
";
    let _ = node.apply(manifest).succeeds();
    let pod = node.wait_for_phase("closed", "Failed");
    let ip = pod["status"]["podIP"].as_str().unwrap_or_default();
    let events = node.events();
    for (reason, message) in [
        (
            "Unhealthy",
            format!("Liveness probe failed: dial tcp {ip}:81: connect: connection refused"),
        ),
        ("Killing", "Container main failed liveness probe".to_owned()),
        ("FailedPreStopHook", "PreStopHook failed".to_owned()),
    ] {
        let is_there = events.iter().any(|event| event.0 == reason && event.1 == message);
        assert!(is_there, "{reason} {message}\n{events:#?}");
    }
    node.delete_leaves_nothing("closed", &[]);
}

/// A kubelet asks from the node: a server of the pod sees the node's address, and the loopback that
/// a `host` names is the node's.
fn probes_and_hooks_are_asked_from_the_node() {
    let node = Node::new("from-node", &["busybox", "kubia"]);
    let visit = node.lab.enter();
    let server = TcpListener::bind("127.0.0.1:0").expect("a port of the node");
    drop(visit);
    let port = server.local_addr().expect("its address").port();
    let told = std::thread::spawn(move || {
        // The hook's request and the probe's connection.
        let mut lines = Vec::new();
        while !lines.iter().any(|line: &String| line.starts_with("GET /hooked ")) {
            let (stream, peer) = server.accept().expect("a connection");
            assert!(peer.ip().is_loopback(), "{peer}");
            let mut line = String::new();
            let mut reader = BufReader::new(stream);
            let _ = reader.read_line(&mut line); // the probe closes without a word
            let _ = reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            lines.push(line);
        }
        (lines, server) // as long as it listens, the probe succeeds
    });
    let manifest = format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: asked}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: server
    image: luksa/kubia:1.0
    readinessProbe: {{httpGet: {{port: 8080}}, periodSeconds: 1}}
  - name: node
    image: busybox:1.36
    command: [sleep, '998']
    readinessProbe: {{tcpSocket: {{host: localhost, port: {port}}}, periodSeconds: 1}}
    lifecycle: {{postStart: {{httpGet: {{host: 127.0.0.1, path: /hooked, port: {port}}}}}}}
"
    );
    let _ = node.apply(&manifest).succeeds();
    node.wait_for_status("asked", &["Running"]);
    let (lines, _server) = told.join().expect("the node's server");
    assert!(lines.iter().any(|line| line.contains("/hooked")), "{lines:?}");
    let _ = node.run(&["wait", "--for=condition=Ready", "pod/asked", "--timeout=60s"]).succeeds();
    let ip = node.pod("asked")["status"]["podIP"].as_str().unwrap_or_default().to_owned();
    let logs = node.run(&["logs", "asked", "-c", "server"]).succeeds().stdout;
    let peers: Vec<&str> = logs.lines().filter(|line| line.contains("Received request")).collect();
    assert!(!peers.is_empty() && !peers.iter().any(|line| line.contains(&ip)), "{logs}");
}
