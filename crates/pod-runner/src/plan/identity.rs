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
    let (stated_user, stated_group) = image_user.split_once(':').unwrap_or((&image_user, ""));
    let run_as_user = run_as_user.map(|uid| uid.to_string());
    let (user, group_text) = match &run_as_user {
        Some(uid) => (uid.as_str(), ""),
        None => (stated_user, stated_group),
    };
    let named = Named::parse("user", user)?;
    let entry = entries(&passwd).find(|entry| entry.is(&named));
    let uid = match (&entry, &named) {
        (Some(entry), _) => entry.uid,
        (None, Named::Unstated) => 0,
        (None, Named::Number(uid)) => *uid,
        (None, Named::Name(name)) => return Err(no_such("user", name, "passwd")),
    };
    let gid = match (run_as_group.and_then(|gid| u32::try_from(gid).ok()), group_text) {
        (Some(gid), _) => gid,
        (None, "") => entry.as_ref().map_or(0, |entry| entry.gid),
        (None, text) => match Named::parse("group", text)? {
            Named::Number(gid) => gid,
            _ => group_id(&group, text).ok_or_else(|| no_such("group", text, "group"))?,
        },
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
        (None, name) => match Named::parse("user", name)? {
            Named::Unstated | Named::Number(0) => {
                format!("container has runAsNonRoot and image will run as root {place}")
            }
            Named::Number(_) => return Ok(()),
            Named::Name(_) => format!(
                "container has runAsNonRoot and image has non-numeric user ({name}), cannot \
                 verify user is non-root {place}"
            ),
        },
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
        let uid = id(fields.nth(1)?)?;
        let gid = id(fields.next()?)?;
        let home = fields.nth(1).unwrap_or_default();
        Some(PasswdEntry { name, uid, gid, home })
    })
}

impl PasswdEntry<'_> {
    /// Whether it is the user's. A number is never looked up as a name.
    fn is(&self, user: &Named<'_>) -> bool {
        match user {
            Named::Unstated => self.uid == 0,
            Named::Number(uid) => self.uid == *uid,
            Named::Name(name) => self.name == *name,
        }
    }
}

/// A user or group as an image or a manifest writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named<'a> {
    /// Not at all: root.
    Unstated,
    /// By number: 0 to 2147483647.
    Number(u32),
    /// By name.
    Name(&'a str),
}

impl<'a> Named<'a> {
    /// What consists of digits is a number and nothing else; everything else that could be taken
    /// for a number (`-1`, `+0`, `0x0`, `1e3`) is neither a number nor a name.
    fn parse(what: &str, text: &'a str) -> Result<Self, PlanError> {
        let begins_name = |first: char| first.is_ascii_alphabetic() || first == '_';
        let in_name = |one: char| one.is_ascii_alphanumeric() || "_.-@$".contains(one);
        if text.is_empty() {
            return Ok(Self::Unstated);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| i32::try_from(*number).is_ok());
            return number.map(Self::Number).ok_or_else(|| {
                PlanError::User(format!("{what} id {text} is not between 0 and 2147483647"))
            });
        }
        if text.starts_with(begins_name) && text.chars().all(in_name) {
            return Ok(Self::Name(text));
        }
        Err(PlanError::User(format!("{what} {text:?} is neither a number nor a name")))
    }
}

fn no_such(what: &str, name: &str, file: &str) -> PlanError {
    PlanError::User(format!("unable to find {what} {name}: no matching entries in {file} file"))
}

fn group_id(group: &str, name: &str) -> Option<u32> {
    let mut lines = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.first() == Some(&name))?;
    id(line.get(2)?)
}

/// An id in a file of the image; what is none is no entry.
fn id(text: &str) -> Option<u32> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<u32>().ok().filter(|number| is_plain && i32::try_from(*number).is_ok())
}

fn memberships(group: &str, user: &str) -> Vec<u32> {
    let lines = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines
        .filter(|fields| {
            fields.get(3).is_some_and(|members| members.split(',').any(|member| member == user))
        })
        .filter_map(|fields| id(fields.get(2)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:App:/home/app:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\nstaff:x:50:app\n";

    /// The uid that a text leads to, or the error.
    fn uid(passwd: &str, text: &str) -> Result<Option<u32>, String> {
        let named = Named::parse("user", text).map_err(|error| error.to_string())?;
        Ok(entries(passwd).find(|entry| entry.is(&named)).map(|entry| entry.uid))
    }

    #[test]
    fn a_user_is_found_by_name_or_number() {
        let gid = |text| {
            let named = Named::parse("user", text).unwrap();
            entries(PASSWD).find(|entry| entry.is(&named)).map(|entry| entry.gid)
        };
        assert_eq!(gid("app"), Some(1001));
        assert_eq!(gid("1000"), Some(1001));
        assert_eq!(gid(""), Some(0));
        assert_eq!(gid("nobody"), None);
    }

    #[test]
    fn a_number_is_never_a_name_and_what_is_neither_is_refused() {
        // Each of these names is root's in the file.
        let names = ["1000", "4294967296", "2147483648", "-1", "0x0", "1e3", " 1", "+0", "1 "];
        let lines: Vec<String> = names.iter().map(|name| format!("{name}:x:0:0::/:\n")).collect();
        let passwd = lines.concat();
        assert_eq!(uid(&passwd, "1000"), Ok(None), "the number 1000, which has no entry");
        for text in ["4294967296", "2147483648", "99999999999999999999"] {
            assert!(uid(&passwd, text).unwrap_err().contains("between"), "{text}");
        }
        for text in ["-1", "0x0", "1e3", " 1", "+0", "1 ", "a\nb", "a b", "../x", "ro\u{f6}t"] {
            assert!(uid(&passwd, text).unwrap_err().contains("neither"), "{text}");
        }
        for (text, number) in [("2147483647", 2_147_483_647), ("007", 7)] {
            assert_eq!(Named::parse("user", text).unwrap(), Named::Number(number));
        }
    }

    #[test]
    fn lines_that_are_no_entries_are_passed_over_and_the_first_entry_counts() {
        let passwd = "root:x:0\nroot:x:abc:0::/:\nroot:x:-1:0::/:\nroot:x:+5:0::/:\n\
                      root:x:99999999999999999999:0::/:\n+::::::\n:x:7:7::/:\n\
                      root:x:4:4::/:\r\nroot:x:0:0::/:\n";
        assert_eq!(uid(passwd, "root"), Ok(Some(4)));
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
