"""An app in a folder, and the program that starts its sweeps and kills them (`killable.py`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
APP = """
import hydra

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    raise SystemExit("a trial must not run here")

main()
"""


@dataclass(frozen=True)
class Ended:
    """A sweep's process that has ended."""

    code: int
    steps: list[str]
    output: str


class Program:
    """Starts sweeps of one app, or launches, whose trials run a script in the app's place."""

    def __init__(self, folder: Path, *, config: str, trial: str, plugin: str = "sweeper") -> None:
        self.folder = folder
        self._plugin = plugin
        (folder / "conf").mkdir(parents=True)
        (folder / "conf" / "config.yaml").write_text(config)
        (folder / "train.py").write_text(APP)
        (folder / "trial.py").write_text(trial)
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "killable.py")],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]), "GRPC_ENABLE_FORK_SUPPORT": "0"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, directory: Path, words: Sequence[str], *, times: int = 1, kill_at: str | None = None) -> list[Ended]:
        """The same sweep in so many processes at the same time, each to its end or until it is killed."""
        hydra = ["train.py", "-m", f"hydra/{self._plugin}=vertex", f"hydra.sweep.dir='{directory}'"]
        command = f"hydra.{self._plugin}.trial.command=[python,'-I','-S','{self.folder / 'trial.py'}']"
        request = {"argv": [*hydra, *words, command], "directory": str(directory), "kill_at": kill_at, "times": times}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return [Ended(**answer) for answer in json.loads(self._process.stdout.readline())]

    def close(self) -> None:
        self._process.communicate()
