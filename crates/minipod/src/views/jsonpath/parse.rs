//! From a template's text to its parts.

use serde_json::Value;

use super::{Filter, Node, Operator, Slice, Step};

/// The operators, longer ones before those that they begin with.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// What one pair of braces holds.
enum Action {
    Nodes(Vec<Node>),
    Range(Vec<Step>),
    End,
}

/// The parts of a template.
pub(super) fn nodes(text: &str) -> Result<Vec<Node>, String> {
    let mut cursor = Cursor { rest: text };
    let nodes = block(&mut cursor, false)?;
    Ok(nodes)
}

fn block(cursor: &mut Cursor<'_>, is_in_range: bool) -> Result<Vec<Node>, String> {
    let mut nodes = Vec::new();
    while !cursor.rest.is_empty() {
        let before = cursor.until('{');
        if !before.is_empty() {
            nodes.push(Node::Text(before.to_owned()));
        }
        if !cursor.skip("{") {
            continue;
        }
        match action(cursor)? {
            Action::Nodes(found) => nodes.extend(found),
            Action::Range(path) => {
                let body = block(cursor, true)?;
                nodes.push(Node::Range { path, body });
            }
            Action::End if is_in_range => return Ok(nodes),
            Action::End => return Err("not in range, nothing to end".into()),
        }
    }
    if is_in_range { Err("unclosed range, no {end}".into()) } else { Ok(nodes) }
}

/// What stands between a pair of braces, the first of which has been read.
fn action(cursor: &mut Cursor<'_>) -> Result<Action, String> {
    cursor.skip_blanks();
    let is_word = |cursor: &Cursor<'_>, word: &str| {
        let after = cursor.rest.strip_prefix(word);
        after.is_some_and(|after| after.starts_with([' ', '}']))
    };
    if is_word(cursor, "end") {
        cursor.skip("end");
        cursor.skip_blanks();
        return if cursor.skip("}") { Ok(Action::End) } else { Err("unclosed action".into()) };
    }
    let is_range = is_word(cursor, "range") && cursor.skip("range");
    let mut nodes = Vec::new();
    loop {
        cursor.skip_blanks();
        if cursor.skip("}") {
            break;
        }
        match cursor.rest.chars().next() {
            None => return Err("unclosed action".into()),
            Some(quote @ ('"' | '\'')) => nodes.push(Node::Text(cursor.quoted(quote)?)),
            Some(_) => nodes.push(Node::Path(path(cursor, &['}'])?)),
        }
    }
    match (is_range, nodes.as_slice()) {
        (true, [Node::Path(path)]) => Ok(Action::Range(path.clone())),
        (true, _) => Err("range needs one path".into()),
        (false, _) => Ok(Action::Nodes(nodes)),
    }
}

/// A path or a literal, up to a blank or one of the characters in `ends`.
fn path(cursor: &mut Cursor<'_>, ends: &[char]) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    loop {
        let Some(next) = cursor.rest.chars().next() else {
            return Ok(steps);
        };
        if next.is_whitespace() || ends.contains(&next) {
            return Ok(steps);
        }
        match next {
            '$' | '@' => drop(cursor.take(1)),
            '[' => steps.push(bracket(cursor)?),
            '*' => {
                cursor.take(1);
                steps.push(Step::Wildcard);
            }
            '.' => field(cursor, ends, &mut steps),
            '"' | '\'' => steps.push(Step::Literal(Value::String(cursor.quoted(next)?))),
            _ if next.is_alphanumeric() || "-+_".contains(next) => {
                steps.push(word(cursor.name(ends)));
            }
            _ => return Err(format!("unrecognized character in action: '{next}'")),
        }
    }
}

fn field(cursor: &mut Cursor<'_>, ends: &[char], steps: &mut Vec<Step>) {
    if cursor.skip("..") {
        steps.push(Step::Descendants);
    } else {
        cursor.take(1);
    }
    if cursor.rest.starts_with(['[', '*']) {
        return;
    }
    let name = cursor.name(ends);
    if !name.is_empty() {
        steps.push(Step::Field(name));
    }
}

/// A number or a truth value; any other word is the name of a field.
fn word(text: String) -> Step {
    match serde_json::from_str::<Value>(&text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => Step::Literal(value),
        _ => Step::Field(text),
    }
}

