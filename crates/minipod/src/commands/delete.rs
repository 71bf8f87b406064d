//! `delete`: graceful, idempotent, leaves nothing.

use std::time::Instant;

use pod_api::api::Deleted;
use pod_api::claims::ClaimDeletion;
use pod_api::delete::Deletion;
use pod_api::{Api, Object, Selection};
use pod_runner::LinuxMachine;

use super::{api, require_root};
use crate::cli::{DeleteArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::resource::Named;
use crate::{screen, selection};
use pod_api::Resource;
use pod_api::selectors::LabelSelector;

/// What is told before something is forced. kubectl warns that it may go on running; here it ends.
const FORCED: &str =
    "Warning: Immediate deletion kills the containers without their grace period.\n";

/// Something to delete.
struct Target {
    resource: Resource,
    namespace: String,
    name: String,
}

pub(crate) fn run(args: &PlaceArgs, delete: &DeleteArgs) -> Result<(), Failure> {
    let grace = grace(delete)?;
    check_output(delete)?;
    let targets = targets(args, delete)?;
    if delete.dry_run.mode.is_dry() {
        return tell_all(args, delete, &targets);
    }
    require_root()?;
    if delete.force {
        screen::narrate(FORCED);
    }
    let api = api(args);
    let deadline = delete.timeout.map(|timeout| Instant::now() + timeout);
    let mut deletions = Vec::new();
    let mut claims = Vec::new();
    let mut failures = Vec::new();
    for target in &targets {
        match api.delete(target.resource, &target.namespace, &target.name, grace) {
            Ok(Deleted::Pod(deletion)) => deletions.push((target, Some(deletion))),
            Ok(Deleted::Claim(deletion)) => {
                claims.push((target, deletion));
                deletions.push((target, None));
            }
            Ok(Deleted::Gone) => deletions.push((target, None)),
            Err(error) if error.reason == "NotFound" && delete.ignore_not_found => {}
            Err(error) if error.reason == "NotFound" => failures.push(not_found(&api, target)),
            Err(error) => failures.push(error.into()),
        }
    }
    // What goes wrong with one is no reason to leave the others half deleted. A pod is told when it is
    // gone.
    for (target, deletion) in deletions {
        failures.extend(end(delete, target, deletion, deadline).err());
    }
    // A claim goes when its pods are gone.
    for (target, deletion) in claims.into_iter().filter(|_| delete.wait) {
        failures.extend(wait_for_claim(target, &deletion, deadline).err());
    }
    Failure::told_but_last(failures)
}

/// Names are the only other form that there is.
fn check_output(delete: &DeleteArgs) -> Result<(), Failure> {
    match delete.output.as_deref() {
        None | Some("name") => Ok(()),
        Some(other) => {
            let text = format!("unexpected -o output mode: {other}");
            Err(Failure::new(Kind::Usage, text).hint("-o name"))
        }
    }
}

/// What would be deleted.
fn tell_all(args: &PlaceArgs, delete: &DeleteArgs, targets: &[Target]) -> Result<(), Failure> {
    let api = api(args);
    let mut failures = Vec::new();
    for target in targets {
        match api.find(target.resource, &target.namespace, &target.name)? {
            Some(_) => tell(delete, target)?,
            None if delete.ignore_not_found => {}
            None => failures.push(selection::object_not_found(
                &api,
                target.resource,
                &target.namespace,
                &target.name,
            )),
        }
    }
    Failure::told_but_last(failures)
}

fn tell(delete: &DeleteArgs, target: &Target) -> Result<(), Failure> {
    let Target { resource, namespace, name } = target;
    let kind = resource.singular();
    if delete.output.is_some() {
        return screen::answer(&format!("{kind}/{name}\n"));
    }
    let how = if delete.force { "force deleted" } else { "deleted" };
    let ending = delete.dry_run.mode.ending();
    screen::answer(&format!("{kind} \"{name}\" {how}{ending} from {namespace} namespace\n"))
}

/// Comes to the end of a deletion, where that is waited for, and tells of it.
fn end(
    delete: &DeleteArgs,
    target: &Target,
    deletion: Option<Deletion>,
    deadline: Option<Instant>,
) -> Result<(), Failure> {
    match deletion {
        None => {}
        Some(deletion) if delete.wait => wait(target, deletion, deadline)?,
        Some(deletion) => deletion.leave(&LinuxMachine)?,
    }
    tell(delete, target)
}

fn wait(target: &Target, deletion: Deletion, deadline: Option<Instant>) -> Result<(), Failure> {
    if deletion.wait_until(deadline, &LinuxMachine)? {
        return Ok(());
    }
    let text = format!("timed out waiting for the condition on pods/{}", target.name);
    Err(Failure::new(Kind::TimedOut, text).hint("--force kills what does not end by itself"))
}

fn wait_for_claim(
    target: &Target,
    deletion: &ClaimDeletion,
    deadline: Option<Instant>,
) -> Result<(), Failure> {
    if deletion.wait_until(deadline)? {
        return Ok(());
    }
    let (kind, name) = (target.resource.plural(), &target.name);
    let text = format!("timed out waiting for the condition on {kind}/{name}");
    Err(Failure::new(Kind::TimedOut, text).hint("delete the pods that use it"))
}

fn not_found(api: &Api, target: &Target) -> Failure {
    match target.resource {
        Resource::Pod => {
            selection::object_not_found(api, target.resource, &target.namespace, &target.name)
        }
        other => {
            let text = format!("{} \"{}\" not found", other.plural(), target.name);
            Failure::server(Kind::NotFound, "NotFound", text)
        }
    }
}

/// The grace period that is asked for; the pod's own when nothing is said.
fn grace(delete: &DeleteArgs) -> Result<Option<u64>, Failure> {
    let usage = |text: &str| Err(Failure::new(Kind::Usage, text));
    let stated = u64::try_from(delete.grace_period).ok();
    match (delete.force, delete.now, stated) {
        (true, _, Some(1..)) => {
            usage("--force and --grace-period greater than 0 cannot be specified together")
        }
        (_, true, Some(_)) => usage("--now and --grace-period cannot be specified together"),
        (true, ..) => Ok(Some(0)),
        (_, true, _) => Ok(Some(1)),
        // Without --force, nobody is killed by a slip of the finger (as kubectl has it).
        (_, _, stated) => Ok(stated.map(|seconds| seconds.max(1))),
    }
}

fn targets(args: &PlaceArgs, delete: &DeleteArgs) -> Result<Vec<Target>, Failure> {
    if delete.what.is_empty() && delete.files.file.is_empty() {
        return Err(Failure::new(
            Kind::Usage,
            "You must provide one or more resources by argument or filename.",
        )
        .hint("minipod delete pod NAME, or minipod delete -f FILE"));
    }
    let selects = delete.choice.is_made();
    let mut targets = Vec::new();
    let named = selection::named_or_described(args, &delete.what, &delete.files, "delete")?;
    for Named { resource, names, namespace } in named {
        if resource == Resource::Event {
            return Err(Failure::new(Kind::Usage, "events go with their pod"));
        }
        if !names.is_empty() && selects {
            let text = "name cannot be provided when a selector is specified";
            return Err(Failure::new(Kind::Usage, text));
        }
        if names.is_empty() && !selects {
            let text = "resource(s) were provided, but no name was specified";
            return Err(Failure::new(Kind::Usage, text)
                .hint("minipod delete pod NAME, or --all, or -l LABELS"));
        }
        let namespace = namespace.unwrap_or_else(|| args.namespace.clone());
        let here = |name| Target { resource, namespace: namespace.clone(), name };
        targets.extend(names.into_iter().map(here));
        if selects {
            targets.extend(selected(args, delete, resource)?);
        }
    }
    if targets.is_empty() {
        screen::answer("No resources found\n")?;
    }
    Ok(targets)
}

/// Every object of the kind that `--all` or `-l` selects.
fn selected(
    args: &PlaceArgs,
    delete: &DeleteArgs,
    resource: Resource,
) -> Result<Vec<Target>, Failure> {
    let labels = LabelSelector::parse(delete.choice.selector.as_deref().unwrap_or_default())
        .map_err(|error| Failure::of(Kind::Usage, &error))?;
    let namespace = delete.choice.namespace(&args.namespace);
    let meant = Selection { labels, ..Selection::of(namespace) };
    let wanted = api(args).list(resource, &meant)?;
    let target = |object: &Object| Target {
        resource,
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
    };
    Ok(wanted.iter().map(target).collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn how_long_a_pod_may_take_is_read_as_kubectl_reads_it() {
        let told = |words: &str| {
            let words = format!("minipod delete pod x {words}");
            let Command::Delete(args) = Cli::parse_from(words.split_whitespace()).command else {
                panic!("it is a deletion");
            };
            grace(&args).map_err(|failure| failure.to_string())
        };
        for (words, seconds) in [
            ("", None),
            ("--now", Some(1)),
            ("--force", Some(0)),
            ("--force --grace-period=0", Some(0)),
            ("--grace-period 0", Some(1)),
            ("--grace-period=7", Some(7)),
            ("--grace-period=-1", None),
        ] {
            assert_eq!(told(words), Ok(seconds), "{words}");
        }
        assert!(told("--force --grace-period=5").unwrap_err().contains("greater than 0 cannot"));
        assert!(told("--now --grace-period=5").unwrap_err().contains("--now and --grace-period"));
    }
}
