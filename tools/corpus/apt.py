# SPDX-License-Identifier: MIT
"""Files out of distribution packages, without installing them and without root.

`apt-get download` fetches into a cache folder; `dpkg-deb --fsys-tarfile` is read as a stream, so that
nothing is unpacked on disk.
"""
import fnmatch
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import zlib
from pathlib import Path
from typing import NamedTuple


class AptError(RuntimeError):
    """Something about packages went wrong; the message is for the user."""


class Package(NamedTuple):
    """A package at the version that this system would install."""
    name: str
    version: str
    file: str
    size: int
    sha256: str           # "" where the archive does not give one


def _run(*command: str, cwd: "Path | None" = None) -> str:
    """Run a tool in the C locale; its complaint becomes the error."""
    done = subprocess.run(command, cwd=cwd, text=True, capture_output=True, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    if done.returncode:
        first = next((line for line in done.stderr.splitlines() if line.startswith("E:")), done.stderr)
        raise AptError(f"{command[0]} {command[1]}: {first.removeprefix('E:').strip()}")
    return done.stdout


def check_tools() -> None:
    """Fail early where this is no Debian-like system."""
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(tool):
            raise AptError(f"{tool}: not found; the corpus is made from Debian or Ubuntu packages")


def candidates(names: "list[str]") -> "dict[str, str]":
    """The version that each of the named packages would have; unknown packages are left out."""
    found = re.findall(r"(?m)^(\S+):\n  Installed: .*\n  Candidate: (\S+)$",
                       _run("apt-cache", "policy", *names))
    return {name.split(":")[0]: version for name, version in found if version != "(none)"}


def _print_uris(names: "list[str]") -> str:
    """What `apt-get` would fetch. A package without a source spoils the call: then one by one."""
    try:
        return _run("apt-get", "download", "--print-uris", *names)
    except AptError:
        return "".join(map(_print_uris, ([n] for n in names))) if len(names) > 1 else ""


def locate(names: "list[str]") -> "dict[str, Package]":
    """File name, size and checksum of those of the named packages that can be fetched."""
    versions = candidates(names)
    if not versions:
        return {}
    packages = {}
    for file, size, checksum in re.findall(r"(?m)^'[^']*' (\S+) (\d+) ?(\S*)$",
                                           _print_uris(list(versions))):
        name = file.split("_")[0]
        sha256 = checksum.partition("SHA256:")[2]
        packages[name] = Package(name, versions[name], file, int(size), sha256)
    return packages


def cached(package: Package, cache: Path) -> bool:
    """Whether the cache holds this very file."""
    path = cache / package.file
    if not path.is_file() or path.stat().st_size != package.size:
        return False
    return not package.sha256 or hashlib.sha256(path.read_bytes()).hexdigest() == package.sha256


def download(packages: "list[Package]", cache: Path) -> None:
    """Fetch packages into the cache, in one go, over whatever has their names there."""
    cache.mkdir(parents=True, exist_ok=True)
    for package in packages:
        (cache / package.file).unlink(missing_ok=True)
    sandbox = ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
    _run("apt-get", "download", "-q", *sandbox, *(f"{p.name}={p.version}" for p in packages), cwd=cache)
    for package in packages:
        if not cached(package, cache):
            raise AptError(f"{cache / package.file}: missing or damaged after the download")


def _plain(path: str, data: bytes) -> bytes:
    """Unpack a compressed file. `.dz` is gzip with an index in its header."""
    return gzip.decompress(data) if path.endswith((".gz", ".dz")) else data


def read_files(package: Package, cache: Path, patterns: "tuple[str, ...]") -> "dict[str, bytes]":
    """Regular files of a package whose path matches one of the patterns, sorted by path."""
    deb = str(cache / package.file)
    files = {}
    with subprocess.Popen(("dpkg-deb", "--fsys-tarfile", deb), stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    path = member.name.removeprefix("./")
                    if member.isfile() and any(fnmatch.fnmatchcase(path, p) for p in patterns):
                        files[path] = _plain(path, tar.extractfile(member).read())
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise AptError(f"{deb}: damaged package: {error}") from None
    return dict(sorted(files.items()))
