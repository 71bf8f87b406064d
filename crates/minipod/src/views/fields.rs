//! `explain`: a field, and those below it, with what each means on one machine.

use pod_model::fields::{self, Field, Level};

use crate::failure::{Failure, Kind, near_match};

/// The field at that path of a kind, as text.
pub(crate) fn explained(kind: &str, path: &[&str], recursive: bool) -> Result<String, Failure> {
    let mut below = kind;
    let mut last = None;
    for name in path {
        let field = of_type(below).iter().find(|field| field.name == *name);
        let field = field.ok_or_else(|| unknown(name, below))?;
        below = bare(field.kind);
        last = Some(field);
    }
    let mut text = format!("KIND:       {kind}\nVERSION:    v1\n");
    if let Some(field) = last {
        text.push_str(&format!("\nFIELD: {} <{}>\n", field.name, go_type(field.kind)));
        text.extend(note(field).map(|note| format!("    {note}\n")));
    }
    let inside = of_type(below);
    if !inside.is_empty() {
        text.push_str("\nFIELDS:\n");
        list(inside, recursive, 1, &mut text);
    }
    Ok(text)
}

fn list(fields: &[Field], recursive: bool, level: usize, text: &mut String) {
    let blank = "  ".repeat(level);
    for field in fields {
        text.push_str(&format!("{blank}{}\t<{}>\n", field.name, go_type(field.kind)));
        text.extend(note(field).map(|note| format!("{blank}  {note}\n")));
        // Below a field that means nothing, nothing means anything.
        if recursive && field.level == Level::Works {
            list(of_type(bare(field.kind)), recursive, level + 1, text);
        }
    }
}

/// What a field means here, where it is not what it means in a cluster.
fn note(field: &Field) -> Option<String> {
    match field.level {
        Level::Works => None,
        Level::Harmless(why) => Some(format!("ignored: {why}")),
        Level::Unsupported(why) => Some(format!("refused: {why}")),
    }
}

fn of_type(kind: &str) -> &'static [Field] {
    fields::table().get(kind).map(Vec::as_slice).unwrap_or_default()
}

/// The type without what says that there are several.
fn bare(kind: &str) -> &str {
    kind.trim_start_matches("[]").trim_start_matches("{}")
}

/// The type as kubectl writes it.
fn go_type(kind: &str) -> String {
    if let Some(item) = kind.strip_prefix("[]") {
        return format!("[]{}", go_type(item));
    }
    if let Some(value) = kind.strip_prefix("{}") {
        return format!("map[string]{}", go_type(value));
    }
    let name = match kind {
        "int" | "long" => "integer",
        "bool" => "boolean",
        "time" | "bytes" => "string",
        "quantity" => "Quantity",
        "intOrString" => "IntOrString",
        "any" => "Object",
        other => other,
    };
    name.to_owned()
}

fn unknown(name: &str, kind: &str) -> Failure {
    let near = near_match(name, of_type(kind).iter().map(|field| field.name));
    Failure::new(Kind::Usage, format!("field \"{name}\" does not exist"))
        .maybe_hint(near.map(|near| format!("did you mean {near}?")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_explained_with_those_below_it() {
        let text = explained("Pod", &["spec", "securityContext", "seccompProfile"], false).unwrap();
        insta::assert_snapshot!(text, @r"
        KIND:       Pod
        VERSION:    v1

        FIELD: seccompProfile <SeccompProfile>

        FIELDS:
          localhostProfile	<string>
          type	<string>
        ");
        let pod = explained("Pod", &["spec"], false).unwrap();
        assert!(pod.contains("  containers\t<[]Container>\n"), "{pod}");
        assert!(pod.contains("  nodeName\t<string>\n    ignored: there is one node\n"), "{pod}");
        assert!(pod.contains("  nodeSelector\t<map[string]string>\n"), "{pod}");
        let all = explained("Pod", &[], true).unwrap();
        assert!(
            all.contains("\n      ports\t<[]ContainerPort>\n        containerPort\t<integer>\n")
        );
    }

    #[test]
    fn a_wrong_field_gets_a_near_match() {
        let told = explained("Pod", &["spec", "container"], false).unwrap_err().to_string();
        let wanted = "error: field \"container\" does not exist\n  try: did you mean containers?\n";
        assert_eq!(told, wanted);
    }
}
