"""A PostgreSQL and a Redis of one's own while a block lasts: loopback, a password, no root."""

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from engine.errors import SettingsError

LOOPBACK: Final = "127.0.0.1"
SERVICE_USER: Final = "postgres"
"""Debian's user for PostgreSQL, which refuses to be run by root."""

_POSTGRES_FOLDERS: Final = "/usr/lib/postgresql/*/bin"
_READY: Final = "Ready to accept connections"


def missing_servers() -> list[str]:
    """Debian's packages that are needed here and are not installed."""
    missing = []
    if not _postgres_folders():
        missing.append("postgresql")
    if shutil.which("redis-server") is None:
        missing.append("redis-server")
    return missing


@contextmanager
def own_postgres() -> Iterator[str]:
    """The URL of an empty PostgreSQL database that is gone afterwards; raises `SettingsError`."""
    programs = _postgres_programs()
    with _folder() as folder:
        password, port = secrets.token_urlsafe(24), _free_port()
        secret = folder / "password"
        secret.write_text(password)
        owner = _not_root(folder, secret)
        data = str(folder / "data")
        init = [programs / "initdb", "-D", data, "-U", "desk", "--pwfile", secret]
        _called([*init, "-A", "scram-sha-256", "-E", "UTF8", "--no-sync"], owner)
        # A history that lasts for one block need not outlive a power cut.
        server = f"-h {LOOPBACK} -p {port} -k {folder} -F"
        control = [programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log"]
        _called([*control, "-o", server, "start"], owner)
        try:
            yield f"postgresql+psycopg2://desk:{password}@{LOOPBACK}:{port}/postgres"
        finally:
            _called([*control, "-m", "immediate", "stop"], owner)


@contextmanager
def own_redis() -> Iterator[str]:
    """The URL of an empty Redis that keeps nothing; raises `SettingsError`."""
    program = shutil.which("redis-server")
    if program is None:
        raise SettingsError("redis-server: expected on the PATH; apt-get install redis-server")
    with _folder() as folder:
        password, port = secrets.token_urlsafe(24), _free_port()
        secret = folder / "redis.conf"
        secret.write_text(f'requirepass {password}\nsave ""\ndir {folder}\n')
        owner = _not_root(folder, secret)
        command = [program, str(secret), "--bind", LOOPBACK, "--port", str(port)]
        with subprocess.Popen(  # noqa: S603 - our own command.
            command, stdout=subprocess.PIPE, text=True, **owner
        ) as server:
            try:
                _await_line(server, _READY)
                yield f"redis://:{password}@{LOOPBACK}:{port}/0"
            finally:
                server.terminate()
                server.communicate()


def _postgres_programs() -> Path:
    """The folder of `initdb` and `pg_ctl`; Debian does not put them on the PATH."""
    found = _postgres_folders()
    if not found:
        raise SettingsError(
            f"initdb: expected on the PATH or in {_POSTGRES_FOLDERS}; apt-get install postgresql"
        )
    return found[-1]


def _postgres_folders() -> list[Path]:
    on_path = shutil.which("initdb")
    if on_path:
        return [Path(on_path).parent]
    return [path.parent for path in sorted(Path("/").glob(f"{_POSTGRES_FOLDERS[1:]}/initdb"))]


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder in the system's own place, short enough for a socket and open to no one else."""
    with tempfile.TemporaryDirectory(prefix="credence-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _not_root(*paths: Path) -> Mapping[str, Any]:
    """For root: hand the paths to Debian's service user and run as that user."""
    for path in paths:
        path.chmod(0o700)
    if os.geteuid() != 0:
        return {}
    for path in paths:
        shutil.chown(path, SERVICE_USER, SERVICE_USER)
    return {"user": SERVICE_USER, "group": SERVICE_USER, "extra_groups": []}


def _called(command: Sequence[object], owner: Mapping[str, Any]) -> None:
    """Run to the end, or say what it said; its output goes to a file, which no child keeps open."""
    with tempfile.TemporaryFile(mode="w+") as said:
        words = [str(word) for word in command]
        ended = subprocess.run(  # noqa: S603 - our own command.
            words, stdout=said, stderr=subprocess.STDOUT, check=False, cwd="/", **owner
        )
        if ended.returncode:
            said.seek(0)
            raise SettingsError(
                f"{command[0]}: expected it to succeed, it ended with {ended.returncode}: "
                f"{said.read()[-2000:].strip()}"
            )


def _await_line(server: subprocess.Popen[str], word: str) -> None:
    assert server.stdout is not None  # noqa: S101 - it was opened with a pipe.
    told = []
    for line in server.stdout:
        told.append(line)
        if word in line:
            return
    raise SettingsError(f"redis-server: expected '{word}', it ended: {''.join(told)[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
