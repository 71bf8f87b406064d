//! `docs/cli.md`: the help of every command, compared with the program.

use clap::{Command, CommandFactory};

use crate::cli::Cli;

const HEAD: &str = "\
# The command line

What `minipod --help` and the help of each command print; a test compares. To write it again:
`MINIPOD_WRITE_DOCS=1 cargo test -p minipod reference`.
";

fn reference() -> String {
    let mut text = HEAD.to_owned();
    let mut command = Cli::command().term_width(100).disable_help_subcommand(true);
    command.build();
    section(&mut command, "minipod", &mut text);
    text
}

fn section(command: &mut Command, name: &str, text: &mut String) {
    let help = command.render_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = lines.join("\n");
    // What every command takes is told once.
    let is_first = name == "minipod";
    let blocks = help.trim().split("\n\n").filter(|one| is_first || !one.starts_with("Places:"));
    let help = blocks.collect::<Vec<_>>().join("\n\n");
    text.push_str(&format!("\n## {name}\n\n```text\n{help}\n```\n"));
    let names: Vec<String> = command
        .get_subcommands()
        .filter(|one| !one.is_hide_set())
        .map(|one| one.get_name().to_owned())
        .collect();
    for one in names {
        if let Some(found) = command.find_subcommand_mut(&one) {
            section(found, &format!("{name} {one}"), text);
        }
    }
}

#[test]
fn the_documented_command_line_is_the_command_line() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let text = reference();
    if std::env::var_os("MINIPOD_WRITE_DOCS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let documented = std::fs::read_to_string(path).unwrap_or_default();
    for (at, (written, real)) in documented.lines().zip(text.lines()).enumerate() {
        assert_eq!(written, real, "docs/cli.md, line {}: MINIPOD_WRITE_DOCS=1 writes it", at + 1);
    }
    assert_eq!(
        documented.lines().count(),
        text.lines().count(),
        "docs/cli.md is too short or long"
    );
}
