//! The arguments of the commands about images.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::ArgValueCompleter;
use image_puller::Platform;

use crate::completion;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod pull luksa/kubia:1.0")]
pub(crate) struct PullArgs {
    /// The images, for example luksa/kubia:1.0
    #[arg(required = true, add = ArgValueCompleter::new(completion::images))]
    pub(crate) image: Vec<String>,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// For another machine than this one (linux/arm64, linux/arm/v7)
    #[arg(long, value_parser = Platform::parse, value_name = "OS/ARCH")]
    pub(crate) platform: Option<Platform>,
}

#[derive(Debug, Args)]
pub(crate) struct ImagesArgs {
    /// Only images of this name, with any tag if it has none
    #[arg(add = ArgValueCompleter::new(completion::images))]
    pub(crate) name: Option<String>,
    /// Only the ids
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// With the digests by which registries know the images
    #[arg(long)]
    pub(crate) digests: bool,
    /// Ids and digests in full
    #[arg(long)]
    pub(crate) no_trunc: bool,
    /// table or json
    #[arg(long, short, alias = "format", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// How something is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    #[default]
    Table,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  minipod load -i images.tar\n  docker save luksa/kubia:1.0 | minipod load"
)]
pub(crate) struct LoadArgs {
    /// An OCI layout directory, an OCI archive or a docker archive; - or nothing is standard input
    #[arg(long, short, value_name = "PATH")]
    pub(crate) input: Vec<PathBuf>,
    /// Print nothing but errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What images are saved as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SaveFormat {
    /// An archive of an OCI image layout; digests stay the same
    OciArchive,
    /// What docker load of any age reads
    DockerArchive,
    /// An OCI image layout as a directory
    OciDir,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  minipod save -o kubia.tar luksa/kubia:1.0")]
pub(crate) struct SaveArgs {
    /// The images
    #[arg(required = true, add = ArgValueCompleter::new(completion::images))]
    pub(crate) image: Vec<String>,
    /// The file or directory; archives go to standard output without it
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// What to write
    #[arg(long, value_enum, default_value = "oci-archive", value_name = "FORMAT")]
    pub(crate) format: SaveFormat,
}

#[derive(Debug, Args)]
pub(crate) struct RmiArgs {
    /// Names, ids or the beginnings of ids
    #[arg(required = true, add = ArgValueCompleter::new(completion::images))]
    pub(crate) image: Vec<String>,
    /// Take names away although a pod uses the image, or although it has several
    #[arg(long, short)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Names, ids or the beginnings of ids
    #[arg(required = true, add = ArgValueCompleter::new(completion::images))]
    pub(crate) image: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// All images that no pod uses, not only those without a name
    #[arg(long, short)]
    pub(crate) all: bool,
    /// For those who are used to it: nobody is asked anyway
    #[arg(long, short, hide = true)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiskArgs {
    /// With a line for each image
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// table or json
    #[arg(long, short, alias = "format", value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// What can be done with images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// List the images in the store
    #[command(visible_alias = "list")]
    Ls(ImagesArgs),
    /// Pull images
    Pull(PullArgs),
    /// Remove images from the store
    #[command(visible_alias = "remove")]
    Rm(RmiArgs),
    /// Remove the images that nobody needs
    Prune(PruneArgs),
    /// Show all that is known of images, as JSON
    Inspect(InspectArgs),
    /// Load images from an OCI layout or archive
    Load(LoadArgs),
    /// Save images to an archive or directory
    Save(SaveArgs),
    /// Show what the images take of the disk
    Df(DiskArgs),
}
