//! The rules an archive must keep, each with the sentence a person gets when it does not.

/// Why an entry of a layer is refused. The archive is at fault, not this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// `..` left over after cleaning the name.
    #[error("the name escapes the root of the image")]
    EscapesRoot,
    /// A NUL byte in a name or link target.
    #[error("a name must not contain a NUL byte")]
    NulInName,
    /// A component of more than 255 bytes.
    #[error("a name component has more than 255 bytes")]
    ComponentTooLong,
    /// A path of more than 4095 bytes.
    #[error("the name has more than 4095 bytes")]
    PathTooLong,
    /// An empty link target, or one of more than 4095 bytes.
    #[error("a link target must have 1 to 4095 bytes")]
    LinkTarget,
    /// The root itself as something else than a directory.
    #[error("the root of the image must be a directory")]
    RootNotDirectory,
    /// `.wh.` alone, `.wh..` or `.wh...`.
    #[error("a whiteout must name the entry that it hides")]
    Whiteout,
    /// `.wh.name/child`.
    #[error("a whiteout cannot have children")]
    WhiteoutAsDirectory,
    /// A typeflag that is not one of regular file, links, devices, directory and FIFO.
    #[error("entries of this type are not supported")]
    UnknownType,
    /// Sparse files of the old GNU format or of an unknown version.
    #[error("sparse files of this format are not supported in image layers")]
    Sparse,
    /// A map of a sparse file that contradicts itself or the sizes.
    #[error("the map of a sparse file is malformed")]
    SparseMap,
    /// A hard link whose target is not in the image.
    #[error("the target of the hard link does not exist in the image")]
    HardLinkMissing,
    /// A hard link to a directory.
    #[error("a hard link to a directory is not possible")]
    HardLinkDirectory,
    /// A parent that exists and is no directory.
    #[error("a parent of the entry is not a directory")]
    ParentNotDirectory,
    /// More than 40 symbolic links on the way.
    #[error("too many symbolic links on the way to the entry")]
    LinkLoop,
    /// An owner of 2^32-1 or more, or a negative one.
    #[error("an owner must be between 0 and 4294967294")]
    Owner,
    /// A device number that does not fit.
    #[error("a device number is out of range")]
    Device,
    /// A size below zero or beyond what a file can have.
    #[error("the size is out of range")]
    Size,
    /// A number field that is neither octal nor base-256.
    #[error("a number in the header is malformed")]
    Number,
    /// The header's checksum is wrong.
    #[error("the header checksum is wrong")]
    Checksum,
    /// The archive stops in the middle.
    #[error("the archive is truncated")]
    Truncated,
    /// An extended header that does not parse.
    #[error("an extended header is malformed")]
    ExtendedHeader,
    /// An extended header or long name of more than 1 MiB.
    #[error("an extended header has more than 1 MiB")]
    ExtendedHeaderTooLong,
    /// `security.capability` of a version or size that the kernel does not know.
    #[error("the file capability attribute is malformed")]
    Capability,
    /// A time that no file can have.
    #[error("a time is malformed")]
    Time,
    /// More entries than allowed.
    #[error("the layer has more entries than allowed")]
    TooManyEntries,
    /// Names and attributes of directories beyond what is kept in memory.
    #[error("the names and attributes of the directories need more memory than allowed")]
    DirectoriesTooLarge,
    /// More names of extended attributes than the kernel lists.
    #[error("the entry has more extended attributes than can be listed (64 KiB of names)")]
    TooManyAttributes,
    /// More than 64 extended headers for one entry.
    #[error("the entry has more than 64 extended headers")]
    TooManyExtendedHeaders,
    /// More unpacked bytes than allowed.
    #[error("the layer unpacks to more bytes than allowed")]
    TooLarge,
    /// More unpacked bytes than allowed in all layers together.
    #[error("the layers of the image unpack to more bytes than allowed")]
    ImageTooLarge,
}

impl Rule {
    /// True if another tree might not break it: one with the layers below.
    pub(crate) fn depends_on_tree(self) -> bool {
        matches!(
            self,
            Self::HardLinkMissing
                | Self::HardLinkDirectory
                | Self::ParentNotDirectory
                | Self::LinkLoop
        )
    }
}
