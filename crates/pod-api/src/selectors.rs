//! Selectors: which objects a command is about, by labels (`-l`) and by fields.

use std::collections::BTreeMap;

use thiserror::Error;

/// Why a selector cannot be used, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// It is not one.
    #[error("unable to parse requirement: {0}")]
    Requirement(String),
    /// A field that objects of the kind cannot be selected by.
    #[error(
        "Unable to find \"{plural}\" that match label selector \"\", field selector \"{text}\": field label not supported: {field}"
    )]
    Field {
        /// The kind, in the plural.
        plural: String,
        /// The whole selector.
        text: String,
        /// The field.
        field: String,
    },
    /// A field selector that is not one.
    #[error("invalid selector: '{0}'; can't understand '{1}'")]
    FieldSyntax(String, String),
}

/// One term of a label selector.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
    Less(String, i64),
    Greater(String, i64),
}

/// `app=web,tier!=db,env in (test, stage),!canary`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
}

impl LabelSelector {
    /// Reads a selector; an empty one selects everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let terms = split_outside_parentheses(text);
        let terms = terms.iter().map(|term| term.trim()).filter(|term| !term.is_empty());
        Ok(Self { requirements: terms.map(requirement).collect::<Result<_, _>>()? })
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: Option<&BTreeMap<String, String>>) -> bool {
        let value = |key: &str| labels.and_then(|labels| labels.get(key)).map(String::as_str);
        let number = |key: &str| value(key).and_then(|value| value.parse::<i64>().ok());
        self.requirements.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                value(key).is_some_and(|found| values.iter().any(|one| one == found))
            }
            Requirement::NotIn(key, values) => {
                value(key).is_none_or(|found| values.iter().all(|one| one != found))
            }
            Requirement::Exists(key) => value(key).is_some(),
            Requirement::Missing(key) => value(key).is_none(),
            Requirement::Less(key, limit) => number(key).is_some_and(|found| found < *limit),
            Requirement::Greater(key, limit) => number(key).is_some_and(|found| found > *limit),
        })
    }
}

fn requirement(term: &str) -> Result<Requirement, SelectorError> {
    let wrong = |problem: String| SelectorError::Requirement(problem);
    let key = |text: &str| {
        let key = text.trim();
        let is_key = !key.is_empty()
            && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
            && key.starts_with(|c: char| c.is_ascii_alphanumeric());
        if is_key {
            Ok(key.to_owned())
        } else {
            Err(wrong(format!(
                "<nil>: Invalid value: {key:?}: name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
            )))
        }
    };
    if let Some((name, set)) = split_word(term, "notin") {
        return Ok(Requirement::NotIn(key(name)?, values(set)?));
    }
    if let Some((name, set)) = split_word(term, "in") {
        return Ok(Requirement::In(key(name)?, values(set)?));
    }
    if let Some((name, value)) = term.split_once("!=") {
        return Ok(Requirement::NotIn(key(name)?, vec![value.trim().to_owned()]));
    }
    if let Some((name, value)) = term.split_once('=') {
        let value = value.strip_prefix('=').unwrap_or(value).trim();
        return Ok(Requirement::In(key(name)?, vec![value.to_owned()]));
    }
    for (sign, make) in [
        ('<', Requirement::Less as fn(String, i64) -> Requirement),
        ('>', Requirement::Greater as fn(String, i64) -> Requirement),
    ] {
        if let Some((name, value)) = term.split_once(sign) {
            let number = value.trim().parse();
            let number = number.map_err(|_| {
                wrong("for 'Gt', 'Lt' operators, the value must be an integer".to_owned())
            })?;
            return Ok(make(key(name)?, number));
        }
    }
    match term.strip_prefix('!') {
        Some(name) => Ok(Requirement::Missing(key(name)?)),
        None => Ok(Requirement::Exists(key(term)?)),
    }
}

/// `key in (a, b)` around the word.
fn split_word<'a>(term: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let (name, rest) = term.split_once(char::is_whitespace)?;
    let set = rest.trim_start().strip_prefix(word)?;
    let is_word = set.is_empty() || set.starts_with(|c: char| c == '(' || c.is_whitespace());
    is_word.then_some((name, set.trim_start()))
}

fn values(set: &str) -> Result<Vec<String>, SelectorError> {
    let wrong = |expected: &str| SelectorError::Requirement(format!("found '{set}'{expected}"));
    let inside = set.strip_prefix('(').ok_or_else(|| wrong(" expected: '('"))?;
    let inside = inside.trim_end().strip_suffix(')');
    let inside = inside.ok_or_else(|| wrong(", expected: ',' or ')'"))?;
    Ok(inside.split(',').map(|value| value.trim().to_owned()).collect())
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, char) in text.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// `status.phase=Running,metadata.name!=web`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    terms: Vec<(String, bool, String)>,
}

impl FieldSelector {
    /// Reads a selector over the fields that objects of that kind may be selected by.
    pub fn parse(text: &str, plural: &str, known: &[&str]) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        for term in text.split(',').map(str::trim).filter(|term| !term.is_empty()) {
            let (field, is_equal, value) = match (term.split_once("!="), term.split_once('=')) {
                (Some((field, value)), _) => (field, false, value),
                (None, Some((field, value))) => {
                    (field, true, value.strip_prefix('=').unwrap_or(value))
                }
                (None, None) => {
                    return Err(SelectorError::FieldSyntax(text.to_owned(), term.to_owned()));
                }
            };
            let field = field.trim().to_owned();
            if !known.contains(&field.as_str()) {
                let (plural, text) = (plural.to_owned(), text.to_owned());
                return Err(SelectorError::Field { plural, text, field });
            }
            terms.push((field, is_equal, value.trim().to_owned()));
        }
        Ok(Self { terms })
    }

    /// Whether an object is selected; `field` gives its fields.
    pub fn matches(&self, field: impl Fn(&str) -> String) -> bool {
        self.terms.iter().all(|(name, is_equal, value)| (field(name) == *value) == *is_equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_selector_selects_as_kubernetes_does() {
        let labels: BTreeMap<String, String> = [("app", "web"), ("tier", "front"), ("n", "5")]
            .map(|(k, v)| (k.into(), v.into()))
            .into();
        for (selector, is_selected) in [
            ("", true),
            ("app=web", true),
            ("app==web,tier=front", true),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (db, web)", true),
            ("app in (db),tier", false),
            ("app notin (db, cache),tier notin (front)", false),
            ("other notin (x)", true),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("n>4,n<6", true),
            ("n>5", false),
        ] {
            let parsed = LabelSelector::parse(selector).unwrap();
            assert_eq!(parsed.matches(Some(&labels)), is_selected, "{selector}");
        }
        let told = LabelSelector::parse("app in web").unwrap_err().to_string();
        assert_eq!(told, "unable to parse requirement: found 'web' expected: '('");
        assert!(LabelSelector::parse("n>x").is_err());
        assert!(LabelSelector::parse("=x").is_err());
    }

    #[test]
    fn a_field_selector_knows_the_fields_of_its_kind() {
        let parse = |text| FieldSelector::parse(text, "pods", &["status.phase", "metadata.name"]);
        let field = |name: &str| if name == "status.phase" { "Running" } else { "web" }.to_owned();
        assert!(parse("status.phase=Running,metadata.name!=db").unwrap().matches(field));
        assert!(!parse("status.phase!=Running").unwrap().matches(field));
        let told = parse("spec.x=1").unwrap_err().to_string();
        assert!(told.ends_with("field label not supported: spec.x"), "{told}");
        assert!(parse("phase").is_err());
    }
}
