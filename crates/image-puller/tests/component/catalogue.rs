//! The table of cases in docs/images.md against the tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every test with the text that belongs to it: comments above it, and its body.
fn tests() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for directory in [
        "crates/image-puller/tests/component",
        "crates/image-puller/tests/differential",
        "tests/e2e",
    ] {
        for entry in fs::read_dir(workspace().join(directory)).expect("the tests are there") {
            let path = entry.expect("the tests are there").path();
            let source = fs::read_to_string(&path).expect("it is a source file");
            let module = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            // Functions end with a brace at the beginning of a line.
            for part in source.split("\n}\n") {
                let name =
                    part.lines().find_map(|line| line.strip_prefix("fn ")?.split('(').next());
                if let Some(name) = name {
                    found.insert(format!("{module}::{name}"), part.to_owned());
                }
            }
        }
    }
    found
}

/// Cases in a text: a letter, a dash and a number.
fn cases(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let is_case = |word: &&str| {
        let Some((letter, number)) = word.split_once('-') else { return false };
        ["L", "M", "R"].contains(&letter)
            && number.len() > 1
            && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    words.filter(is_case).map(str::to_owned).collect()
}

/// The rows of the table: a case and the test that it names.
fn rows() -> Vec<(String, String)> {
    let text = fs::read_to_string(workspace().join("docs/images.md")).expect("it is there");
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let rows =
        text.lines().map(cells).filter(|cells| cells.len() == 6 && !cases(&cells[1]).is_empty());
    rows.map(|cells| (cells[1].clone(), cells[4].trim_matches('`').to_owned())).collect()
}

#[test]
fn every_case_of_the_table_is_in_the_test_that_it_names() {
    let tests = tests();
    for (case, name) in rows() {
        let text = tests.get(&name).unwrap_or_else(|| panic!("{case}: there is no test {name}"));
        assert!(cases(text).contains(&case), "{name} does not mention {case}");
    }
}

#[test]
fn every_case_of_the_tests_is_in_the_table() {
    let listed: BTreeSet<String> = rows().into_iter().map(|(case, _)| case).collect();
    for (name, text) in tests() {
        let missing: Vec<_> = cases(&text).difference(&listed).cloned().collect();
        assert!(missing.is_empty(), "{name} is about {missing:?}, which docs/images.md lacks");
    }
    for number in (2..=120).step_by(2) {
        assert!(listed.contains(&format!("L-{number:02}")), "L-{number:02} is not in the table");
    }
    for number in (50..=74).step_by(2) {
        assert!(listed.contains(&format!("R-{number}")), "R-{number} is not in the table");
    }
    for number in (2..=48).step_by(2).filter(|number| ![8, 14].contains(number)) {
        assert!(listed.contains(&format!("M-{number:02}")), "M-{number:02} is not in the table");
    }
}
