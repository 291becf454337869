"""The emulator as a program of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

COMMAND: Final = (sys.executable, "-c", "import sys; from vertex_sweeper.cli.main import main; sys.exit(main())", "emulator")


@contextmanager
def start_emulator(
    *options: str, folder: Path | None = None, **environment: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """The program, and what it wrote into its ready file; killed at the end if it still runs."""
    with tempfile.TemporaryDirectory() as where:
        ready = Path(where) / "ready.json"
        process = subprocess.Popen(
            [*COMMAND, "--ready-file", str(ready), *options],
            cwd=folder,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        with process:
            said = []
            for line in process.stdout:  # libraries may warn of something first
                said.append(line)
                if line.startswith("Vertex tuning emulator on "):  # said once it listens, and not before
                    break
            try:
                assert ready.exists(), "".join(said)
                yield process, json.loads(ready.read_text())
            finally:
                process.kill()
