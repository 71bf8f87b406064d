//! Images as docker and podman show them.

use image_puller::{Digest, ImageSummary, Inspection};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::table;

/// Which columns a listing has.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Columns {
    pub(crate) digests: bool,
    pub(crate) in_full: bool,
}

/// One row per name, in the order given.
pub(crate) fn table(images: &[ImageSummary], columns: Columns, now: Timestamp) -> String {
    let mut header = vec!["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
    if columns.digests {
        header.insert(2, "DIGEST");
    }
    let rows: Vec<Vec<String>> = images
        .iter()
        .flat_map(|image| {
            named(image).into_iter().map(move |(repository, tag)| {
                let id = id(&image.id, columns.in_full);
                let age = ago(image.created.as_deref(), now);
                let mut row = vec![repository, tag, id, age, size(image.unpacked)];
                if columns.digests {
                    row.insert(2, digest(image).to_string());
                }
                row
            })
        })
        .collect();
    table::render(Some(&header), &rows)
}

/// Repository and tag of each name; `<none>` where there is none.
fn named(image: &ImageSummary) -> Vec<(String, String)> {
    let none = || "<none>".to_owned();
    if image.names.is_empty() {
        return vec![(none(), none())];
    }
    let split = |name: &String| match (name.split_once('@'), name.rsplit_once(':')) {
        (Some((name, _)), _) => (name.to_owned(), none()),
        (None, Some((name, tag))) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (name.clone(), none()),
    };
    image.names.iter().map(split).collect()
}

/// The digest by which registries know the image.
fn digest(image: &ImageSummary) -> &Digest {
    image.index_digest.as_ref().unwrap_or(&image.manifest_digest)
}

/// An id: twelve digits unless it is wanted in full.
pub(crate) fn id(digest: &Digest, in_full: bool) -> String {
    if in_full { digest.to_string() } else { digest.hex().chars().take(12).collect() }
}

/// How long ago something was, as docker says it.
fn ago(created: Option<&str>, now: Timestamp) -> String {
    let Some(created) = created.and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "N/A".to_owned();
    };
    let seconds = (now.as_second() - created.as_second()).max(0);
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    let days = hours / 24;
    let text = match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if days < 14 => format!("{days} days"),
        _ if days < 60 => format!("{} weeks", days / 7),
        _ if days < 730 => format!("{} months", days / 30),
        _ => format!("{} years", days / 365),
    };
    text + " ago"
}

/// Bytes as people read them.
pub(crate) fn size(bytes: u64) -> String {
    let mut tenths = bytes.saturating_mul(10);
    for unit in ["B", "kB", "MB", "GB"] {
        if tenths < 10_000 {
            let text = format!("{}.{}{unit}", tenths / 10, tenths % 10);
            return text.replace(".0", "");
        }
        tenths /= 1000;
    }
    format!("{}TB", tenths / 10)
}

/// An image in a listing, with the names that `podman images --format json` has for its parts.
pub(crate) fn json(image: &ImageSummary) -> Value {
    json!({
        "Id": image.id.hex(),
        "RepoTags": tags(image),
        "RepoDigests": digests(image),
        "Names": image.names,
        "Digest": digest(image).to_string(),
        "ManifestDigest": image.manifest_digest.to_string(),
        "Created": image.created,
        "Size": image.unpacked,
        "CompressedSize": image.size,
        "Platform": image.platform,
    })
}

fn tags(image: &ImageSummary) -> Vec<&String> {
    image.names.iter().filter(|name| !name.contains('@')).collect()
}

/// `repository@digest` for every repository that the image has a name in.
fn digests(image: &ImageSummary) -> Vec<String> {
    let mut found: Vec<String> =
        named(image).iter().map(|(name, _)| format!("{name}@{}", digest(image))).collect();
    found.retain(|name| !name.starts_with('<'));
    found.dedup();
    found
}

/// All about an image, with the names that `docker image inspect` has for its parts.
pub(crate) fn details(image: &Inspection) -> Value {
    let (summary, configuration) = (&image.summary, &image.configuration);
    let part = |name: &str| configuration.get(name).cloned().unwrap_or(Value::Null);
    let text = |name: &str| configuration[name].as_str().unwrap_or_default().to_owned();
    let diff_ids = configuration["rootfs"]["diff_ids"].clone();
    let lower: Vec<String> =
        image.layers.iter().rev().map(|layer| layer.display().to_string()).collect();
    json!({
        "Id": summary.id.to_string(),
        "RepoTags": tags(summary),
        "RepoDigests": digests(summary),
        "Digest": digest(summary).to_string(),
        "ManifestDigest": summary.manifest_digest.to_string(),
        "ManifestType": image.media_type,
        "Created": part("created"),
        "Author": text("author"),
        "Architecture": text("architecture"),
        "Variant": text("variant"),
        "Os": text("os"),
        "Size": summary.unpacked,
        "CompressedSize": summary.size,
        "Config": part("config"),
        "RootFS": { "Type": "layers", "Layers": diff_ids },
        "GraphDriver": { "Name": "overlay", "Data": { "LowerDir": lower.join(":") } },
        "History": part("history"),
    })
}

