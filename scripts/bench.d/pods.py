#!/usr/bin/env python3
"""Measures pod start, exec, forced delete and memory, each competitor in turn in one run.

A pod has two init containers that do nothing and two main containers; its images are local. Start
is from the command to every main container running. Competitors:

- floor: scripts/floor.c, the kernel's part of it and nothing else (no network but loopback);
- minipod;
- podman kube play, with crun;
- crun: four containers one after another; no pod, image, log or bridge.

crun refuses machines that have both cgroup versions, so there the run happens in a mount namespace
without cgroup2.

Those that are not installed or do not run here are left out, with the reason.
Usage: scripts/bench pods [ROUNDS] (default 20; podman does a quarter of them)
"""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile

from measure import MINIPOD, TOP, table, timed

BUSYBOX = TOP / "rootfs-fixtures/build/busybox"
IMAGE = "docker.io/library/busybox:1.36"
# podman 4.3 restarts init containers of pods that restart always, and then waits for them.
POD = f"""apiVersion: v1
kind: Pod
metadata: {{name: bench}}
spec:
  restartPolicy: OnFailure
  terminationGracePeriodSeconds: 0
  initContainers:
  - {{name: a, image: "{IMAGE}", command: ["true"]}}
  - {{name: b, image: "{IMAGE}", command: ["true"]}}
  containers:
  - {{name: c, image: "{IMAGE}", command: [sleep, "1000"]}}
  - {{name: d, image: "{IMAGE}", command: [sleep, "1000"]}}
"""
WARM_UP = 2


def pss(*names, word=""):
    """Proportional memory in MiB of the processes of these names with that word in their command."""
    total = 0
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "comm").read_text().strip() in names and word in (entry / "cmdline").read_text():
                lines = (entry / "smaps_rollup").read_text().splitlines()
                total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration):
            pass
    return total / 1024


class Floor:
    name = "floor"
    share = 1

    def __init__(self, place, _run):
        self.program = f"{place}/floor"
        timed("gcc", "-O2", "-w", "-o", self.program, TOP / "scripts/floor.c")
        self.root = busybox_root(f"{place}/floor-root")

    def round(self):
        done = subprocess.run([self.program, self.root, "1"], capture_output=True, text=True)
        words = done.stdout.split()
        return {"start": float(words[words.index("mean") + 1])}


class Minipod:
    name = "minipod"
    share = 1

    def __init__(self, place, run):
        self.env = os.environ | {
            "MINIPOD_STATE_DIR": f"{run}/state", "MINIPOD_DATA_DIR": f"{place}/data",
            "MINIPOD_LOG_DIR": f"{place}/logs"}
        self.file = pathlib.Path(place) / "minipod.yaml"
        self.file.write_text(POD)
        self.run("load", "--quiet", "-i", BUSYBOX)

    def run(self, *words):
        return timed(MINIPOD, *words, env=self.env)

    def round(self):
        start = self.run("run", "--until=ready", "--ready-for=0", self.file)
        command = self.run("exec", "bench", "-c", "c", "--", "true")
        memory = pss("minipod:sup", "minipod:spawn", "minipod:pod", word=self.env["MINIPOD_STATE_DIR"])
        delete = self.run("delete", "pod", "bench", "--force")
        version = self.run("version")
        return {"start": start, "exec": command, "delete": delete, "memory": memory,
                "version": version}


class Podman:
    name = "podman"
    share = 4

    def __init__(self, place, run):
        # It sets limits of its own, which not everybody may raise; then it has to be told.
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        limits = f'"nofile={files}:{files}", "nproc=1024:1024"'
        config = pathlib.Path(place) / "containers.conf"
        config.write_text(f'[containers]\ndefault_ulimits = [{limits}]\n'
                          '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n')
        self.env = os.environ | {"CONTAINERS_CONF": str(config)}
        self.base = ["podman", "--root", f"{place}/podman", "--runroot", f"{run}/podman"]
        self.file = pathlib.Path(place) / "podman.yaml"
        self.file.write_text(POD)
        self.run("pull", "-q", f"oci:{BUSYBOX}")
        images = json.loads(subprocess.run([*self.base, "images", "--format", "json"],
                            capture_output=True, text=True, env=self.env).stdout)
        self.run("tag", images[0]["Id"], IMAGE)

    def run(self, *words):
        return timed(*self.base, *words, env=self.env)

    def round(self):
        start = self.run("kube", "play", self.file)
        command = self.run("exec", "bench-c", "true")
        memory = pss("conmon", word=self.base[2])
        delete = self.run("pod", "rm", "-f", "-t", "0", "bench")
        version = self.run("--version")
        return {"start": start, "exec": command, "delete": delete, "memory": memory,
                "version": version}

    def close(self):
        subprocess.run([*self.base, "pod", "rm", "-fa", "-t", "0"], capture_output=True, env=self.env)
        # Its layers are mounted below a mount of their own.
        subprocess.run(["umount", "-l", self.base[2] + "/overlay"], capture_output=True)


