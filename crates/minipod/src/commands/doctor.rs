//! `doctor`: what this kernel and host allow.

use crate::cli::DoctorArgs;
use crate::failure::Failure;
use crate::screen;
use crate::views::table;

pub(crate) fn run(_args: &DoctorArgs) -> Result<(), Failure> {
    let facts = pod_runner::doctor::examine();
    let rows: Vec<Vec<String>> = facts
        .iter()
        .map(|fact| {
            let word = if fact.is_fine { "yes" } else { "NO" };
            let hint = fact.way_out.as_ref().filter(|_| !fact.is_fine);
            let detail = match hint {
                Some(hint) => format!("{}; try: {hint}", fact.detail),
                None => fact.detail.clone(),
            };
            vec![fact.name.to_owned(), word.to_owned(), detail]
        })
        .collect();
    screen::answer(&table::render(Some(&["WHAT", "HERE", "DETAIL"]), &rows))
}
