"""Measures pulling: minipod, `skopeo copy` + `umoci unpack` and `podman pull`, each in turn, from
docker-registry on the loopback, next to the floors: download only, decompress only, `tar -x` of the
plain archives, and SHA-256 of blobs and archives. The last column tells how much processor time
these four need together, of what minipod needs. Usage: scripts/bench images [ROUNDS] [CASE…]; without CASE all of them.
"""

import hashlib
import io
import json
import os
import pathlib
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
MINIPOD = pathlib.Path(os.environ.get("MINIPOD_BIN", TOP / "target/release/minipod"))
FLOOR = TOP / "target/release/examples/decompress"
MADE = TOP / "target/bench-images"
MB = 1_000_000
FLOORS = ["download", "decompress", "tar -x"]
# name: (bytes in all, layers, bytes of a file)
CASES = {
    "1x10MB": (10 * MB, 1, 60_000), "1x100MB": (100 * MB, 1, 60_000),
    "1x500MB": (500 * MB, 1, 60_000), "300MBx8": (300 * MB, 8, 60_000),
    "300MBx1": (300 * MB, 1, 60_000), "300MBx32": (300 * MB, 32, 60_000),
    "300MBx127": (300 * MB, 127, 60_000), "50000files": (50_000 * 2_000, 1, 2_000),
}


