use super::*;

fn one(text: &str) -> Node {
    documents(text).remove(0).unwrap()
}

fn broken(text: &str) -> Broken {
    documents(text).remove(0).unwrap_err()
}

#[test]
fn plain_scalars_mean_what_yaml_1_1_says() {
    for (text, value) in [
        ("yes", Value::Bool(true)),
        ("y", Value::Bool(true)),
        ("On", Value::Bool(true)),
        ("off", Value::Bool(false)),
        ("N", Value::Bool(false)),
        ("0644", Value::Int(0o644)),
        ("0o644", Value::Int(0o644)),
        ("420", Value::Int(0o644)),
        ("0x10", Value::Int(16)),
        ("0b11", Value::Int(3)),
        ("-7", Value::Int(-7)),
        ("+7", Value::Int(7)),
        ("1_000", Value::Int(1000)),
        ("08", Value::Float(8.0)),
        ("1e3", Value::Float(1000.0)),
        ("1.5", Value::Float(1.5)),
        (".5", Value::Float(0.5)),
        ("1.0.0", Value::Text("1.0.0".into())),
        ("1:30", Value::Text("1:30".into())),
        ("2026-01-02", Value::Text("2026-01-02".into())),
        ("0x-5", Value::Text("0x-5".into())),
        ("'yes'", Value::Text("yes".into())),
        ("\"0644\"", Value::Text("0644".into())),
        ("!!str yes", Value::Text("yes".into())),
        ("!!int '5'", Value::Int(5)),
        ("!!binary aGkK", Value::Text("hi\n".into())),
        ("~", Value::Null),
        ("", Value::Null),
    ] {
        let node = one(&format!("a: {text}\n"));
        assert_eq!(node.get("a").unwrap().value, value, "{text}");
    }
}

#[test]
fn keys_are_texts_whatever_they_look_like() {
    for (text, name) in [("y", "true"), ("no", "false"), ("010", "8"), ("'y'", "y"), ("1.5", "1.5")]
    {
        let node = one(&format!("{text}: x\n"));
        assert!(node.get(name).is_some(), "{text}: {node:?}");
    }
}

#[test]
fn every_node_knows_its_place() {
    let found = documents("a: 1\n---\n# nothing\n---\nb:\n- c: x\n");
    assert_eq!(found.len(), 2);
    let node = found[1].as_ref().unwrap();
    let Value::List(items) = &node.get("b").unwrap().value else { panic!("no list") };
    assert_eq!(items[0].get("c").unwrap().place, Place { line: 6, column: 6 });
}

#[test]
fn documents_are_split_at_dashes_and_empty_ones_are_none() {
    for (text, count) in [
        ("", 0),
        ("# nothing\n", 0),
        ("---\n---\n", 0),
        ("%YAML 1.1\n---\na: 1\n", 1),
        ("a: 1\n...\n---\nb: 1\n", 2),
        ("--- {a: 1}\n--- # b\nb: 1\n", 2),
        ("a: |\n  text\n  --- not a border\nb: 1\n", 1),
        ("{\"a\": 1}\n", 1),
    ] {
        let found = documents(text);
        assert!(found.iter().all(Result::is_ok), "{text}: {found:?}");
        assert_eq!(found.len(), count, "{text}");
    }
}

#[test]
fn json_is_read_with_its_tabs_and_escapes() {
    let node = one("{\n\t\"a\": \"\\u00fc \\ud83d\\ude00 \\/\",\n\t\"b\": [1, true, null]\n}\n");
    assert_eq!(node.get("a").unwrap().text(), Some("ü 😀 /"));
    let Value::List(items) = &node.get("b").unwrap().value else { panic!("no list") };
    assert_eq!(items[2].value, Value::Null);
}

#[test]
fn a_byte_order_mark_is_no_text() {
    assert!(one("\u{feff}a: 1\n").get("a").is_some());
}

#[test]
fn anchors_and_merge_keys_are_resolved() {
    let node = one("base: &b {x: 1, w: 2}\nmine:\n  <<: *b\n  w: 3\nlist:\n  <<: [*b, {z: 4}]\n");
    let mine = node.get("mine").unwrap();
    assert_eq!(mine.get("x").unwrap().value, Value::Int(1));
    assert_eq!(mine.get("w").unwrap().value, Value::Int(3));
    assert_eq!(node.get("list").unwrap().get("z").unwrap().value, Value::Int(4));
}

#[test]
fn a_tab_within_a_text_is_part_of_it() {
    let node = one("make: |\n  all:\n  \tcc\nb: 1\n");
    assert_eq!(node.get("make").unwrap().text(), Some("all:\n\tcc\n"));
}

