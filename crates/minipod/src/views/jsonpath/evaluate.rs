//! From values to what a template finds in them.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Filter, Node, Operator, Slice, Step};

/// Appends the template, filled in. Several values of one path have a blank between.
pub(super) fn print(nodes: &[Node], value: &Value, text: &mut String) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(literal) => text.push_str(literal),
            Node::Path(path) => {
                let words: Vec<String> = walk(vec![value], path)?.into_iter().map(plain).collect();
                text.push_str(&words.join(" "));
            }
            Node::Range { path, body } => {
                for one in walk(vec![value], path)? {
                    print(body, one, text)?;
                }
            }
        }
    }
    Ok(())
}

/// Appends every value that is found.
pub(super) fn collect(nodes: &[Node], value: &Value, found: &mut Vec<Value>) -> Result<(), String> {
    for node in nodes {
        match node {
            Node::Text(_) => {}
            Node::Path(path) => found.extend(walk(vec![value], path)?.into_iter().cloned()),
            Node::Range { path, body } => {
                for one in walk(vec![value], path)? {
                    collect(body, one, found)?;
                }
            }
        }
    }
    Ok(())
}

/// A value as a template prints it: text without quotes, anything with parts as JSON.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn walk<'a>(mut values: Vec<&'a Value>, path: &'a [Step]) -> Result<Vec<&'a Value>, String> {
    for step in path {
        values = take_step(values, step)?;
    }
    Ok(values)
}

fn take_step<'a>(values: Vec<&'a Value>, step: &'a Step) -> Result<Vec<&'a Value>, String> {
    let mut found = Vec::new();
    if let Step::Literal(value) = step {
        return Ok(vec![value]);
    }
    for value in values {
        match step {
            Step::Field(name) => found.extend(value.get(name.as_str())),
            Step::Wildcard => found.extend(children(value)),
            Step::Descendants => descend(value, &mut found),
            Step::Slice(slice) => found.extend(sliced(value, *slice)?),
            Step::Union(paths) => {
                for path in paths {
                    found.extend(walk(vec![value], path)?);
                }
            }
            Step::Filter(filter) => {
                for child in children(value) {
                    if passes(child, filter)? {
                        found.push(child);
                    }
                }
            }
            Step::Literal(_) => {}
        }
    }
    Ok(found)
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// The value and everything below it.
fn descend<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    found.push(value);
    for child in children(value) {
        descend(child, found);
    }
}

fn sliced(value: &Value, slice: Slice) -> Result<Vec<&Value>, String> {
    let items = match value {
        Value::Array(items) => items,
        Value::Null => return Ok(Vec::new()),
        other => return Err(format!("{} is not array or slice", plain(other))),
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let from_start = |at: i64| if at < 0 { at + length } else { at };
    let start = from_start(slice.start.unwrap_or(0));
    let end = if slice.is_index { start + 1 } else { from_start(slice.end.unwrap_or(length)) };
    if start == end {
        return Ok(Vec::new());
    }
    for (index, is_wrong) in [(start, start >= length), (start, start < 0), (end - 1, end > length)]
    {
        if is_wrong {
            return Err(format!("array index out of bounds: index {index}, length {length}"));
        }
    }
    if start > end {
        return Err(format!("starting index {start} is greater than ending index {end}"));
    }
    let step = usize::try_from(slice.step.unwrap_or(1)).ok().filter(|step| *step > 0);
    let step = step.ok_or_else(|| "step must be > 0".to_owned())?;
    let range = usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0);
    Ok(items[range].iter().step_by(step).collect())
}

fn passes(value: &Value, filter: &Filter) -> Result<bool, String> {
    let left = walk(vec![value], &filter.left)?;
    let Some((operator, right)) = &filter.comparison else {
        return Ok(!left.is_empty());
    };
    let right = walk(vec![value], right)?;
    if left.len() > 1 || right.len() > 1 {
        return Err("can only compare one element at a time".into());
    }
    let (Some(left), Some(right)) = (left.first(), right.first()) else {
        return Ok(false);
    };
    let order = compare(left, right);
    Ok(match operator {
        Operator::Equal => left == right || order == Some(Ordering::Equal),
        Operator::NotEqual => left != right && order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// The order of two values of one kind.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64()?.partial_cmp(&right.as_f64()?),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        _ => None,
    }
}