class Crun:
    name = "crun"
    share = 1

    def __init__(self, place, run):
        self.place = place
        self.base = ["crun", "--root", f"{run}/crun", "--cgroup-manager=cgroupfs"]
        self.bundle("true", ["true"])
        self.bundle("sleep", ["sleep", "1000"])

    def bundle(self, name, command):
        bundle = f"{self.place}/crun-{name}"
        busybox_root(f"{bundle}/rootfs")
        timed("crun", "spec", "--bundle", bundle)
        path = pathlib.Path(bundle) / "config.json"
        spec = json.loads(path.read_text())
        spec["process"] |= {"terminal": False, "args": command, "rlimits": []}
        path.write_text(json.dumps(spec))

    def container(self, bundle, name, *flags):
        # It keeps our pipes open for as long as it runs, so it gets none.
        return timed(*self.base, "run", *flags, "--bundle", f"{self.place}/crun-{bundle}", name,
                     streams=subprocess.DEVNULL)

    def round(self):
        start = self.container("true", "a") + self.container("true", "b")
        start += self.container("sleep", "c", "--detach") + self.container("sleep", "d", "--detach")
        command = timed(*self.base, "exec", "c", "true")
        delete = sum(timed(*self.base, "delete", "--force", name) for name in ["c", "d"])
        version = timed("crun", "--version")
        return {"start": start, "exec": command, "delete": delete, "version": version}

    def close(self):
        for name in ["a", "b", "c", "d"]:
            subprocess.run([*self.base, "delete", "--force", name], capture_output=True)


def busybox_root(root):
    os.makedirs(f"{root}/bin")
    shutil.copy(shutil.which("busybox"), f"{root}/bin/busybox")
    for applet in ["sh", "true", "sleep"]:
        os.symlink("busybox", f"{root}/bin/{applet}")
    return root


def those_that_run(places, left):
    """The competitors that get through a round here; those begun are added to `left`."""
    running = []
    for kind in [Minipod, Floor, Podman, Crun]:
        try:
            if kind in (Podman, Crun) and not shutil.which(kind.name):
                raise RuntimeError("it is not installed (scripts/install-needs bench)")
            one = kind(*places)
            left.append(one)
            one.round()
            running.append(one)
        except RuntimeError as error:
            if kind is Minipod:
                raise
            print(f"{kind.name} is left out: {error}", file=sys.stderr)
    return running


def hide_second_cgroup_version():
    """Begins again where only cgroup v1 is mounted, if both versions are here."""
    v2 = pathlib.Path("/sys/fs/cgroup/unified")
    if (v2 / "cgroup.controllers").exists() and (v2 / "cgroup.controllers").read_text().strip():
        again = f'umount {v2} && exec "$@"'
        os.execvp("unshare", ["unshare", "--mount", "sh", "-c", again, "sh", sys.executable,
                              *sys.argv])


def main():
    hide_second_cgroup_version()
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    left = []
    # State is in memory, where each of them has it by default (/run), and data on a disk.
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory(dir="/dev/shm") as run:
        try:
            competitors = those_that_run((place, run), left)
            results = {one.name: [] for one in competitors}
            for number in range(WARM_UP + rounds):
                for one in competitors:
                    if number < WARM_UP or (number - WARM_UP) % one.share == 0:
                        row = one.round()
                        if number >= WARM_UP:
                            results[one.name].append(row)
        finally:
            for one in left:
                getattr(one, "close", lambda: None)()
    print(f"medians of {rounds} rounds, in parentheses how many times minipod's")
    table(results, {"start": "ms", "exec": "ms", "delete": "ms", "version": "ms",
                    "memory": "MiB"})


main()
