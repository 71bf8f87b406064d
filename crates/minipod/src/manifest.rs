//! Reads manifests from files, directories and standard input.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use pod_model::{LeftOut, Object, ParseOptions, Source, Unnamed};

use crate::cli::{ManifestArgs, PlaceArgs};
use crate::failure::{Failure, Kind};
use crate::screen;

/// A manifest larger than this is none (the API server takes 3 MiB).
const LARGEST: u64 = 3 << 20;

/// What files in a directory are called that kubectl reads, too.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// An object with the file that describes it.
pub(crate) struct Described {
    pub(crate) object: Object,
    /// The file's name as kubectl puts it in messages.
    pub(crate) file: String,
}

/// Everything that the files describe, in their order. Problems of all files are printed
/// together, and then nothing is returned.
pub(crate) fn read(
    files: &[PathBuf],
    places: &PlaceArgs,
    args: ManifestArgs,
    unnamed: Unnamed,
) -> Result<Vec<Object>, Failure> {
    let described = read_with_files(files, places, args, unnamed)?;
    Ok(described.into_iter().map(|one| one.object).collect())
}

/// The same, with the file of each object.
pub(crate) fn read_with_files(
    files: &[PathBuf],
    places: &PlaceArgs,
    args: ManifestArgs,
    unnamed: Unnamed,
) -> Result<Vec<Described>, Failure> {
    let options = ParseOptions {
        namespace: Some(places.namespace.clone()),
        ignore_unsupported: args.ignore_unsupported,
        unnamed,
    };
    read_all(files, &options, Warnings::Told)
}

/// The same for whoever only asks which objects they are: what their fields mean was told when
/// they were created, and is no reason to refuse.
pub(crate) fn read_names(
    files: &[PathBuf],
    places: &PlaceArgs,
    unnamed: Unnamed,
) -> Result<Vec<Object>, Failure> {
    let namespace = Some(places.namespace.clone());
    let options = ParseOptions { namespace, ignore_unsupported: true, unnamed };
    let described = read_all(files, &options, Warnings::LeftOut)?;
    Ok(described.into_iter().map(|one| one.object).collect())
}

/// Whether what is to know about single fields is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Warnings {
    Told,
    LeftOut,
}

fn read_all(
    files: &[PathBuf],
    options: &ParseOptions,
    warnings: Warnings,
) -> Result<Vec<Described>, Failure> {
    let mut objects = Vec::new();
    let mut problems = String::new();
    let mut count = 0;
    let mut left_out = Vec::new();
    for file in expand(files)? {
        let (name, text) = read_text(&file)?;
        let source = Source { name: &name, text: &text };
        match pod_model::parse(&source, options) {
            Ok(manifest) => {
                if warnings == Warnings::Told {
                    let all = manifest.warnings.iter();
                    all.for_each(|warning| screen::narrate(&warning.render(&source)));
                }
                left_out.extend(manifest.left_out.iter().map(|one| Other::new(one, &source)));
                let is_input = file == Path::new("-");
                let file = if is_input { "STDIN".to_owned() } else { name.clone() };
                let described = |object| Described { object, file: file.clone() };
                objects.extend(manifest.objects.into_iter().map(described));
            }
            Err(found) => {
                count += found.errors();
                problems.push_str(&found.render(&source));
            }
        }
    }
    let is_enough = count > 0 || is_worth_it(&objects, &left_out);
    for other in left_out {
        if is_enough {
            screen::narrate(&other.warning);
        } else {
            count += 1;
            problems.push_str(&other.error);
        }
    }
    check_problems(&problems, count)?;
    if objects.is_empty() {
        return Err(Failure::new(Kind::Manifest, "there is no object in the manifest"));
    }
    check_names(&objects)?;
    Ok(objects)
}

fn check_problems(problems: &str, count: usize) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    screen::narrate(problems);
    let noun = if count == 1 { "problem" } else { "problems" };
    let text = format!("{count} {noun} in the manifest; nothing was created");
    Err(Failure::new(Kind::Manifest, text))
}

/// Objects without a name get one.
pub(crate) const NAMED: Unnamed = Unnamed::EndWith(pod_api::name_ending);

/// An object that is left out, and what there is to say about it.
struct Other {
    is_workload: bool,
    warning: String,
    error: String,
}

impl Other {
    fn new(other: &LeftOut, source: &Source<'_>) -> Self {
        Self {
            is_workload: other.is_workload(),
            warning: other.warning().render(source),
            error: other.error().render(source),
        }
    }
}

/// Whether what is left is worth using. A pod is; without one, nothing would run of a manifest in
/// which a cluster would find pods.
fn is_worth_it(objects: &[Described], left_out: &[Other]) -> bool {
    objects.iter().any(|one| matches!(one.object, Object::Pod(_)))
        || (!objects.is_empty() && !left_out.iter().any(|other| other.is_workload))
}

/// The files that are named; with `-R`, those in directories below, too.
pub(crate) fn files(files: &[PathBuf], recursive: bool) -> Result<Vec<PathBuf>, Failure> {
    if !recursive {
        return Ok(files.to_vec());
    }
    let mut found = Vec::new();
    for file in files {
        if is_directory(file) {
            found.extend(manifests_in(file, true)?);
        } else {
            found.push(file.clone());
        }
    }
    Ok(found)
}

/// A pod that is described twice would be half of each.
fn check_names(objects: &[Described]) -> Result<(), Failure> {
    let mut known = BTreeSet::new();
    for one in objects {
        if let Object::Pod(pod) = &one.object
            && !known.insert((pod.namespace.as_str(), pod.name.as_str()))
        {
            let text = format!("pod \"{}\" is described twice; nothing was created", pod.name);
            return Err(Failure::new(Kind::Manifest, text).hint("give each pod a name of its own"));
        }
    }
    Ok(())
}