def content(dice, size):
    """A third noise, a third text, a third of tables: gzip makes about a third of it."""
    kind = dice.randrange(3)
    if kind == 0:
        return dice.randbytes(size)
    if kind == 1:
        words = [dice.randbytes(3).hex() for _ in range(200)]
        return " ".join(dice.choices(words, k=size // 7 + 1)).encode()[:size]
    block = dice.randbytes(24) + bytes(40)
    return (block * (size // 64 + 1))[:size]


def archive(path, dice, total, size):
    """An archive of files in directories of 100, each directory with an entry of its own."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as target:
        root = tarfile.TarInfo("./")
        root.type, root.mode = tarfile.DIRTYPE, 0o755
        target.addfile(root)
        for number in range(max(total // size, 1)):
            if number % 100 == 0:
                parent = tarfile.TarInfo(f"{path.stem}-{number // 100}")
                parent.type, parent.mode, parent.mtime = tarfile.DIRTYPE, 0o755, 1_700_000_000
                target.addfile(parent)
            entry = tarfile.TarInfo(f"{parent.name}/file-{number}")
            bytes_ = content(dice, size)
            entry.size, entry.mode, entry.mtime = len(bytes_), 0o644, 1_700_000_000
            target.addfile(entry, io.BytesIO(bytes_))


def digest_of(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(
            hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()


def make(case, compression):
    """An OCI layout of the case; kept below target/ for the next time."""
    directory = MADE / f"{case}-{compression}"
    plain = MADE / f"{case}-plain"
    if not (plain / "done").exists():
        shutil.rmtree(plain, ignore_errors=True)
        plain.mkdir(parents=True)
        total, layers, size = CASES[case]
        for number in range(layers):
            archive(plain / f"{number:03}.tar", random.Random(number), total // layers, size)
        (plain / "done").touch()
    if (directory / "index.json").exists():
        return directory, plain
    shutil.rmtree(directory, ignore_errors=True)
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def blob(bytes_, kind):
        digest = hashlib.sha256(bytes_).hexdigest()
        (blobs / digest).write_bytes(bytes_)
        return {"mediaType": f"application/vnd.oci.image.{kind}+json", "size": len(bytes_),
                "digest": f"sha256:{digest}"}

    layers, diff_ids = [], []
    for tar in sorted(plain.glob("*.tar")):
        aside = directory / "aside"
        command = ["gzip", "-6nc"] if compression == "gzip" else ["zstd", "-3qc"]
        with open(aside, "wb") as target:
            subprocess.run([*command, str(tar)], stdout=target, check=True)
        digest = digest_of(aside)
        layers.append({"mediaType": f"application/vnd.oci.image.layer.v1.tar+{compression}",
                       "size": aside.stat().st_size, "digest": f"sha256:{digest}"})
        diff_ids.append(f"sha256:{digest_of(tar)}")
        aside.rename(blobs / digest)
    config = blob(json.dumps({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode(), "config.v1")
    manifest = blob(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers}).encode(), "manifest.v1")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))
    return directory, plain


class Registry:
    def __init__(self, place):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        settings = place / "registry.yaml"
        settings.write_text(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: "
                            f"{{rootdirectory: {place}/registry}}}}\nhttp: {{addr: '{self.address}'}}\n")
        self.process = subprocess.Popen(["docker-registry", "serve", str(settings)],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        host, port = self.address.split(":")
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            time.sleep(0.1)
        sys.exit("error: docker-registry does not start")

    def push(self, layout, name):
        subprocess.run(["skopeo", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false", f"oci:{layout}:1",
                        f"docker://{self.address}/{name}:1"], check=True)


def measured(*commands, env=None):
    """Wall and processor seconds of commands one after the other, and the largest of them in MiB."""
    os.sync()
    wall = cpu = memory = 0
    for command in commands:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE)
        told = process.stderr.read().decode(errors="replace")
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        wall += time.perf_counter() - began
        if status:
            raise RuntimeError(f"{' '.join(map(str, command))} failed: {told.strip()[-400:]}")
        cpu += usage.ru_utime + usage.ru_stime
        memory = max(memory, usage.ru_maxrss / 1024)
    return wall, cpu, memory


class Bench:
    """One image on the registry, and everything that can be done with it."""

    def __init__(self, place, registry, case, compression):
        self.place, self.registry, self.name = place, registry, f"{case}-{compression}".lower()
        layout, plain = make(case, compression)
        registry.push(layout, self.name)
        self.tars = sorted(map(str, plain.glob("*.tar")))
        manifest = json.loads((layout / "index.json").read_text())["manifests"][0]
        layers = json.loads((layout / "blobs/sha256" / manifest["digest"][7:]).read_text())["layers"]
        self.blobs = [str(layout / "blobs/sha256" / layer["digest"][7:]) for layer in layers]
        base = f"http://{registry.address}/v2/{self.name}/blobs"
        self.urls = [f"{base}/{layer['digest']}" for layer in layers]
        self.out = place / "out"
        conf = place / "registries.conf"
        conf.write_text(f"[[registry]]\nlocation = '{registry.address}'\ninsecure = true\n")
        self.env = os.environ | {"CONTAINERS_REGISTRIES_CONF": str(conf)}

    def ways(self):
        reference = f"{self.registry.address}/{self.name}:1"
        out = str(self.out)
        side_by_side = ["xargs", "-0", "-n", "1", "-P", str(os.cpu_count())]
        each = lambda words, items: ["sh", "-c", 'printf "%s\\0" "$@" | ' + " ".join(
            side_by_side) + " " + words, "sh", *items]
        yield "download", [each("curl -sf -o /dev/null", self.urls)], None
        yield "decompress", [each(str(FLOOR), self.blobs)], None
        unpack = f"sh -c 'mkdir {out}/$(basename $0) && tar -xpf $0 -C {out}/$(basename $0)'"
        yield "tar -x", [each(unpack, self.tars)], None
        # OpenSSL's, which uses what the processor has for it; one after the other.
        hashing = 'import hashlib, sys\nfor name in sys.argv[1:]: hashlib.file_digest(open(name, "rb"), "sha256")'
        yield "sha256", [["python3", "-c", hashing, *self.blobs, *self.tars]], None
        env = self.env | {"MINIPOD_DATA_DIR": out, "MINIPOD_STATE_DIR": f"{out}/state"}
        yield "minipod", [[MINIPOD, "pull", "--quiet", reference]], env
        if "zstd" not in self.name:  # umoci 0.4 does not know it
            yield "skopeo+umoci", [
                ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{reference}",
                 f"oci:{out}/layout:1"],
                ["umoci", "unpack", "--image", f"{out}/layout:1", f"{out}/bundle"]], None
        yield "podman", [["podman", "--root", f"{out}/root", "--runroot", f"{out}/run",
                          "--storage-driver", "overlay", "pull", "-q", "--tls-verify=false",
                          reference]], self.env

    def run(self, rounds):
        results, left_out = {}, set()
        for _ in range(rounds):
            for way, commands, env in self.ways():
                if way in left_out:
                    continue
                self.out.mkdir()
                try:
                    row = measured(*commands, env=env)
                    results.setdefault(way, []).append(row)
                except (RuntimeError, OSError) as error:
                    left_out.add(way)
                    print(f"{way} is left out: {error}", file=sys.stderr)
                subprocess.run(["umount", f"{self.out}/root/overlay"], capture_output=True)
                shutil.rmtree(self.out)
        return results


def show(case, results):
    """One row: medians, and the ratios of each round."""
    median = lambda way, index: statistics.median(row[index] for row in results[way])
    cells = [f"{case:17}"]
    floors = [way for way in FLOORS if way in results]
    parts = [*floors, "sha256"]
    for way in [*parts, "minipod", "skopeo+umoci", "podman"]:
        if way not in results:
            cells.append("-")
        elif way in parts:
            cells.append(f"{median(way, 0):.2f}")
        else:
            cells.append(f"{median(way, 0):.2f} / {median(way, 1):.2f} / {median(way, 2):.0f}")
    if "minipod" in results:
        ratio = lambda way: statistics.median(
            other[0] / ours[0] for ours, other in zip(results["minipod"], results[way]))
        tightest = max(floors, key=lambda way: median(way, 0))
        cells.append(f"{100 * ratio(tightest):.0f} % of {tightest}")
        for way in ["skopeo+umoci", "podman"]:
            cells.append(f"{ratio(way):.1f}" if way in results else "-")
        work = sum(median(way, 1) for way in parts)
        cells.append(f"{100 * work / median('minipod', 1):.0f} %")
    print("| " + " | ".join(cells) + " |", flush=True)


def main():
    words = sys.argv[1:]
    rounds = int(words.pop(0)) if words and words[0].isdigit() else 5
    chosen = words or [f"{case}-{how}" for case in CASES for how in ["gzip", "zstd"]]
    for needed in [MINIPOD, FLOOR]:
        if not needed.exists():
            sys.exit("error: first: cargo build --release -p minipod && "
                     "cargo build --release -p image-puller --example decompress")
    print("| image | download | decompress | tar -x | sha256 | minipod | skopeo + umoci | podman "
          "| floor | × skopeo + umoci | × podman | processor time of the parts |")
    print("| --- " * 12 + "|", flush=True)
    with tempfile.TemporaryDirectory() as place:
        registry = Registry(pathlib.Path(place))
        try:
            for name in chosen:
                case, compression = name.rsplit("-", 1)
                show(name, Bench(pathlib.Path(place), registry, case, compression).run(rounds))
        finally:
            registry.process.terminate()
            registry.process.wait()


main()
