//! Pods as books and tutorials have them: each is read without a word.

use crate::messages;

const PODS: &[&str] = &[
    // Two containers that talk over localhost, with named ports.
    r"
metadata: {name: web-ssl, labels: {app: web}}
spec:
  containers:
  - name: web
    image: example/web:1.0
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {port: http, path: /}, periodSeconds: 5}
  - name: envoy
    image: example/proxy:1.0
    ports:
    - {name: https, containerPort: 8443}
    - {name: admin, containerPort: 9901}
",
    // Init containers, one of which stays.
    r"
metadata: {name: web-init}
spec:
  initContainers:
  - {name: init-demo, image: 'example/init:1.0', args: ['60']}
  - name: meter
    image: example/meter:1.0
    restartPolicy: Always
    startupProbe: {httpGet: {path: /, port: 8000}, periodSeconds: 1, failureThreshold: 10}
  - {name: check, image: 'example/check:1.0'}
  containers:
  - {name: web, image: 'example/web:1.0', stdin: true, stdinOnce: true, tty: true}
",
    // Hooks, probes, a short grace period, messages at the end.
    r"
metadata: {name: hooks}
spec:
  terminationGracePeriodSeconds: 5
  restartPolicy: Never
  containers:
  - name: nginx
    image: nginx:alpine
    terminationMessagePolicy: FallbackToLogsOnError
    lifecycle:
      postStart: {exec: {command: [sh, -c, 'date > /usr/share/nginx/html/started.html']}}
      preStop: {httpGet: {port: 80, path: /shutdown}}
    livenessProbe: {exec: {command: [/usr/bin/healthcheck]}, initialDelaySeconds: 2, timeoutSeconds: 1}
",
    // A quote writer and a web server share a directory; a host's socket and a claim.
    r"
metadata: {name: quote}
spec:
  volumes:
  - {name: content, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  - {name: socket, hostPath: {path: /run/docker.sock, type: Socket}}
  - {name: data, persistentVolumeClaim: {claimName: quiz}}
  - {name: tools, image: {reference: 'example/tools:1.0', pullPolicy: IfNotPresent}}
  containers:
  - name: writer
    image: example/writer:0.1
    volumeMounts: [{name: content, mountPath: /var/local/output}]
  - name: nginx
    image: nginx:alpine
    volumeMounts:
    - {name: content, mountPath: /usr/share/nginx/html, readOnly: true}
    - {name: data, mountPath: /data, subPath: db}
    - {name: data, mountPath: /logs, subPathExpr: $(POD)}
    - {name: tools, mountPath: /tools, readOnly: true}
    env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
",
    // Configuration from objects and from the pod itself, in variables and in one directory.
    r#"
metadata: {name: configured, annotations: {note: "a 'note'"}}
spec:
  securityContext: {fsGroup: 101, runAsUser: 1000, supplementalGroups: [5]}
  volumes:
  - name: etc-envoy
    projected:
      sources:
      - configMap: {name: proxy, items: [{key: envoy.yaml, path: envoy.yaml}]}
      - secret: {name: tls, items: [{key: tls.crt, path: certs/example-com.crt}, {key: tls.key, path: certs/example-com.key, mode: 0600}]}
      - downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}, {path: max, resourceFieldRef: {containerName: web, resource: limits.cpu, divisor: 1m}}]}
  - {name: page, configMap: {name: page, defaultMode: 0400, optional: true}}
  containers:
  - name: web
    image: example/web:1.0
    resources: {limits: {cpu: 250m, memory: 64Mi}}
    envFrom: [{prefix: CONFIG_, configMapRef: {name: page, optional: true}}]
    env:
    - {name: INITIAL_STATUS, valueFrom: {configMapKeyRef: {name: page, key: status-message, optional: true}}}
    - {name: NODE_IP, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
    - {name: CPUS, valueFrom: {resourceFieldRef: {resource: requests.cpu, divisor: 1m}}}
    - {name: MESSAGE, value: "This is $(INITIAL_STATUS) at $(NODE_IP)"}
    volumeMounts: [{name: etc-envoy, mountPath: /etc/envoy, readOnly: true}]
"#,
];

#[test]
fn pods_of_books_are_read_without_a_word() {
    for pod in PODS {
        let text = format!("apiVersion: v1\nkind: Pod{pod}");
        assert_eq!(messages(&text), [""; 0], "{text}");
    }
}
