//! `wait`: until a condition of pods is met, or can no longer be.

mod condition;

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use pod_api::follow::{Change, Follower};
use pod_api::journal::Verb;
use pod_api::watch::Woken;
use pod_api::{Object, Pods};

use super::{places, post_mortem};
use crate::cli::{PlaceArgs, WaitArgs, parse_duration};
use crate::failure::{Failure, Kind};
use crate::{screen, selection};
use pod_api::Resource;
use pod_api::selectors::LabelSelector;

pub(super) use condition::never_ready;
use condition::{Condition, Verdict};

/// What a negative timeout means to kubectl.
const A_WEEK: Duration = Duration::from_hours(7 * 24);

pub(crate) fn run(args: &PlaceArgs, wait: &WaitArgs) -> Result<(), Failure> {
    let condition = Condition::parse(&wait.condition)?;
    let deadline = Instant::now() + timeout(&wait.timeout)?;
    let pods = Pods::new(&places(args));
    let mut follower = Follower::new(&places(args), &[Resource::Pod])?;
    let mut targets = targets(args, wait, &pods, &condition)?;
    loop {
        for change in follower.changes()? {
            targets.iter_mut().for_each(|target| target.learn(&change));
        }
        for target in targets.iter_mut().filter(|target| !target.is_met) {
            target.check(args, &condition, &pods)?;
        }
        if targets.iter().all(|target| target.is_met) {
            return Ok(());
        }
        if follower.wait(None, Some(deadline))? == Woken::TimedOut {
            return Err(timed_out(&targets));
        }
    }
}

fn timeout(text: &str) -> Result<Duration, Failure> {
    if text.starts_with('-') {
        return Ok(A_WEEK);
    }
    parse_duration(text).map_err(|problem| Failure::new(Kind::Usage, problem).hint("--timeout=60s"))
}

fn timed_out(targets: &[Target]) -> Failure {
    let mut late = targets.iter().filter(|target| !target.is_met).map(|target| {
        let text = format!("timed out waiting for the condition on pods/{}", target.name);
        let hint = format!("minipod describe pod {}", target.name);
        Failure::new(Kind::TimedOut, text).hint(hint)
    });
    let first = late.next().unwrap_or_else(|| Failure::silent(Kind::TimedOut));
    late.for_each(|failure| screen::narrate(&failure.to_string()));
    first
}

/// A pod that is waited for.
struct Target {
    namespace: String,
    name: String,
    latest: Option<Pod>,
    is_gone: bool,
    is_met: bool,
}

impl Target {
    fn new(namespace: &str, name: &str, latest: Option<Pod>) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { namespace, name, latest, is_gone: false, is_met: false }
    }

    fn learn(&mut self, change: &Change) {
        let Object::Pod(pod) = &change.object else {
            return;
        };
        let metadata = &pod.metadata;
        let is_named = metadata.name.as_ref() == Some(&self.name)
            && metadata.namespace.as_ref() == Some(&self.namespace);
        let is_same = self.latest.as_ref().is_none_or(|latest| latest.metadata.uid == metadata.uid);
        match change.verb {
            Verb::Deleted if is_named && is_same => self.is_gone = true,
            _ if is_named && is_same => self.latest = Some((**pod).clone()),
            _ => {}
        }
    }

    /// Tells when the condition is met; fails when it can no longer be.
    fn check(
        &mut self,
        args: &PlaceArgs,
        condition: &Condition,
        pods: &Pods,
    ) -> Result<(), Failure> {
        let verdict = match (&self.latest, self.is_gone, condition) {
            (_, true, Condition::Delete) => Verdict::Met,
            (_, true, _) => {
                return Err(selection::not_found(pods, &self.namespace, &self.name));
            }
            (None, false, _) => Verdict::NotYet,
            (Some(pod), false, _) => condition.verdict(pod)?,
        };
        match verdict {
            Verdict::NotYet => Ok(()),
            Verdict::Met => {
                self.is_met = true;
                screen::answer(&format!("pod/{} condition met\n", self.name))
            }
            Verdict::Never(why) => {
                if let Some(pod) = &self.latest {
                    screen::narrate(&post_mortem::of(&places(args), pod));
                }
                let name = &self.name;
                let text = format!("the condition on pods/{name} can no longer be met: {why}");
                Err(Failure::new(Kind::Failed, text).hint(format!("minipod describe pod {name}")))
            }
        }
    }
}

fn targets(
    args: &PlaceArgs,
    wait: &WaitArgs,
    pods: &Pods,
    condition: &Condition,
) -> Result<Vec<Target>, Failure> {
    let names = names(args, wait)?;
    if names.is_empty() {
        return selected(args, wait, pods);
    }
    let mut targets = Vec::new();
    for (namespace, name) in names {
        match (pods.find(&namespace, &name)?, condition) {
            (Some(found), _) => targets.push(Target::new(&namespace, &name, Some(found.pod))),
            (None, Condition::Create) => targets.push(Target::new(&namespace, &name, None)),
            (None, Condition::Delete) => {} // gone, as wanted
            (None, _) => return Err(selection::not_found(pods, &namespace, &name)),
        }
    }
    Ok(targets)
}

/// The pods that are named, on the command line or by a manifest.
fn names(args: &PlaceArgs, wait: &WaitArgs) -> Result<Vec<(String, String)>, Failure> {
    let selects = wait.choice.is_made();
    let mut names = Vec::new();
    if wait.what.is_empty() && selects {
        return Ok(names); // pods are meant, what else
    }
    for named in selection::named_or_described(args, &wait.what, &wait.files, "wait")? {
        if named.resource != Resource::Pod {
            if !wait.files.file.is_empty() {
                continue; // what is beside a pod in a manifest
            }
            let text = format!("minipod waits for pods, not for {}", named.resource.plural());
            return Err(Failure::new(Kind::Usage, text));
        }
        let namespace = named.namespace.as_ref().unwrap_or(&args.namespace);
        names.extend(named.names.into_iter().map(|name| (namespace.clone(), name)));
    }
    if names.is_empty() && !selects {
        let text = "resource(s) were provided, but no name was specified";
        return Err(Failure::new(Kind::Usage, text).hint("pod/NAME, or --all, or -l LABELS"));
    }
    Ok(names)
}

fn selected(args: &PlaceArgs, wait: &WaitArgs, pods: &Pods) -> Result<Vec<Target>, Failure> {
    let labels = LabelSelector::parse(wait.choice.selector.as_deref().unwrap_or_default())
        .map_err(|error| Failure::of(Kind::Usage, &error))?;
    let namespace = wait.choice.namespace(&args.namespace);
    let found = selection::labelled(pods, namespace, &labels)?;
    if found.is_empty() {
        return Err(Failure::new(Kind::NotFound, "no matching resources found"));
    }
    let target = |one: pod_api::pods::FoundPod| {
        Target::new(one.namespace(), one.name(), Some(one.pod.clone()))
    };
    Ok(found.into_iter().map(target).collect())
}
