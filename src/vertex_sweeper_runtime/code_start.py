"""The start of a container whose image does not have the app: takes the code from the bucket, and becomes `vertex-trial`.

The job carries this module and `code_archive.py` as text, behind `python3 -I -c`, so they import the standard library alone.
What to do stands in one environment variable: an environment is made on top of the image's Python, and the shim started there,
in the tree. Whatever stops it is one line, and an exit code of its own.
"""

import errno
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NoReturn

from vertex_sweeper_runtime.code_archive import (
    NO_CODE,
    NO_INSTALLER,
    NO_PLACE,
    NOT_INSTALLED,
    StartError,
    fetch,
    mounted,
    unpack,
)

VARIABLE: Final = "VERTEX_SWEEPER_CODE"
"""The variable with what to start: a JSON object."""

TREES: Final = "VERTEX_SWEEPER_TREES"
"""The variable that names the folder for the tree, where the system's folder for temporary files is not the place."""

_SHIM: Final = "vertex-trial"
_COMPLETE: Final = ".complete"
_REASON_LINES: Final = 3
_LONGEST_REASON: Final = 800


def main(arguments: Sequence[str]) -> int:
    """Becomes the shim with these arguments, the shim's name first. Returns only with an exit code, when that fails."""
    for number in (signal.SIGTERM, signal.SIGINT):  # as PID 1, a process without a handler does not get them
        signal.signal(number, _stop)
    try:
        _start(_read_variable(), arguments)
    except StartError as error:
        _say(str(error))
        return error.code
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        _say(f"{error.filename or 'a file'} cannot be written: {error.strerror}: give the container a larger or writable disk")
        return NO_PLACE


def _read_variable() -> Mapping[str, Any]:
    try:
        return dict(json.loads(os.environ[VARIABLE]))
    except (KeyError, ValueError, TypeError) as error:
        raise StartError(NO_CODE, f"{VARIABLE} does not say which code to start ({error}): create the job anew") from error


def _start(code: Mapping[str, Any], arguments: Sequence[str]) -> NoReturn:
    scratch = _make_scratch()
    archive = fetch(code["archive"], code["archive_sha256"], os.path.join(scratch, "code.tar.gz"))
    wheel = fetch(code["wheel"], code["wheel_sha256"], os.path.join(scratch, os.path.basename(code["wheel"])))
    tree = os.path.join(scratch, "tree")
    unpack(archive, tree)
    os.unlink(archive)
    folder = os.path.join(tree, code.get("folder", "."))
    environment = _find_environment(code, wheel=wheel, tree=tree, folder=folder, scratch=scratch)
    os.unlink(wheel)
    programs = os.path.join(environment, "bin")
    python = os.path.join(programs, "python")
    variables = {name: value for name, value in os.environ.items() if name not in (VARIABLE, "PYTHONHOME")}
    variables["PATH"] = os.pathsep.join([programs, variables.get("PATH", os.defpath)])
    variables["VIRTUAL_ENV"] = environment
    os.chdir(folder)
    # Not `-m`: that would let a file of the tree stand for a module of the standard library.
    os.execve(python, [python, os.path.join(programs, _SHIM), *arguments[1:]], variables)  # noqa: S606 - it is to be this process


def _make_scratch() -> str:
    folder = os.environ.get(TREES)
    try:
        if folder:
            os.makedirs(folder, exist_ok=True)
        return os.path.realpath(tempfile.mkdtemp(prefix="vertex-code-", dir=folder or None))
    except OSError as error:
        why = error.strerror or str(error)
        raise StartError(NO_PLACE, f"no folder for the code can be written ({why}): name one in the image by TMPDIR") from error


# The environment.


def _find_environment(code: Mapping[str, Any], *, wheel: str, tree: str, folder: str, scratch: str) -> str:
    """An environment with the requirements and the shim: one that is there, or a new one."""
    about = [code.get("key", ""), sys.version, sys.prefix, sys.base_prefix]
    key = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:24]
    root = _environments_folder() or scratch
    environment = os.path.join(root, key)
    complete = os.path.join(environment, _COMPLETE)
    with _locked(f"{environment}.lock"):
        if not os.path.exists(complete):
            shutil.rmtree(environment, ignore_errors=True)  # what a killed container has begun
            try:
                _make_environment(environment)
                _install(code, environment, wheel=wheel, tree=tree, folder=folder)
            except BaseException:
                shutil.rmtree(environment, ignore_errors=True)
                raise
            with open(complete, "w", encoding="utf-8"):
                pass
    return environment


