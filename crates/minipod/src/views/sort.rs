//! `--sort-by`: objects in the order of a field.

use std::cmp::Ordering;

use serde_json::Value;

use super::jsonpath::{JsonPathError, Template};

/// The objects in the order of the field at that path; those that lack it come first, as in
/// kubectl. Nothing when no object has the field.
pub(crate) fn by_field<T>(
    objects: Vec<T>,
    path: &Template,
    value: impl Fn(&T) -> Value,
) -> Result<Option<Vec<T>>, JsonPathError> {
    let key = |object: &T| Ok(path.values(&value(object))?.into_iter().next());
    let keyed = objects.into_iter().map(|object| Ok((key(&object)?, object)));
    let mut keyed: Vec<(Option<Value>, T)> = keyed.collect::<Result<_, JsonPathError>>()?;
    if !keyed.is_empty() && keyed.iter().all(|(key, _)| key.is_none()) {
        return Ok(None);
    }
    keyed.sort_by(|(a, _), (b, _)| order(a.as_ref(), b.as_ref()));
    Ok(Some(keyed.into_iter().map(|(_, object)| object).collect()))
}

fn order(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    match (a, b) {
        (Some(Value::Number(a)), Some(Value::Number(b))) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Some(Value::String(a)), Some(Value::String(b))) => natural(a, b),
        (Some(Value::Bool(a)), Some(Value::Bool(b))) => a.cmp(b),
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (a, b) => a.map(Value::to_string).cmp(&b.map(Value::to_string)),
    }
}

/// Numbers in texts count as numbers: `web-2` comes before `web-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (in_a, in_b) = (digits(a), digits(b));
        if in_a > 0 && in_b > 0 {
            let number = |text: &str| text.parse::<u128>().unwrap_or(u128::MAX);
            let by_number = number(&a[..in_a]).cmp(&number(&b[..in_b]));
            if by_number != Ordering::Equal {
                return by_number;
            }
            (a, b) = (&a[in_a..], &b[in_b..]);
            continue;
        }
        match (a.chars().next(), b.chars().next()) {
            (Some(x), Some(y)) if x == y => (a, b) = (&a[x.len_utf8()..], &b[y.len_utf8()..]),
            (x, y) => return x.cmp(&y),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_sorted_by_numbers_texts_and_dates() {
        let path = Template::parse_relaxed(".k").unwrap();
        let sorted =
            |list: Value| by_field(list.as_array().unwrap().clone(), &path, Value::clone).unwrap();
        for (list, wanted) in [
            (json!([{"k": 10}, {"k": 9}]), json!([{"k": 9}, {"k": 10}])),
            (
                json!([{"k": "b-10"}, {"k": "b-9"}, {"k": "a"}]),
                json!([{"k": "a"}, {"k": "b-9"}, {"k": "b-10"}]),
            ),
            (json!([{"k": "x"}, {}]), json!([{}, {"k": "x"}])),
        ] {
            assert_eq!(sorted(list).as_ref(), wanted.as_array());
        }
        assert_eq!(sorted(json!([{}])), None);
    }
}
