"""Which code this is: two checkouts with the same rules and shell have the same version."""

from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Final

PACKAGES: Final = ("engine", "contracts", "assets", "pipelines")
ROOT: Final = Path(__file__).resolve().parents[2]


@cache
def code_version() -> str:
    """`0.1.0+3f2a…`: the release, and a hash over every source file of the desk."""
    digest = sha256()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            digest.update(f"{path.relative_to(ROOT)}\0".encode())
            digest.update(path.read_bytes())
    return f"{version('credence')}+{digest.hexdigest()[:12]}"
