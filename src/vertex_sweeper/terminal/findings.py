"""What checks found, as lines: the result first, what to do about it below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vertex_sweeper.finding import Finding, Found
from vertex_sweeper.messages import printable

_WIDTH = max(len(found.value) for found in Found)


def finding_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """A line for each finding, and one below for its remedy."""
    for finding in findings:
        yield printable(f"{finding.found.value:<{_WIDTH}}  {finding.subject}: {finding.text}")
        if finding.remedy and finding.found is not Found.OK:
            yield printable(f"{'':<{_WIDTH}}  → {finding.remedy}")