def _environments_folder() -> str | None:
    """The folder for environments that later trials on this machine use again: nobody else can write there."""
    home = os.environ.get("HOME")
    caches = [os.environ.get("XDG_CACHE_HOME"), os.path.join(home, ".cache") if home else None]
    folders = [
        os.path.join(cache, "hydra-vertex-sweeper", "environments") for cache in caches if cache and os.path.isabs(cache)
    ]
    folders.append(os.path.join(tempfile.gettempdir(), f"hydra-vertex-sweeper-{os.geteuid()}"))
    for folder in folders:
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            found = os.lstat(folder)
            if found.st_uid == os.geteuid() and not found.st_mode & 0o022 and os.path.isdir(folder):
                with tempfile.TemporaryFile(dir=folder):
                    return os.path.realpath(folder)
        except OSError:
            continue
    return None


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Lets one process at a time make an environment. The lock goes with the process, however that ends."""
    with open(path, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("another trial on this machine installs the same requirements: waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make_environment(environment: str) -> None:
    """A virtual environment that sees what the image has."""
    if importlib.util.find_spec("venv") is not None:
        import venv

        # Without pip: Debian's Python cannot put it there, and the image's own is as good.
        venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False).create(environment)
    else:
        _make_environment_by_hand(environment)
    if sys.prefix != sys.base_prefix:
        # The image's Python is itself in an environment, and a new one would see what is below that only.
        own = _site_packages(environment)
        lines = [f"import site; site.addsitedir({path!r})\n" for path in sys.path if os.path.basename(path) == "site-packages"]
        with open(os.path.join(own, "image.pth"), "w", encoding="utf-8") as file:
            file.writelines(lines)


def _make_environment_by_hand(environment: str) -> None:
    """What the module `venv` makes, for images that have it not."""
    executable = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    os.makedirs(os.path.join(environment, "bin"))
    os.makedirs(_site_packages(environment))
    os.symlink("lib", os.path.join(environment, "lib64"))
    for name in ("python", "python3"):
        os.symlink(executable, os.path.join(environment, "bin", name))
    with open(os.path.join(environment, "pyvenv.cfg"), "w", encoding="utf-8") as file:
        file.write(f"home = {os.path.dirname(executable)}\ninclude-system-site-packages = true\n")


def _site_packages(environment: str) -> str:
    return os.path.join(environment, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")


def _install(code: Mapping[str, Any], environment: str, *, wheel: str, tree: str, folder: str) -> None:
    """Installs the requirements and the shim in one go, so that their versions fit together."""
    python = os.path.join(environment, "bin", "python")
    words = [wheel]
    if code.get("requirements_file"):
        words += ["--requirement", os.path.join(tree, code["requirements_file"])]
    elif code.get("requirements"):
        listed = f"{environment}/requirements.txt"
        with open(listed, "w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in code["requirements"])
        words += ["--requirement", listed]
    if code.get("wheels"):
        wheels = code["wheels"]
        place = mounted(wheels) if wheels.startswith("gs://") else os.path.join(tree, wheels)
        words += ["--no-index", "--find-links", place]
    installer = _find_installer(python)
    status, lines = _run([*installer, *words], environment, folder=folder)
    name = "uv" if "uv" in os.path.basename(installer[0]) else "pip"
    if status != 0:
        why = " ".join("; ".join(_telling(lines)).split())[:_LONGEST_REASON]
        raise StartError(NOT_INSTALLED, f"{name} cannot install the requirements: {why}")
    if not os.path.exists(os.path.join(environment, "bin", _SHIM)):
        raise StartError(NOT_INSTALLED, f"{name} has installed no {_SHIM} into {environment}: use another image")


def _find_installer(python: str) -> list[str]:
    """The words that install into the environment: the image's pip, or uv, or the pip that Python brings."""
    # `-I`: neither a file of the tree nor a variable of the image stands in for pip's modules.
    pip = [python, "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    if _works([python, "-I", "-c", "import pip"]):  # first: it takes what the image has for installed, and uv does not
        return pip
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--python", python, "--no-progress"]
    if _works([python, "-I", "-m", "ensurepip"]):
        return pip
    raise StartError(NO_INSTALLER, "the image has neither pip, uv nor ensurepip: use one that has pip or uv")


def _works(words: Sequence[str]) -> bool:
    result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return result.returncode == 0


def _run(words: Sequence[str], environment: str, *, folder: str) -> tuple[int, list[str]]:
    """Runs the installer, whose output is the container's; its exit code, and what it said."""
    # What would have it install elsewhere.
    dropped = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_REQUIRE_VIRTUALENV", "PYTHONHOME", VARIABLE)
    variables = {name: value for name, value in os.environ.items() if name not in dropped}
    variables |= {"VIRTUAL_ENV": environment, "PIP_USER": "0"}
    variables.setdefault("UV_CACHE_DIR", f"{environment}.uv")
    lines: list[str] = []
    merged: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(words, cwd=folder, env=variables, text=True, errors="replace", **merged) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                lines.append(line.strip())
        except BaseException:
            process.kill()
            raise
    shutil.rmtree(f"{environment}.uv", ignore_errors=True)
    return process.returncode, lines


def _telling(lines: Sequence[str]) -> list[str]:
    """The lines that say why: from the first that the installer marks as an error, else the last."""
    said = [line for line in lines if line]
    first = next((place for place, line in enumerate(said) if line.lower().startswith(("error:", "\xd7"))), -_REASON_LINES)
    return said[first:]


# The process.


def _stop(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - a signal handler's arguments
    raise SystemExit(128 + number)


def _say(text: str) -> None:
    sys.stderr.write(f"{_SHIM}: {' '.join(text.split())}\n")
    sys.stderr.flush()
