"""Parts that a test needs and a machine may lack; what comes from npm is fetched once, and held to its digest."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".cache"


class MissingTool(Exception):
    """Something is missing; the text names what, and what for."""


def npm_package(package: str, sha256: str, purpose: str, part: str = ".") -> Path:
    """Return the folder of a package (`name@version`), or a part of it. Raises MissingPart.

    `npm pack` fetches it; none of its scripts run. Several sessions may fetch at once; whoever is first puts it there.
    """
    folder = CACHE / package.replace("@", "-")
    if not folder.is_dir():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            _unpack(_downloaded(package, purpose, Path(scratch)), package, sha256, Path(scratch))
            try:
                (Path(scratch) / "package" / part).rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
    return folder


def _downloaded(package: str, purpose: str, folder: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise MissingTool(f"npm, for {purpose}")
    done = subprocess.run([npm, "pack", package], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingTool(f"the npm package {package}, for {purpose}: {done.stderr.strip()[-200:]}")
    return next(folder.glob("*.tgz"))


def _unpack(archive: Path, package: str, sha256: str, folder: Path) -> None:
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != sha256:
        raise RuntimeError(f"{package} is not what it was: SHA-256 {found}")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
