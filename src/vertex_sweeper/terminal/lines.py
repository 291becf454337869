"""What a sweep shows while it runs and when it ends: plain lines, for a screen and for a log file alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from vertex_sweeper.api import CANCELLED, NO_MEASUREMENT, TOO_MANY_FAILURES, JobState, TrialState
from vertex_sweeper.messages import printable, shell_line
from vertex_sweeper.results.outcome import Outcome, TrialResult, seconds_between
from vertex_sweeper.results.tables import TRIALS
from vertex_sweeper_runtime.code_archive import EXIT_CODES

_LONGEST_VALUE: Final = 60
_MOST_FAILURES: Final = 20
_FAILED: Final = "failed"
_NO_RESULT: Final = "without a result"


def trial_line(trial: TrialResult, outcome: Outcome, *, ended: int) -> str:
    """One line about a trial, as it ends: number, value, the best so far, seconds, parameters; or why it failed.

    Args:
        trial: One that has ended.
        outcome: The sweep as it stands, with this trial.
        ended: How many trials have ended with this one.
    """
    parts = [f"trial {trial.number} ({ended} of {outcome.planned} ended)" if outcome.planned else f"trial {trial.number}"]
    end = end_of(trial, outcome)
    if end == _NO_RESULT:
        reason = printable(trial.reason)
        parts.append(f"no result: {reason}" if reason else "no result")
        parts += [_metrics(trial.metrics)] if trial.metrics else []
    elif trial.state is TrialState.SUCCEEDED:
        parts.append(_metrics(trial.metrics))
        parts += [printable(trial.reason)] if trial.reason else []
    elif end == "cancelled":
        parts.append("cancelled")
    elif trial.state is TrialState.INFEASIBLE:
        parts.append(f"failed: {printable(trial.reason)}" if trial.reason else "failed")
    else:
        parts.append(trial.state.value.lower() if trial.state else printable(trial.reason) or "state unknown")
    best = outcome.best
    if best is not None and trial.state is TrialState.SUCCEEDED:
        parts.append(f"best {_number(best.metrics[outcome.metric])} (#{best.number})")
    if trial.seconds is not None:
        parts.append(_duration(trial.seconds))
    if trial.literals:
        parts.append(" ".join(f"{key}={_shortened(printable(literal))}" for key, literal in trial.literals.items()))
    return printable("  ".join(parts))


def table_lines(outcome: Outcome, *, now: datetime) -> list[str]:
    """The live table: how far the sweep is, and a line for each trial that runs.

    Args:
        outcome: The sweep as it stands.
        now: With a time zone; running trials are timed by it.
    """
    running = [trial for trial in outcome.trials if trial.state is not None and not trial.state.ended]
    lines = [f"{_counts(outcome)}{_best_so_far(outcome)}"]
    for trial in running:
        assert trial.state is not None
        seconds = seconds_between(trial.started, now)
        parts = [f"  #{trial.number}", trial.state.value.lower(), _duration(seconds) if seconds is not None else ""]
        parts += [f"device {printable(trial.device)}"] if trial.device else []
        parts += [f"{key}={_shortened(printable(literal))}" for key, literal in trial.literals.items()]
        lines.append("  ".join(part for part in parts if part))
    return list(map(printable, lines))


def _best_so_far(outcome: Outcome) -> str:
    best = outcome.best
    return f"; best {_metrics(best.metrics)} (#{best.number})" if best is not None else ""


def summary_lines(
    outcome: Outcome,
    directory: Path,
    files: Iterable[Path],
    *,
    again: str = "",
    waits: bool = False,
) -> list[str]:
    """The closing summary: how the trials ended, the best one, how to run it again, and where the files are.

    Args:
        outcome: the sweep at its end.
        directory: the sweep's directory.
        files: what was written there.
        again: the command that runs the best trial again.
        waits: nobody runs the job.
    """
    names = [path.relative_to(directory).as_posix() if path.is_relative_to(directory) else str(path) for path in files]
    lines = overview_lines(outcome, waits=waits)
    if again and outcome.best is not None:
        lines.append(f"run it again: {again}")
    if names:
        lines.append(f"results: {', '.join(names)}")
    lines.append(f"sweep directory: {directory}")
    return list(map(printable, lines))


def overview_lines(outcome: Outcome, *, waits: bool = False) -> list[str]:
    """How the trials ended, how the job did, and which trial is best.

    Args:
        outcome: The sweep as it stands.
        waits: Nobody runs the job.
    """
    lines = [_counts(outcome)]
    if waits:
        lines.append("job: nobody runs it")
    elif outcome.state is not JobState.SUCCEEDED or outcome.error:
        state = outcome.state.value.removeprefix("JOB_STATE_").lower().replace("_", " ") if outcome.state else "state unknown"
        lines.append(f"job: {state}" + (f": {printable(outcome.error)}" if outcome.error else ""))
    best = outcome.best
    if best is None:
        lines.append("no trial has a result")
    else:
        lines.append(f"best: trial {best.number}  {_metrics(best.metrics)}")
        lines += [f"  {shell_line(best.overrides)}"] if best.overrides else []
    if len(outcome.goals) > 1 and best is not None:
        numbers = ", ".join(f"#{trial.number}" for trial in outcome.pareto)
        lines.append(f"no trial is better in every metric than: {numbers}")
    return list(map(printable, lines))


def failure_lines(outcome: Outcome, log_of: Callable[[TrialResult], str | None]) -> list[str]:
    """A line for each trial that failed or has no result: the reason, and the command that shows its log.

    A trial that ended with its job has no reason of its own, and no line.

    Args:
        outcome: The sweep as it stands.
        log_of: The command that shows a trial's log, or where it is; None where it is nowhere to be had.
    """
    ends = {trial.number: end_of(trial, outcome) for trial in outcome.trials}
    failed = [
        trial
        for trial in outcome.trials
        if ends[trial.number] == _FAILED or (ends[trial.number] == _NO_RESULT and trial.reason)
    ]
    lines = []
    told: dict[int, int] = {}
    for trial in (with_reason_once(trial, told) for trial in failed[:_MOST_FAILURES]):
        how = "failed" if ends[trial.number] == _FAILED else "has no result"
        line = f"trial {trial.number} {how}: {printable(trial.reason) or 'no reason was given'}"
        command = log_of(trial)
        lines.append(f"{line}  (its log: {command})" if command else line)
    if len(failed) > _MOST_FAILURES:
        lines.append(f"and {len(failed) - _MOST_FAILURES} more: see {TRIALS}")
    return lines


def with_reason_once(trial: TrialResult, told: dict[int, int]) -> TrialResult:
    """The trial or, where its container's start was stopped as an earlier one's was, the trial with that for a reason.

    What the start says is a whole installer's words, and the same for all trials. `told` has the first trial of each exit code.
    """
    code = trial.exit_code
    if code is None or code not in EXIT_CODES or told.setdefault(code, trial.number) == trial.number:
        return trial
    return replace(trial, reason=f"as trial {told[code]} did (exit code {code})")


def _counts(outcome: Outcome) -> str:
    ends = Counter(end_of(trial, outcome) for trial in outcome.trials)
    order = ("succeeded", _NO_RESULT, _FAILED, "cancelled", "unfinished")
    how = ", ".join(f"{ends[end]} {end}" for end in order if ends[end])
    count = len(outcome.trials)
    total = f"{count} of {outcome.planned}" if outcome.planned and outcome.planned > count else str(count)
    noun = "trial" if total == "1" else "trials"
    return f"{total} {noun}: {how}" if how else f"{total} {noun}"


def end_of(trial: TrialResult, outcome: Outcome) -> str:
    """How a trial of this sweep ended, in a word or three."""
    if trial.state is TrialState.SUCCEEDED:
        return "succeeded" if outcome.has_result(trial) else _NO_RESULT
    if trial.state is not TrialState.INFEASIBLE:
        return "unfinished"
    if trial.reason.startswith(NO_MEASUREMENT):
        return _NO_RESULT
    return "cancelled" if trial.reason in (CANCELLED, TOO_MANY_FAILURES) else _FAILED


def _metrics(metrics: Mapping[str, float]) -> str:
    return "  ".join(f"{id} {_number(value)}" for id, value in metrics.items())


def _number(value: float) -> str:
    return f"{value:.6g}"


def _duration(seconds: float) -> str:
    if seconds < 59.95:  # noqa: PLR2004 - what rounds to 60.0 s is a minute
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:  # noqa: PLR2004 - an hour
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"
