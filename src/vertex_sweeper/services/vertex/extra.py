"""The optional dependency of this package."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from vertex_sweeper.errors import MissingExtra

CLIENT: Final = "google.cloud.aiplatform_v1"


@contextmanager
def vertex_extra() -> Iterator[None]:
    """For the import of Google's libraries: one that is missing becomes the command that installs it.

    The client's modules make some hundred thousand objects, and all of them stay. Looking for garbage among them is a sixth of
    the time of their import, and afterwards doubles the time of every composition that Hydra makes: so it is not done.
    """
    loaded, collecting = CLIENT in sys.modules, gc.isenabled()
    gc.disable()
    try:
        yield
    except ModuleNotFoundError as missing:
        raise MissingExtra("vertex", "backend vertex") from missing
    finally:
        if CLIENT in sys.modules and not loaded:
            gc.freeze()  # once: what comes later is looked at as ever
        if collecting:
            gc.enable()
