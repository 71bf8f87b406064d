//! `api-resources`: the kinds of objects that there are.

use crate::cli::ApiResourcesArgs;
use crate::failure::{Failure, Kind};
use crate::screen;
use crate::views::table;
use pod_api::resource::{ALL, Resource};

pub(crate) fn run(args: &ApiResourcesArgs) -> Result<(), Failure> {
    let mut all = ALL;
    all.sort_by_key(|one| one.plural());
    match args.output.as_deref() {
        None | Some("") => {
            let header = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"];
            let rows: Vec<Vec<String>> = all.into_iter().map(row).collect();
            screen::answer(&table::render((!args.no_headers).then_some(&header), &rows))
        }
        Some("name") => {
            let names: Vec<&str> = all.iter().map(|one| one.plural()).collect();
            screen::answer(&(names.join("\n") + "\n"))
        }
        Some(other) => {
            let text = format!("--output {other} is not available");
            Err(Failure::new(Kind::Usage, text).hint("-o name"))
        }
    }
}

fn row(resource: Resource) -> Vec<String> {
    let cells = [resource.plural(), resource.short_name(), "v1", "true", resource.kind()];
    cells.map(str::to_owned).to_vec()
}
