//! `ns`: which namespaces a pod's processes share.

use pod_api::{Pods, namespaces};

use super::places;
use crate::cli::{NsArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::{screen, selection, views};

pub(crate) fn run(args: &PlaceArgs, ns: &NsArgs) -> Result<(), Failure> {
    let name = ns.pod.strip_prefix("pod/").unwrap_or(&ns.pod);
    let found = selection::pod(&Pods::new(&places(args)), &args.namespace, name)?;
    let phase = found.pod.status.as_ref().and_then(|status| status.phase.as_deref());
    if let Some(phase @ ("Succeeded" | "Failed")) = phase {
        let text = format!("pod \"{name}\" has ended ({phase}) and has no processes any more");
        return Err(Failure::new(Kind::Failed, text));
    }
    let found = namespaces::of_pod(&found.dir)?;
    match ns.output.as_str() {
        "table" => screen::answer(&views::namespaces::table(&found)),
        "json" => {
            let text = serde_json::to_string_pretty(&found).expect("names and numbers are JSON");
            screen::answer(&(text + "\n"))
        }
        other => Err(Failure::new(Kind::Usage, format!("there is no output format {other:?}"))
            .hint("table or json")),
    }
}