/// What all images take together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DiskSummary {
    pub(crate) total: usize,
    pub(crate) active: usize,
    pub(crate) size: u64,
    pub(crate) reclaimable: u64,
}

/// What one image takes.
#[derive(Clone, Debug)]
pub(crate) struct DiskRow {
    pub(crate) image: ImageSummary,
    pub(crate) unique: u64,
    pub(crate) shared: u64,
    pub(crate) pods: usize,
}

/// As `docker system df`.
pub(crate) fn disk_table(summary: &DiskSummary) -> String {
    let share = (summary.reclaimable * 100).checked_div(summary.size).unwrap_or(0);
    let row = vec![
        "Images".to_owned(),
        summary.total.to_string(),
        summary.active.to_string(),
        size(summary.size),
        format!("{} ({share}%)", size(summary.reclaimable)),
    ];
    table::render(Some(&["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]), &[row])
}

/// As `docker system df -v`; sizes are those on the disk, layers and what they came from.
pub(crate) fn disk_details(rows: &[DiskRow], now: Timestamp) -> String {
    let header =
        ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE", "SHARED SIZE", "UNIQUE SIZE", "PODS"];
    let rows: Vec<Vec<String>> = rows
        .iter()
        .flat_map(|row| {
            named(&row.image).into_iter().map(move |(repository, tag)| {
                vec![
                    repository,
                    tag,
                    id(&row.image.id, false),
                    ago(row.image.created.as_deref(), now),
                    size(row.unique + row.shared),
                    size(row.shared),
                    size(row.unique),
                    row.pods.to_string(),
                ]
            })
        })
        .collect();
    table::render(Some(&header), &rows)
}

pub(crate) fn disk_json(row: &DiskRow) -> Value {
    let mut value = json(&row.image);
    value["UniqueSize"] = row.unique.into();
    value["SharedSize"] = row.shared.into();
    value["Pods"] = row.pods.into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(names: &[&str]) -> ImageSummary {
        ImageSummary {
            id: Digest::of(b"config"),
            manifest_digest: Digest::of(b"manifest"),
            index_digest: Some(Digest::of(b"index")),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            size: 1_200_000,
            unpacked: 4_260_000,
            platform: "linux/amd64".to_owned(),
            created: Some("2026-01-01T00:00:00Z".to_owned()),
        }
    }

    #[test]
    fn a_listing_has_a_row_per_name_and_the_columns_of_docker() {
        let by_digest = format!("docker.io/library/a@{}", Digest::of(b"index"));
        let images = [image(&["docker.io/library/a:1", &by_digest]), image(&[])];
        let now = "2026-01-22T00:00:00Z".parse().unwrap();
        let shown = table(&images, Columns::default(), now);
        insta::assert_snapshot!(shown, @r"
        REPOSITORY            TAG      IMAGE ID       CREATED       SIZE
        docker.io/library/a   1        b79606fb3afe   3 weeks ago   4.2MB
        docker.io/library/a   <none>   b79606fb3afe   3 weeks ago   4.2MB
        <none>                <none>   b79606fb3afe   3 weeks ago   4.2MB
        ");
        let columns = Columns { digests: true, in_full: true };
        let full = table(&images[..1], columns, now);
        assert!(full.contains(&format!("{}   {}", Digest::of(b"index"), Digest::of(b"config"))));
        assert_eq!(digests(&images[0]), [by_digest]);
    }

    #[test]
    fn times_are_told_as_docker_tells_them() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        for (created, text) in [
            ("2026-06-01T12:00:00Z", "Less than a second ago"),
            ("2026-06-01T11:59:30Z", "30 seconds ago"),
            ("2026-06-01T11:58:30Z", "About a minute ago"),
            ("2026-06-01T11:20:00Z", "40 minutes ago"),
            ("2026-06-01T10:50:00Z", "About an hour ago"),
            ("2026-05-31T00:00:00Z", "36 hours ago"),
            ("2026-05-25T12:00:00Z", "7 days ago"),
            ("2026-05-01T12:00:00Z", "4 weeks ago"),
            ("2025-06-01T12:00:00Z", "12 months ago"),
            ("2016-06-01T12:00:00Z", "10 years ago"),
            ("yesterday", "N/A"),
        ] {
            assert_eq!(ago(Some(created), now), text, "{created}");
        }
    }

    #[test]
    fn sizes_have_one_digit_after_the_point() {
        for (bytes, text) in [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_260_000, "4.2MB")] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }
}
