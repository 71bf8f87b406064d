"""Writes OCI image layouts, the same bytes for the same input (OCI image-spec v1.1)."""

import gzip
import hashlib
import io
import json
import pathlib
import tarfile

CREATED = "2024-01-01T00:00:00Z"


class Layer:
    """One layer: files in the order of their paths, owned by root, without dates."""

    def __init__(self):
        self.entries = {}

    def directory(self, path, mode=0o755):
        self.entries[path.strip("/")] = ("directory", b"", mode)

    def file(self, path, content, mode=0o644):
        content = content.encode() if isinstance(content, str) else content
        self.entries[path.strip("/")] = ("file", content, mode)

    def copy(self, path, source, mode=0o755):
        self.file(path, pathlib.Path(source).read_bytes(), mode)

    def link(self, path, target):
        self.entries[path.strip("/")] = ("link", target.encode(), 0o777)

    def tar(self):
        for path in list(self.entries):
            for parent in pathlib.PurePosixPath(path).parents:
                if str(parent) != ".":
                    self.entries.setdefault(str(parent), ("directory", b"", 0o755))
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(self.entries):
                kind, content, mode = self.entries[path]
                entry = tarfile.TarInfo(path)
                entry.mode = mode
                if kind == "directory":
                    entry.type = tarfile.DIRTYPE
                    archive.addfile(entry)
                elif kind == "link":
                    entry.type = tarfile.SYMTYPE
                    entry.linkname = content.decode()
                    archive.addfile(entry)
                else:
                    entry.size = len(content)
                    archive.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()


def write(directory, name, layers, config):
    """Writes one image as an OCI layout and returns its manifest's digest and its size."""
    directory = pathlib.Path(directory)
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def blob(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        (blobs / digest).write_bytes(content)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    descriptors, diff_ids = [], []
    for layer in layers:
        tar = layer.tar()
        diff_ids.append("sha256:" + hashlib.sha256(tar).hexdigest())
        packed = gzip.compress(tar, compresslevel=6, mtime=0)
        descriptors.append(blob(packed, "application/vnd.oci.image.layer.v1.tar+gzip"))
    document = {
        "created": CREATED,
        "architecture": "amd64",
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [{"created": CREATED, "created_by": "build-fixtures"} for _ in layers],
    }
    text = json.dumps(document, sort_keys=True).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(text, "application/vnd.oci.image.config.v1+json"),
        "layers": descriptors,
    }
    text = json.dumps(manifest, sort_keys=True).encode()
    entry = blob(text, "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    index = {"schemaVersion": 2, "manifests": [entry]}
    (directory / "index.json").write_text(json.dumps(index, sort_keys=True))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return entry["digest"], sum(one["size"] for one in descriptors)
