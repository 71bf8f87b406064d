//! `top pod`: processor time and memory as kubectl shows them.

use super::table::Table;

/// What one container uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) namespace: String,
    pub(crate) pod: String,
    pub(crate) container: String,
    /// In thousandths of a processor.
    pub(crate) cpu_thousandths: u64,
    pub(crate) memory_bytes: u64,
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub(crate) namespace: bool,
    pub(crate) containers: bool,
    pub(crate) header: bool,
    pub(crate) sum: bool,
}

/// The table of what is used, by pod or by container, sorted by `cpu` or `memory` if wanted.
pub(crate) fn table(used: Vec<Usage>, columns: Columns, sort: Option<&str>) -> String {
    let mut rows = if columns.containers { used } else { by_pod(used) };
    match sort {
        Some("cpu") => rows.sort_by_key(|one| std::cmp::Reverse(one.cpu_thousandths)),
        Some(_) => rows.sort_by_key(|one| std::cmp::Reverse(one.memory_bytes)),
        None => {}
    }
    let mut before: Vec<&str> = if columns.namespace { vec!["NAMESPACE"] } else { Vec::new() };
    before.extend(if columns.containers { ["POD", "NAME"].as_slice() } else { &["NAME"] });
    let with = |words: &[&str], cells: [String; 2]| {
        let words = words.iter().map(|word| (*word).to_owned());
        words.chain(cells).collect::<Vec<String>>()
    };
    let mut text = Vec::new();
    if columns.header {
        text.push(with(&before, ["CPU(cores)".into(), "MEMORY(bytes)".into()]));
    }
    for one in &rows {
        let mut words = if columns.namespace { vec![one.namespace.as_str()] } else { Vec::new() };
        words.push(&one.pod);
        if columns.containers {
            words.push(&one.container);
        }
        text.push(with(&words, amounts(one.cpu_thousandths, one.memory_bytes)));
    }
    if columns.sum {
        let blanks = vec![""; before.len()];
        text.push(with(&blanks, ["________".into(), "________".into()]));
        let cpu = rows.iter().map(|one| one.cpu_thousandths).sum();
        text.push(with(&blanks, amounts(cpu, rows.iter().map(|one| one.memory_bytes).sum())));
    }
    Table::default().text(&text)
}

fn amounts(cpu: u64, memory: u64) -> [String; 2] {
    [format!("{cpu}m"), format!("{}Mi", memory >> 20)]
}

fn by_pod(used: Vec<Usage>) -> Vec<Usage> {
    let mut pods: Vec<Usage> = Vec::new();
    for one in used {
        match pods.iter_mut().find(|pod| (&pod.namespace, &pod.pod) == (&one.namespace, &one.pod)) {
            Some(pod) => {
                pod.cpu_thousandths += one.cpu_thousandths;
                pod.memory_bytes += one.memory_bytes;
            }
            None => pods.push(one),
        }
    }
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_shown_by_pod_and_by_container() {
        let usage = |pod: &str, container: &str, cpu_thousandths, mebibytes: u64| Usage {
            namespace: "default".into(),
            pod: pod.into(),
            container: container.into(),
            cpu_thousandths,
            memory_bytes: mebibytes << 20,
        };
        let used =
            vec![usage("web", "a", 5, 10), usage("web", "b", 250, 3), usage("db", "c", 300, 1)];
        let columns = Columns { namespace: false, containers: false, header: true, sum: true };
        let by_pod = table(used.clone(), columns, None);
        let columns = Columns { containers: true, sum: false, ..columns };
        insta::assert_snapshot!(format!("{by_pod}\n{}", table(used, columns, Some("cpu"))), @r#"
        NAME   CPU(cores)   MEMORY(bytes)
        web    255m         13Mi
        db     300m         1Mi
               ________     ________
               555m         14Mi

        POD   NAME   CPU(cores)   MEMORY(bytes)
        db    c      300m         1Mi
        web   b      250m         3Mi
        web   a      5m           10Mi
        "#);
    }
}
