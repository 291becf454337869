"""Why a trial on this machine failed, taken from its log."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vertex_sweeper.results.exit_codes import exit_code, explained
from vertex_sweeper.services.local.failure_reason import LONGEST, explain_exit

PROGRAMS = {
    "an exception": ("raise RuntimeError('CUDA out of memory')", "RuntimeError: CUDA out of memory"),
    "no message": ("raise KeyError", "KeyError"),
    "a chain": ("try: 1 / 0\nexcept ZeroDivisionError as e: raise ValueError('bad') from e", "ValueError: bad"),
    "several lines": ("raise RuntimeError('first\\nsecond: x\\n\\nthird')", "RuntimeError: first"),
    "a line that announces the next": ("raise RuntimeError('Missing keys:\\n\\ta, b')", "RuntimeError: Missing keys: a, b"),
    "its own type": ("class M: \n  class E(Exception): pass\nraise M.E('x')", "M.E: x"),
    "a local type": ("def f():\n  class E(Exception): pass\n  raise E('x')\nf()", "f.<locals>.E: x"),
    "a script that cannot be parsed": ("x = (", "SyntaxError: '(' was never closed"),
    "notes": ("e = ValueError('x')\nif hasattr(e, 'add_note'): e.add_note('Hint: y')\nraise e", "ValueError: x"),
    "deep recursion": ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
    "escapes": ("raise ValueError('\\x1b[31mred\\x1b[0m\\x07 \\x85\\u2028')", "ValueError: red"),
    "long": (f"raise ValueError('{'x' * 500}')", f"ValueError: {'x' * (LONGEST - 13)}…"),
    "logged, and then another": (
        "import logging\ntry: 1 / 0\nexcept Exception: logging.exception('oops')\nraise ValueError('last')",
        "ValueError: last",
    ),
    "what is said after it": (
        "import atexit\natexit.register(print, 'bye: 3 files', flush=True)\nraise OSError(2, 'gone', 'a')",
        "FileNotFoundError: [Errno 2] gone: 'a'",
    ),
    "what Python passes over": (
        "class A:\n  def __del__(self): raise TypeError('late')\na = A()\nraise ValueError('x')",
        "ValueError: x",
    ),
    "a worker's traceback in the message": (
        "import traceback\ntry: 1 / 0\nexcept Exception: t = traceback.format_exc()\nraise RuntimeError('Original ' + t)",
        "ZeroDivisionError: division by zero",
    ),
}


@pytest.mark.parametrize(("program", "reason"), PROGRAMS.values(), ids=PROGRAMS)
def test_the_reason_is_the_last_exception_that_python_printed(tmp_path: Path, program: str, reason: str) -> None:
    script, log = tmp_path / "train.py", tmp_path / "1.log"
    script.write_text(program + "\n", encoding="utf-8")
    with log.open("wb") as output:
        code = subprocess.run([sys.executable, script], stdout=output, stderr=output, check=False).returncode

    assert code == 1
    said = explain_exit(code, log)
    assert said.startswith(reason)
    assert said.endswith(" (exit code 1)")
    assert said.isprintable()
    assert exit_code(said) == 1


FRAME = 'Traceback (most recent call last):\n  File "t.py", line 1, in <module>\n    f()\n'
GROUP = """\
  + Exception Group Traceback (most recent call last):
  |   File "g.py", line 9, in <module>
  |     raise ExceptionGroup("many", errors)
  | ExceptionGroup: many (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | ValueError: one
    +---------------- 2 ----------------
    | Traceback (most recent call last):
    |   File "g.py", line 3, in <module>
    |     raise TypeError("two")
    | TypeError: two
    +------------------------------------
"""
RICH = """\
╭───────────── Traceback (most recent call last) ─────────────╮
│ t.py:1 in <module>                                          │
│ ❱ 1 raise RuntimeError("x")                                 │
╰─────────────────────────────────────────────────────────────╯
RuntimeError: x
"""
RANKS = """\
[rank0]: Traceback (most recent call last):
[rank1]: hello
[rank0]:   File "t.py", line 1, in f
[rank0]:     f()
[rank0]: torch.OutOfMemoryError: CUDA out of memory.
"""
SHIM = """\
vertex-trial: acc was not reported: why
vertex-trial: loss was not reported: why
vertex-trial: exit code 65; the container stays for 300 s for a look inside (SIGTERM ends it)
"""
LOGS = {
    "nothing": ("", 3, "exited with code 3"),
    "no exception": ("epoch 1\nError: 5%\n", 1, "exited with code 1"),
    "a number of its own": (f"{FRAME}ValueError: bad\n", 3, "ValueError: bad (exit code 3)"),
    "an exit code in the message": (f"{FRAME}E: returned exit status 65\n", 1, "E: returned exit status 65 (exit code 1)"),
    "a rank before each line": (
        RANKS,
        1,
        "torch.OutOfMemoryError: CUDA out of memory. (exit code 1)",
    ),
    "a logger's words before it": (f"[10:01][ERROR] - {FRAME}KeyError: 'a'\n", 1, "KeyError: 'a' (exit code 1)"),
    "a group": (GROUP, 1, "TypeError: two (exit code 1)"),
    "as rich draws it": (RICH, 1, "RuntimeError: x (exit code 1)"),
    "Hydra's hint behind it": (
        f"Error executing job with overrides: []\n{FRAME}ValueError: x\n\nSet the environment variable HYDRA_FULL_ERROR=1\n",
        1,
        "ValueError: x (exit code 1)",
    ),
    "Ctrl-C": (f"{FRAME}KeyboardInterrupt\n", 130, "KeyboardInterrupt (exit code 130)"),
    "killed, whatever it had said before": (f"{FRAME}ValueError: caught\n", 137, "was ended by SIGKILL (exit code 137)"),
    "the shim killed, too": (f"{FRAME}ValueError: caught\n", -9, "was ended by SIGKILL"),
    "a crash": (
        'Fatal Python error: Segmentation fault\n\nThread 0x1:\n  File "t.py", line 1 in f\n',
        139,
        "Fatal Python error: Segmentation fault (exit code 139)",
    ),
    "the shim's word": (
        f"{FRAME}ValueError: caught\n{SHIM}",
        65,
        "vertex-trial: acc was not reported: why; loss was not reported: why (exit code 65)",
    ),
    "a module that is missing": (
        f"{FRAME}ModuleNotFoundError: No module named 'x'\nvertex-trial: the command ended with 1 before its task began\n",
        69,
        "ModuleNotFoundError: No module named 'x' (exit code 69)",
    ),
    "a command that is not there": (
        "vertex-trial: trian: cannot be started: No such file or directory\n",
        127,
        "vertex-trial: trian: cannot be started: No such file or directory (exit code 127)",
    ),
}


@pytest.mark.parametrize(("text", "code", "reason"), LOGS.values(), ids=LOGS)
def test_a_log_and_an_exit_code_make_one_reason(tmp_path: Path, text: str, code: int, reason: str) -> None:
    (tmp_path / "1.log").write_text(text, encoding="utf-8")

    assert explain_exit(code, tmp_path / "1.log") == reason
    assert exit_code(reason) == (None if code < 0 else code)


def test_without_a_log_the_exit_code_is_all_there_is(tmp_path: Path) -> None:
    assert explain_exit(2, tmp_path / "1.log") == "exited with code 2"
    (tmp_path / "1.log").symlink_to("/dev/zero")
    assert explain_exit(2, tmp_path / "1.log") == "exited with code 2"


def test_what_the_shim_said_itself_is_not_explained_once_more() -> None:
    said = "vertex-trial: acc was not reported: why (exit code 65)"

    assert explained(said) == said
    assert explained("exited with code 65").startswith("exited with code 65 (vertex-trial: ")
