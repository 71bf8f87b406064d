//! What shells offer when the user presses the tabulator.

use std::os::unix::fs::symlink;
use std::path::Path;

use e2e_tests::{Node, fixtures};

use crate::Test;

pub(crate) const BASH: &[Test] = &[(
    "bash_completes_commands_and_the_names_of_pods_and_containers",
    bash_completes_commands_and_the_names_of_pods_and_containers,
)];

pub(crate) const ZSH: &[Test] =
    &[("zsh_takes_the_script_for_completions", zsh_takes_the_script_for_completions)];

pub(crate) const FISH: &[Test] = &[(
    "fish_offers_what_the_script_for_completions_asks_for",
    fish_offers_what_the_script_for_completions_asks_for,
)];

const PODS: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web-front}
spec:
  terminationGracePeriodSeconds: 1
  initContainers:
  - {name: prepare, image: 'busybox:1.36', command: ['true']}
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
  - {name: proxy, image: 'busybox:1.36', command: [sleep, '1000']}
---
apiVersion: v1
kind: Pod
metadata: {name: database}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - {name: main, image: 'busybox:1.36', command: [sleep, '1000']}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
";

/// What a shell prints that has `minipod` among its programs.
fn said(node: &Node, shell: &str, script: &str) -> String {
    let programs = node.directory("programs");
    symlink(fixtures::program(), programs.join("minipod")).expect("a link to minipod");
    let mut command = node.with_places(Path::new(shell), &["-c", script]);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", programs.display()));
    let output = command.output().expect("the shell can be started");
    let (text, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success() && errors.is_empty(), "{shell}: {errors}");
    String::from_utf8_lossy(&text).into_owned()
}

/// Presses the tabulator behind each line, and prints what is offered.
const PRESS: &str = r#"
source <(minipod completion bash)
while IFS= read -r line; do
  read -ra COMP_WORDS <<< "$line"
  [[ "$line" == *" " ]] && COMP_WORDS+=("")
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9 COMPREPLY=()
  _clap_complete_minipod minipod "${COMP_WORDS[COMP_CWORD]}" 2> /dev/null
  echo "$line: ${COMPREPLY[*]##--*}"
done <<< "$LINES_TO_COMPLETE"
"#;

/// A line, and all that is offered behind it but flags.
const OFFERED: &[(&str, &str)] = &[
    ("minipod desc", "describe"),
    ("minipod completion z", "zsh"),
    ("minipod logs ", "database web-front"),
    ("minipod logs w", "web-front"),
    ("minipod logs web-front -c ", "main prepare proxy"),
    ("minipod logs database -c ", "main"),
    ("minipod exec -it web-front -c p", "prepare proxy"),
    ("minipod attach web", "web-front"),
    ("minipod delete pod d", "database"),
    ("minipod get pods web", "web-front"),
    ("minipod describe pod/d", "pod/database"),
    ("minipod describe cm ", "settings"),
    ("minipod label pod w", "web-front"),
    ("minipod get conf", "configmaps"),
];

fn bash_completes_commands_and_the_names_of_pods_and_containers() {
    let lines: Vec<&str> = OFFERED.iter().map(|(line, _)| *line).collect();
    let node = Node::new("bash", &["busybox"]).with("LINES_TO_COMPLETE", &lines.join("\n"));
    let _ = node.apply(PODS).succeeds();
    let text = said(&node, "bash", PRESS);
    let wanted: Vec<String> =
        OFFERED.iter().map(|(line, offered)| format!("{line}: {offered}")).collect();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let printed: Vec<String> = text.lines().map(words).collect();
    let wanted: Vec<String> = wanted.iter().map(|line| words(line)).collect();
    assert_eq!(printed, wanted);
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
}

fn zsh_takes_the_script_for_completions() {
    let node = Node::new("zsh", &[]);
    // A check of its words, then with zsh's own completions, which know the function by its name.
    let script = "minipod completion zsh > $MINIPOD_STATE_DIR.zsh && zsh -n $MINIPOD_STATE_DIR.zsh && \
                  autoload -Uz compinit && compinit -u -D && source $MINIPOD_STATE_DIR.zsh && \
                  echo $_comps[minipod]";
    assert_eq!(said(&node, "zsh", script), "_clap_dynamic_completer_minipod\n");
}

fn fish_offers_what_the_script_for_completions_asks_for() {
    let node = Node::new("fish", &["busybox"]);
    let _ = node.apply(PODS).succeeds();
    let script = "minipod completion fish > $MINIPOD_STATE_DIR.fish; and fish -n $MINIPOD_STATE_DIR.fish; \
                  and source $MINIPOD_STATE_DIR.fish; and complete -C 'minipod logs web-front -c '";
    let text = said(&node, "fish", script);
    let offered: Vec<&str> =
        text.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect();
    assert_eq!(offered, ["main", "prepare", "proxy"]);
    let _ = node.run(&["delete", "pods", "--all", "--now"]).succeeds();
}
