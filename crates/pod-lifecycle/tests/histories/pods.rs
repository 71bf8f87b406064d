//! Random pods.

use pod_model::RestartPolicy;
use proptest::prelude::*;

/// What a random pod has.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    inits: Vec<Init>,
    mains: Vec<Extras>,
    has_deadline: bool,
}

#[derive(Clone, Debug)]
struct Init {
    is_sidecar: bool,
    extras: Extras,
}

/// What a container has beside its image.
#[derive(Clone, Copy, Debug, Default)]
struct Extras {
    hooks: bool,
    startup: bool,
    liveness: bool,
    readiness: bool,
    restarts_all: bool,
}

fn extras() -> impl Strategy<Value = Extras> {
    let rare = || prop::bool::weighted(0.3);
    (rare(), rare(), rare(), rare(), prop::bool::weighted(0.1)).prop_map(
        |(hooks, startup, liveness, readiness, restarts_all)| Extras {
            hooks,
            startup,
            liveness,
            readiness,
            restarts_all,
        },
    )
}

/// A random pod: up to three init containers or sidecars, one to three main containers.
pub(crate) fn shape() -> impl Strategy<Value = Shape> {
    let init =
        (any::<bool>(), extras()).prop_map(|(is_sidecar, extras)| Init { is_sidecar, extras });
    (
        prop::collection::vec(init, 0..4),
        prop::collection::vec(extras(), 1..4),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(inits, mains, has_deadline)| Shape { inits, mains, has_deadline })
}

impl Shape {
    /// Two init containers with a sidecar between them, and two main containers.
    pub(crate) fn plain() -> Self {
        let init = |is_sidecar| Init { is_sidecar, extras: Extras::default() };
        Self {
            inits: vec![init(false), init(true), init(false)],
            mains: vec![Extras::default(); 2],
            has_deadline: false,
        }
    }

    /// The pod as a manifest.
    pub(crate) fn manifest(&self, policy: RestartPolicy) -> String {
        let mut text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  restartPolicy: {policy:?}\n"
        );
        if self.has_deadline {
            text += "  activeDeadlineSeconds: 100\n";
        }
        if !self.inits.is_empty() {
            text += "  initContainers:\n";
        }
        for (number, init) in self.inits.iter().enumerate() {
            text += &format!("  - name: i{number}\n    image: 'i:1'\n");
            if init.is_sidecar {
                text += "    restartPolicy: Always\n";
                text += &fields(init.extras);
            }
        }
        text += "  containers:\n";
        for (number, extras) in self.mains.iter().enumerate() {
            text += &format!("  - name: m{number}\n    image: 'i:1'\n");
            if extras.restarts_all {
                text += &format!("    restartPolicy: {policy:?}\n");
            }
            text += &fields(*extras);
        }
        text
    }
}

fn fields(extras: Extras) -> String {
    let probe = "{exec: {command: [x]}, failureThreshold: 1, periodSeconds: 3}";
    let lines = [
        (extras.hooks, "lifecycle: {postStart: {exec: {command: [x]}}, preStop: {exec: {command: [x]}}}".to_owned()),
        (extras.startup, format!("startupProbe: {probe}")),
        (extras.liveness, format!("livenessProbe: {probe}")),
        (extras.readiness, format!("readinessProbe: {probe}")),
        (extras.restarts_all, "restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]".to_owned()),
    ];
    let chosen = lines.into_iter().filter(|(has, _)| *has);
    chosen.flat_map(|(_, line)| ["    ".to_owned(), line, "\n".to_owned()]).collect()
}
