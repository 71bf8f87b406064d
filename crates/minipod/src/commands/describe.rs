//! `describe`: everything about a pod.

use jiff::Timestamp;
use pod_runner::{Pods, pods};

use super::places;
use crate::cli::{DescribeArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::{screen, selection, views};

pub(crate) fn run(args: &PlaceArgs, describe: &DescribeArgs) -> Result<(), Failure> {
    let (kind, mut names) = match describe.kind.split_once('/') {
        Some((kind, name)) => (kind, vec![name.to_owned()]),
        None => (describe.kind.as_str(), Vec::new()),
    };
    if !matches!(kind, "pod" | "pods" | "po") {
        return Err(Failure::new(Kind::Usage, format!("minipod describes no {kind:?}"))
            .hint("minipod describe pod NAME"));
    }
    names.extend(describe.name.iter().cloned());
    let all = Pods::new(&places(args));
    if names.is_empty() {
        let found = all.list()?;
        let here = found.iter().filter(|found| found.namespace() == args.namespace);
        names = here.map(|found| found.name().to_owned()).collect();
    }
    let mut pages = Vec::new();
    for name in names {
        let found = selection::pod(&all, &args.namespace, &name)?;
        let events = pods::events(&found.dir)?;
        pages.push(views::describe::pod(&found.pod, &events, Timestamp::now()));
    }
    screen::answer(&pages.join("\n\n"))
}
