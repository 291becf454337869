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

    The client's modules make some hundred thousand objects, and all of them stay. Without looking for garbage among them, their
    import takes 0.58 s instead of 0.76 s (medians of five). Frozen and unfrozen at once, they count as old: the next
    collection, which would take 0.1 s or more, passes them over, and nothing stays frozen in the user's process.
    """
    loaded, collecting = CLIENT in sys.modules, gc.isenabled()
    if not loaded:
        gc.disable()
    try:
        yield
    except ModuleNotFoundError as missing:
        raise MissingExtra("vertex", "backend vertex") from missing
    finally:
        if CLIENT in sys.modules and not loaded and not gc.get_freeze_count():  # else the user's own would thaw, too
            gc.freeze()
            gc.unfreeze()
        if collecting:
            gc.enable()
