"""Data as YAML text that every reader takes for the same data."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml


def yaml_text(data: Any) -> str:
    """The data, block style and in its own order, as YAML that PyYAML and OmegaConf load back with the same types.

    The two disagree on texts such as `1e5`, and YAML folds unusual line breaks, so all but plain words are quoted.
    """
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=2**31)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True


_WORD: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@=+-]*( [A-Za-z0-9_./@=+-]+)*")
_WORDS_THAT_MEAN_MORE: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    plain = _WORD.fullmatch(text) and text.lower() not in _WORDS_THAT_MEAN_MORE
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _represent_text)
