//! `doctor`: what this kernel and host allow.

use pod_runner::doctor::{self, Finding, Level};

use super::settings;
use crate::cli::{DoctorArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::screen;
use crate::views::output;
use crate::views::table::Table;

pub(crate) fn run(args: &PlaceArgs, doctor: &DoctorArgs) -> Result<(), Failure> {
    let findings = doctor::examine(&settings(args));
    match doctor.output.as_str() {
        "json" => {
            let value = serde_json::to_value(&findings).unwrap_or_default();
            screen::answer(&output::json_text(&value))?;
        }
        "text" => screen::answer(&text(&findings))?,
        other => {
            let text =
                format!("unable to match a printer suitable for the output format {other:?}");
            return Err(Failure::new(Kind::Usage, text).hint("text or json"));
        }
    }
    let is_hopeless = findings.iter().any(|finding| finding.level == Level::Missing);
    if is_hopeless { Err(Failure::silent(Kind::Host)) } else { Ok(()) }
}

fn text(findings: &[Finding]) -> String {
    let mut rows = Vec::new();
    for finding in findings {
        let word = match finding.level {
            Level::Ok => "ok",
            Level::Limited => "limited",
            Level::Missing => "MISSING",
        };
        rows.push(vec![word.to_owned(), finding.name.to_owned(), finding.detail.clone()]);
        if let Some(way_out) = &finding.way_out {
            rows.push(vec![String::new(), String::new(), format!("try: {way_out}")]);
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let verdict = match (count(Level::Missing), count(Level::Limited)) {
        (0, 0) => "Pods can run here, with everything.".to_owned(),
        (0, limited) => format!("Pods can run here, with what is limited above ({limited})."),
        (missing, _) => format!("Pods cannot run here until what is missing is there ({missing})."),
    };
    format!("{}\n{verdict}\n", Table::default().text(&rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_should_be_comes_with_the_way_out() {
        let finding = |name, level, way_out: Option<&str>| Finding {
            name,
            level,
            detail: "as it is".into(),
            way_out: way_out.map(str::to_owned),
        };
        let findings = [
            finding("kernel", Level::Ok, None),
            finding("cgroup memory", Level::Limited, Some("mount it")),
            finding("overlayfs", Level::Missing, Some("modprobe overlay")),
        ];
        insta::assert_snapshot!(text(&findings), @r"
        ok        kernel          as it is
        limited   cgroup memory   as it is
                                  try: mount it
        MISSING   overlayfs       as it is
                                  try: modprobe overlay

        Pods cannot run here until what is missing is there (1).
        ");
        assert!(text(&findings[..1]).ends_with("Pods can run here, with everything.\n"));
    }
}