/// `[…]`: an index, a slice, a name, a union or a filter.
fn bracket(cursor: &mut Cursor<'_>) -> Result<Step, String> {
    cursor.take(1);
    if cursor.skip("?(") {
        return filter(cursor);
    }
    let inside = cursor.until_bracket().ok_or("unterminated array")?;
    let parts = split_outside_quotes(inside);
    match parts.as_slice() {
        [one] => element(one),
        several => {
            let union = several.iter().map(|one| element(one).map(|step| vec![step]));
            Ok(Step::Union(union.collect::<Result<_, String>>()?))
        }
    }
}

fn element(text: &str) -> Result<Step, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(Step::Wildcard);
    }
    for quote in ['\'', '"'] {
        let inside = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        if let Some(name) = inside {
            return Ok(Step::Field(name.replace("\\.", ".")));
        }
    }
    if text.starts_with(['.', '@']) {
        let mut cursor = Cursor { rest: text };
        let steps = path(&mut cursor, &[])?;
        return Ok(Step::Union(vec![steps]));
    }
    let number = |text: &str| match text.trim() {
        "" => Ok(None),
        number => number.parse().map(Some).map_err(|_| format!("invalid array index {number}")),
    };
    let numbers: Vec<Option<i64>> = text.split(':').map(number).collect::<Result<_, String>>()?;
    match numbers.as_slice() {
        [Some(index)] => {
            Ok(Step::Slice(Slice { start: Some(*index), is_index: true, ..Slice::default() }))
        }
        [start, end] => Ok(Step::Slice(Slice { start: *start, end: *end, ..Slice::default() })),
        [start, end, step] => {
            Ok(Step::Slice(Slice { start: *start, end: *end, step: *step, is_index: false }))
        }
        _ => Err(format!("invalid array index {text}")),
    }
}

/// `left operator right)]`
fn filter(cursor: &mut Cursor<'_>) -> Result<Step, String> {
    let ends = [')', '=', '!', '<', '>'];
    let unterminated = || "unterminated filter".to_owned();
    let side = |cursor: &mut Cursor<'_>| {
        cursor.skip_blanks();
        let steps = path(cursor, &ends)?;
        cursor.skip_blanks();
        if steps.is_empty() && cursor.rest.starts_with(']') {
            Err(unterminated())
        } else {
            Ok(steps)
        }
    };
    let left = side(cursor)?;
    let operator = OPERATORS.iter().find(|(text, _)| cursor.rest.starts_with(text));
    let comparison = match operator {
        None => None,
        Some((text, operator)) => {
            cursor.skip(text);
            if !cursor.rest.contains(")]") {
                return Err(unterminated());
            }
            Some((*operator, side(cursor)?))
        }
    };
    if !cursor.skip(")]") {
        return Err(unterminated());
    }
    Ok(Step::Filter(Box::new(Filter { left, comparison })))
}

fn split_outside_quotes(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    for (at, char) in text.char_indices() {
        match (char, quote) {
            ('\'' | '"', None) => quote = Some(char),
            (_, Some(open)) if open == char => quote = None,
            (',', None) => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// What has not been read yet.
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, text: &str) -> bool {
        let is_there = self.rest.starts_with(text);
        if is_there {
            self.take(text.len());
        }
        is_there
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn until(&mut self, end: char) -> &'a str {
        self.take(self.rest.find(end).unwrap_or(self.rest.len()))
    }

    /// Up to the bracket that closes this one; the bracket is skipped.
    fn until_bracket(&mut self) -> Option<&'a str> {
        let mut quote = None;
        for (at, char) in self.rest.char_indices() {
            match (char, quote) {
                ('\'' | '"', None) => quote = Some(char),
                (_, Some(open)) if open == char => quote = None,
                (']', None) => {
                    let inside = self.take(at);
                    self.take(1);
                    return Some(inside);
                }
                _ => {}
            }
        }
        None
    }

    /// A name; a backslash takes the next character as it is.
    fn name(&mut self, ends: &[char]) -> String {
        let mut name = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => name.extend(chars.next().map(|(_, char)| char)),
                '.' | '[' | '"' | '\'' => return self.end_name(at, name),
                _ if char.is_whitespace() || ends.contains(&char) => {
                    return self.end_name(at, name);
                }
                _ => name.push(char),
            }
        }
        self.end_name(self.rest.len(), name)
    }

    fn end_name(&mut self, length: usize, name: String) -> String {
        self.take(length);
        name
    }

    fn quoted(&mut self, quote: char) -> Result<String, String> {
        let mut text = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, char)) = chars.next() {
            match char {
                _ if char == quote => {
                    self.take(at + 1);
                    return Ok(text);
                }
                '\\' => text.extend(chars.next().map(|(_, char)| match char {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    other => other,
                })),
                other => text.push(other),
            }
        }
        Err("unterminated quoted string".into())
    }
}