/// A directory stands for the manifests in it.
fn expand(files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut expanded = Vec::new();
    for file in files {
        if is_directory(file) {
            expanded.extend(manifests_in(file, false)?);
        } else {
            expanded.push(file.clone());
        }
    }
    Ok(expanded)
}

/// Whether a directory is meant; `-` is standard input, whatever has that name here.
fn is_directory(file: &Path) -> bool {
    file != Path::new("-") && file.is_dir()
}

/// What kustomize calls its files.
const KUSTOMIZATIONS: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

fn manifests_in(directory: &Path, recursive: bool) -> Result<Vec<PathBuf>, Failure> {
    if KUSTOMIZATIONS.iter().any(|name| directory.join(name).is_file()) {
        let shown = directory.display();
        let text = format!("{shown} is for kustomize, whose output is the manifest");
        return Err(Failure::new(Kind::Usage, text)
            .hint(format!("kubectl kustomize {shown} | minipod apply -f -")));
    }
    let mut found = Vec::new();
    collect(directory, recursive, &mut found)?;
    if found.is_empty() {
        let text = format!("error reading {}: no manifest is in it", directory.display());
        let known = EXTENSIONS.map(|extension| format!(".{extension}")).join(", ");
        return Err(Failure::new(Kind::Failed, text)
            .hint(format!("recognized file extensions are {known}; -R looks into directories")));
    }
    Ok(found)
}

fn collect(directory: &Path, recursive: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = fs::read_dir(directory).map_err(|error| cannot_read(directory, &error))?;
    let mut inside: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    inside.sort();
    for path in inside {
        let is_directory = path.is_dir();
        if is_directory && recursive && !path.is_symlink() {
            collect(&path, recursive, found)?;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !is_directory && extension.is_some_and(|one| EXTENSIONS.contains(&one)) {
            found.push(path);
        }
    }
    Ok(())
}

fn read_text(file: &Path) -> Result<(String, String), Failure> {
    let shown = file.display().to_string();
    if shown.starts_with("http://") || shown.starts_with("https://") {
        let text = format!("minipod reads no manifests from the network: {shown}");
        return Err(Failure::new(Kind::Usage, text)
            .hint(format!("curl -fsSL {shown} | minipod apply -f -")));
    }
    let mut bytes = Vec::new();
    let name = if file == Path::new("-") {
        io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)?;
        "<stdin>".to_owned()
    } else {
        let opened = fs::File::open(file).map_err(|error| cannot_read(file, &error))?;
        opened
            .take(LARGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot_read(file, &error))?;
        shown
    };
    if bytes.len() as u64 > LARGEST {
        return Err(Failure::new(Kind::Manifest, format!("{name} is larger than 3 MiB")));
    }
    match decode(bytes) {
        Ok(text) => Ok((name, text)),
        Err(problem) => {
            Err(Failure::new(Kind::Manifest, format!("{name} is {problem}"))
                .hint("save it as UTF-8"))
        }
    }
}

/// Text in UTF-8, or in UTF-16 with a byte order mark, as some editors save it.
fn decode(bytes: Vec<u8>) -> Result<String, String> {
    let unit: Option<fn([u8; 2]) -> u16> = match bytes.get(..2) {
        Some([0xff, 0xfe]) => Some(u16::from_le_bytes),
        Some([0xfe, 0xff]) => Some(u16::from_be_bytes),
        _ => None,
    };
    let Some(unit) = unit else {
        return String::from_utf8(bytes).map_err(|error| {
            format!("not UTF-8 text: byte {} is wrong", error.utf8_error().valid_up_to() + 1)
        });
    };
    let (pairs, rest) = bytes[2..].as_chunks::<2>();
    let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
    match String::from_utf16(&units) {
        Ok(text) if rest.is_empty() => Ok(text),
        _ => Err("not UTF-16 text, although it begins like that".to_owned()),
    }
}

fn cannot_read(file: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        let text = format!("the path {:?} does not exist", file.display().to_string());
        let near = file.parent().and_then(|parent| near_file(parent, file));
        let is_manifest =
            file.extension().is_some_and(|one| EXTENSIONS.iter().any(|it| one == *it));
        let hint = match near {
            Some(near) => Some(format!("did you mean {near}?")),
            None if is_manifest => None,
            None => Some("a manifest is a file; it names the images that are run".to_owned()),
        };
        return Failure::new(Kind::Failed, text).maybe_hint(hint);
    }
    Failure::new(Kind::Failed, format!("cannot read {}: {error}", file.display()))
}

/// The file beside it with the most similar name.
fn near_file(parent: &Path, file: &Path) -> Option<String> {
    let dir = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let entries = fs::read_dir(dir).ok()?.flatten();
    let names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let wrong = file.file_name()?.to_str()?;
    let near = crate::failure::near_match(wrong, names.iter().map(String::as_str))?;
    Some(parent.join(near).display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_editors_save_them() {
        let wide = |mark: [u8; 2], unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            mark.into_iter().chain("ä: 😀\n".encode_utf16().flat_map(unit)).collect()
        };
        assert_eq!(decode("ä: 😀\n".into()).as_deref(), Ok("ä: 😀\n"));
        assert_eq!(decode(wide([0xff, 0xfe], u16::to_le_bytes)).as_deref(), Ok("ä: 😀\n"));
        assert_eq!(decode(wide([0xfe, 0xff], u16::to_be_bytes)).as_deref(), Ok("ä: 😀\n"));
        assert!(decode(vec![0xff, 0xfe, 0x00]).is_err());
        assert_eq!(decode(vec![b'a', 0xc3]), Err("not UTF-8 text: byte 2 is wrong".to_owned()));
    }
}