#[test]
fn broken_documents_say_where() {
    for (text, line, part) in [
        ("a:\n\tb: 1\n", 2, "tab character"),
        ("a:\n  - b: 1\n\t- c: 2\n", 3, "tab character"),
        ("a: [1\n", 2, "YAML is broken"),
        ("a: *b\n", 1, "YAML is broken"),
        ("a: 1\n...\nb: 1\n", 3, "another document begins here"),
        ("a: \u{1}\n", 1, "control characters are not allowed: U+0001"),
        ("? [a]\n: 1\n", 1, "a key must be a text"),
        ("a: !!int x\n", 1, "cannot decode `x` as a !!int"),
        ("a: !mine x\n", 1, "the tag !mine means nothing here"),
        ("a: !!binary =?\n", 1, "invalid base64"),
        ("a:\n  <<: 5\n", 2, "map merge requires map"),
    ] {
        let broken = broken(text);
        assert!(broken.message.contains(part), "{text}: {}", broken.message);
        assert_eq!(broken.place.line, line, "{text}");
    }
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..8 {
        let former = format!("*a{}", level - 1);
        let row = vec![former; 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
    }
    assert!(broken(&text).message.contains("too large"));
}

#[test]
fn depth_is_limited_also_by_way_of_aliases() {
    let deep =
        |levels: usize, core: &str| format!("{}{core}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(broken(&deep(100, "x")).message.contains("nested too deeply"));
    assert!(documents(&deep(100_000, "x")).remove(0).is_err());
    let text = format!("a: &a {}\nb: &b {}\n", deep(40, "x"), deep(40, "*a"));
    assert!(broken(&text).message.contains("nested too deeply"));
}

#[test]
fn what_go_yaml_takes_is_taken() {
    let list = |texts: &[&str]| {
        let items = texts.iter().map(|text| Value::Text((*text).to_owned()));
        items.collect::<Vec<_>>()
    };
    // Each is one map with the key `a`, and means these texts.
    for (text, texts) in [
        ("a: \"it\\'s \\\\' \\\"x\\\"\"\n", &["it's \\' \"x\""][..]),
        ("a: [\n\"x\",\n\"y\"\n]\n", &["x", "y"]),
        ("b: 1\na: [\n  x, # c\n  'y'\n]\nc: 1\n", &["x", "y"]),
        ("b:\n- c: [\n  \"x\"\n  ]\na: [\n\tx,\n\tz\n]\n", &["x", "z"]),
        ("a: {\n\"x\": \"y\"\n}\n", &["y"]),
        ("a: \"x\ny\"\n", &["x y"]),
        ("a: 'x\n\ty'\n", &["x y"]),
        ("a: \"x\\\ny\"\n", &["xy"]),
        ("a: \"x\"#c\n", &["x"]),
        ("a: [x, 'y']#c\nb: |\n  it's \"[\n  #\nc: \"\\'\"\n", &["x", "y"]),
        ("a:\tx\n", &["x"]),
        ("a: it's {not} [a] \"quote\"\nb: \"\\'\"\n", &["it's {not} [a] \"quote\""]),
        ("a: >-\n  x\n  \"y\n\nb: \"\\'\"\n", &["x \"y"]),
        ("a: x\n  \"y z\"\nb: \"\\'\"\n", &["x \"y z\""]),
        ("a: [x#y, http://z/w, {v: '#'}, \"\\'\"]\n", &["x#y", "http://z/w", "#", "'"]),
    ] {
        let node = one(text);
        let found: Vec<Value> = match &node.get("a").unwrap().value {
            Value::List(items) => items
                .iter()
                .map(|item| item.get("v").map_or_else(|| item.value.clone(), |v| v.value.clone()))
                .collect(),
            Value::Map(entries) => entries.iter().map(|(_, node)| node.value.clone()).collect(),
            value => vec![value.clone()],
        };
        assert_eq!(found, list(texts), "{text}");
    }
}

#[test]
fn what_go_yaml_refuses_stays_broken() {
    for text in [
        "a: \"x\n",
        "a: [x\n",
        "a: \"\\q\"\n",
        "a: 'x' y\n",
        "a: b: c\n",
        "a:\n\tb: c\n",
        "a: {b: c\nd: e\n",
        "- a\nb: c\n",
        "a: \"x\" \"y\"\n",
        "a: ]\n",
        "a: @x\n",
        "a: %x\n",
    ] {
        assert!(documents(text).remove(0).is_err(), "{text}");
    }
}

#[test]
fn a_text_written_anew_is_not_changed_where_it_is_strict() {
    for text in [
        "a: |\n  it's \"x\n   - [ {\n\n  y\nb:\n  - c: 'd'\n    e: \"f\\n\\\"\"\n",
        "a: {b: [c, d], \"e\": 'f''g'}\n",
        "# it's\na: b # \"c\n- &x !!str 'y'\n- *x\n",
        "? a\n: - b\n  - - c\n",
    ] {
        assert_eq!(lenient::strict(text), text);
    }
}
