//! Who a container's process is: user, groups, home directory.

use image_puller::Image;
use k8s_openapi::api::core::v1::{Container, PodSecurityContext, SecurityContext};
use pod_model::Pod;
use sandbox::UserPlan;

use super::PlanError;

/// The larger of these files is not a user database.
const MOST_BYTES: u64 = 4 << 20;

/// A container's user with what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) user: UserPlan,
    pub(super) home: String,
}

/// One line of `/etc/passwd` (passwd(5)).
struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

/// The user a container runs as: the manifest's, else the image's, else root.
pub(super) fn of_container(
    pod: &Pod,
    container: &Container,
    image: &Image,
) -> Result<Identity, PlanError> {
    let own = container.security_context.clone().unwrap_or_default();
    let of_pod = pod.object.spec.as_ref().and_then(|spec| spec.security_context.clone());
    let of_pod = of_pod.unwrap_or_default();
    let passwd = image_text(image, "etc/passwd")?;
    let group = image_text(image, "etc/group")?;
    let run_as_user = own.run_as_user.or(of_pod.run_as_user);
    let run_as_group = own.run_as_group.or(of_pod.run_as_group);
    let image_user = image.config.user.clone().unwrap_or_default();
    check_non_root(pod, container, (&own, &of_pod), &image_user)?;
    let (user, group_text) = match run_as_user {
        Some(uid) => (uid.to_string(), ""),
        None => image_user
            .split_once(':')
            .map_or((image_user.clone(), ""), |(user, group)| (user.to_owned(), group)),
    };
    let entry = entries(&passwd).find(|entry| is_user(entry, &user));
    let uid = match (&entry, user.as_str()) {
        (Some(entry), _) => entry.uid,
        (None, "") => 0,
        (None, text) => number(text).ok_or_else(|| {
            PlanError::User(format!(
                "unable to find user {text}: no matching entries in passwd file"
            ))
        })?,
    };
    let gid = match (run_as_group.and_then(|gid| u32::try_from(gid).ok()), group_text) {
        (Some(gid), _) => gid,
        (None, "") => entry.as_ref().map_or(0, |entry| entry.gid),
        (None, text) => group_id(&group, text).ok_or_else(|| {
            PlanError::User(format!(
                "unable to find group {text}: no matching entries in group file"
            ))
        })?,
    };
    let name = entry.as_ref().map(|entry| entry.name);
    let groups = supplementary(&of_pod, &group, name, gid);
    let home = entry.map_or("/", |entry| if entry.home.is_empty() { "/" } else { entry.home });
    Ok(Identity { user: UserPlan { uid, gid, groups }, home: home.to_owned() })
}

/// `runAsNonRoot`, as a kubelet checks it before a container is created.
fn check_non_root(
    pod: &Pod,
    container: &Container,
    (own, of_pod): (&SecurityContext, &PodSecurityContext),
    image_user: &str,
) -> Result<(), PlanError> {
    if own.run_as_non_root.or(of_pod.run_as_non_root) != Some(true) {
        return Ok(());
    }
    let place = format!("(pod: \"{}\", container: {})", pod.format(), container.name);
    let user = image_user.split(':').next().unwrap_or_default();
    let problem = match (own.run_as_user.or(of_pod.run_as_user), user) {
        (Some(0), _) => format!("container's runAsUser breaks non-root policy {place}"),
        (Some(_), _) => return Ok(()),
        (None, "" | "0") => {
            format!("container has runAsNonRoot and image will run as root {place}")
        }
        (None, name) if number(name).is_none() => format!(
            "container has runAsNonRoot and image has non-numeric user ({name}), cannot verify \
             user is non-root {place}"
        ),
        (None, _) => return Ok(()),
    };
    Err(PlanError::User(problem))
}

/// The supplementary groups: the pod's, and the image's memberships unless the policy is Strict.
/// The primary group is always among them.
fn supplementary(
    of_pod: &PodSecurityContext,
    group: &str,
    user: Option<&str>,
    gid: u32,
) -> Vec<u32> {
    let mut groups = vec![gid];
    let stated = of_pod.fs_group.iter().chain(of_pod.supplemental_groups.iter().flatten());
    groups.extend(stated.filter_map(|group| u32::try_from(*group).ok()));
    if let (Some(user), true) =
        (user, of_pod.supplemental_groups_policy.as_deref() != Some("Strict"))
    {
        groups.extend(memberships(group, user));
    }
    let mut seen = std::collections::BTreeSet::new();
    groups.retain(|group| seen.insert(*group));
    groups
}

fn image_text(image: &Image, path: &'static str) -> Result<String, PlanError> {
    let bytes = image
        .read_file(path, MOST_BYTES)
        .map_err(|source| PlanError::ImageFile { path, source })?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}

fn entries(passwd: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or_default();
        Some(PasswdEntry { name, uid, gid, home })
    })
}

/// A text that is a number names a user id, even when a user has that name.
fn is_user(entry: &PasswdEntry<'_>, text: &str) -> bool {
    match number(text) {
        Some(uid) => entry.uid == uid,
        None => entry.name == text && !text.is_empty() || text.is_empty() && entry.uid == 0,
    }
}

/// A user or group number: 0 to 2147483647.
fn number(text: &str) -> Option<u32> {
    text.parse::<u32>().ok().filter(|number| i32::try_from(*number).is_ok())
}

fn group_id(group: &str, text: &str) -> Option<u32> {
    number(text).or_else(|| {
        let mut lines = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let line = lines.find(|fields| fields.first() == Some(&text))?;
        line.get(2)?.parse().ok()
    })
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    let lines = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines
        .filter(|fields| {
            fields.get(3).is_some_and(|members| members.split(',').any(|member| member == user))
        })
        .filter_map(|fields| fields.get(2)?.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\nstaff:x:50:app\n";

    #[test]
    fn a_user_is_found_by_name_or_number() {
        let find = |text: &str| entries(PASSWD).find(|entry| is_user(entry, text)).map(|e| e.gid);
        assert_eq!(find("app"), Some(1001));
        assert_eq!(find("1000"), Some(1001));
        assert_eq!(find(""), Some(0));
        assert_eq!(find("nobody"), None);
        assert_eq!(number("4294967295"), None);
    }

    #[test]
    fn the_groups_of_an_image_count_unless_the_policy_is_strict() {
        let merge = PodSecurityContext { fs_group: Some(7), ..Default::default() };
        assert_eq!(supplementary(&merge, GROUP, Some("app"), 1001), [1001, 7, 10, 50]);
        let strict = PodSecurityContext {
            supplemental_groups_policy: Some("Strict".into()),
            supplemental_groups: Some(vec![9, 9]),
            ..Default::default()
        };
        assert_eq!(supplementary(&strict, GROUP, Some("app"), 1001), [1001, 9]);
    }
}
