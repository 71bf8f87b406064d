//! `docs/conformance.md` and `docs/acceptance.md` say the same as the tests: every test that they
//! name exists, and every case that a test claims is in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use e2e_tests::fixtures::workspace;

fn rust_files(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.extend(fs::read_to_string(path));
        }
    }
}

/// `6–8, 12` as 6, 7, 8, 12.
fn cases(text: &str) -> BTreeSet<u32> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let ranges = text.split([',', '.']).filter_map(|part| {
        let (first, last) = part.split_once('–').unwrap_or((part, part));
        Some(number(first)?..=number(last)?)
    });
    ranges.flatten().collect()
}

/// The cases and the test of each row.
fn rows() -> Vec<(BTreeSet<u32>, String)> {
    let table = fs::read_to_string(workspace().join("docs/conformance.md")).expect("the table");
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let numbers = cases(cells.first()?);
        (cells.len() == 3 && !numbers.is_empty()).then(|| (numbers, cells[2].to_owned()))
    });
    rows.collect()
}

#[test]
fn every_case_names_a_test_that_exists_or_says_why_not() {
    let mut sources = Vec::new();
    rust_files(&workspace().join("crates"), &mut sources);
    rust_files(&workspace().join("tests"), &mut sources);
    let rows = rows();
    assert!(rows.len() > 40, "the table has been read");
    for (numbers, test) in rows {
        let name = test.trim_matches('`');
        let is_there = sources.iter().any(|text| text.contains(&format!("fn {name}(")));
        assert!(is_there || test.starts_with("– "), "{numbers:?}: there is no test {test}");
    }
}

#[test]
fn every_case_that_a_test_claims_is_in_the_table_beside_its_name() {
    let mut sources = Vec::new();
    rust_files(&workspace().join("crates/pod-lifecycle/tests"), &mut sources);
    let rows = rows();
    let mut claims = 0;
    for text in sources {
        for (at, _) in text.match_indices("/// Kubernetes' conformance case") {
            let claim = &text[at..];
            let sentence = claim.lines().next().unwrap_or_default();
            let numbers = sentence.split_once(" case").map_or("", |(_, rest)| rest);
            let numbers =
                numbers.trim_start_matches('s').replace(" to ", "–").replace(" and ", ", ");
            let claimed = cases(&numbers);
            let name = claim.split_once("\nfn ").and_then(|(_, rest)| rest.split_once('('));
            let name = name.map_or("", |(name, _)| name);
            assert!(!claimed.is_empty(), "{sentence}");
            for number in claimed {
                let has = rows.iter().any(|(numbers, test)| {
                    numbers.contains(&number) && test.trim_matches('`') == name
                });
                assert!(has, "case {number} of {name} is not in docs/conformance.md");
                claims += 1;
            }
        }
    }
    assert!(claims > 50, "{claims} claims have been compared");
}

/// `MP-03` as 3.
fn acceptance_case(text: &str) -> Option<u32> {
    let number = text.split_once("MP-")?.1;
    number.get(..2)?.parse().ok()
}

/// The acceptance cases with the names of their tests.
fn acceptance_rows() -> Vec<(u32, Vec<String>)> {
    let table = fs::read_to_string(workspace().join("docs/acceptance.md")).expect("the table");
    let rows = table.lines().filter_map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let tests = cells.get(2)?.split(", ").map(|test| test.trim_matches('`').to_owned());
        Some((acceptance_case(cells[0])?, tests.collect()))
    });
    rows.collect()
}

fn end_to_end_tests() -> Vec<String> {
    let mut sources = Vec::new();
    rust_files(&workspace().join("tests/e2e"), &mut sources);
    sources
}

#[test]
fn every_acceptance_case_has_end_to_end_tests_that_exist() {
    let rows = acceptance_rows();
    let numbers: Vec<u32> = rows.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=44).collect::<Vec<_>>(), "every case has a row, in order");
    let sources = end_to_end_tests();
    for (number, tests) in rows {
        for test in tests {
            let is_run = sources.iter().any(|text| text.contains(&format!("\"{test}\"")));
            assert!(is_run, "MP-{number:02}: there is no test {test}");
        }
    }
}

#[test]
fn every_acceptance_case_that_a_test_claims_names_that_test() {
    let rows = acceptance_rows();
    let mut claimed = BTreeSet::new();
    for text in end_to_end_tests() {
        for part in text.split("\n/// MP-").skip(1) {
            let (comment, rest) = part.split_once("\nfn ").expect("a test behind the comment");
            let name = rest.split('(').next().unwrap_or_default();
            for number in claims(&format!("MP-{comment}")) {
                let has = rows
                    .iter()
                    .any(|(row, tests)| *row == number && tests.iter().any(|test| test == name));
                assert!(has, "MP-{number:02} of {name} is not in docs/acceptance.md");
                claimed.insert((number, name.to_owned()));
            }
        }
    }
    for (number, tests) in rows {
        for test in tests {
            assert!(
                claimed.contains(&(number, test.clone())),
                "{test} does not say MP-{number:02}"
            );
        }
    }
}

/// The cases of `MP-03, MP-07 and MP-20` and of `MP-28 to MP-31`.
fn claims(comment: &str) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    for part in comment.split([',', '.']).flat_map(|part| part.split(" and ")) {
        let (first, last) = part.split_once(" to ").unwrap_or((part, part));
        if let (Some(first), Some(last)) = (acceptance_case(first), acceptance_case(last)) {
            found.extend(first..=last);
        }
    }
    found
}

/// The documents whose tables name the tests that show what a row says.
const TABLES: [&str; 2] = ["docs/acceptance.md", "docs/security.md"];

#[test]
fn every_test_that_a_table_names_exists() {
    let mut sources = Vec::new();
    rust_files(&workspace().join("crates"), &mut sources);
    rust_files(&workspace().join("tests"), &mut sources);
    for document in TABLES {
        let text = fs::read_to_string(workspace().join(document)).expect("the document");
        for row in text.lines().filter(|line| line.starts_with("| ")) {
            let last = row.trim_matches('|').split('|').next_back().unwrap_or_default();
            for name in last.split(", ").filter_map(|test| test.trim().strip_prefix('`')) {
                let function = format!("fn {}(", name.trim_end_matches('`'));
                let is_there = sources.iter().any(|text| text.contains(&function));
                assert!(is_there, "{document}: there is no test {name} (row {row:?})");
            }
        }
    }
}
