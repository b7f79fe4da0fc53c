"""A run on the terminal: its settings at the start, its instances with their times at the end."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

import pytest

from pytest_hydrasmoke._base.columns import Column, Line, aligned
from pytest_hydrasmoke._base.run_keys import slot_of
from pytest_hydrasmoke._base.text import harmless, safe_line
from pytest_hydrasmoke._core.instance import Instance
from pytest_hydrasmoke._journal.story import PHASES, TOKENS
from pytest_hydrasmoke._options import SECRETS
from pytest_hydrasmoke._settings.config import HydraSmokeConfig

from .model import FAKE_ENDED, LEAKED, UNPROVED, InstanceReport, Report
from .parts import BreachReport

_INDENT = " " * 9
_MOST = 10
"""How many notes of an instance are shown, and how many drifts."""
_MANY = 12
"""The most instances that are all shown in full."""
_LABEL = 8
_SUMS = ("median", "slowest")
"""Rows below many instances, over all of them."""


def header(config: HydraSmokeConfig, sources: Mapping[str, str], *, fake: bool) -> list[str]:
    """Return the run's target, and the source of each setting that is not a default."""
    where = f"the bundled FAKE router at {config.url}" if fake else f"live router {config.url}"
    if config.agent_url is not None:
        where += f" before the agent at {config.agent_url}"
    lines = [f"hydra-smoke: {where}, run id {config.run_id}"]
    if config.agent_url is not None:
        model = "" if config.agent_model is None else f", model {safe_line(config.agent_model, 60)}"
        how = f"openai{model}; the bundled checks run only if named"
        lines.append(f"hydra-smoke agent: {how}")
    given = [f"{name} {_shown(config, name)} ({sources[name]})" for name in sorted(sources)]
    if given:
        lines.append(f"hydra-smoke settings: {', '.join(given)}")
    return lines


def _shown(config: HydraSmokeConfig, name: str) -> str:
    value: object = getattr(config, name)
    if isinstance(value, frozenset):
        value = ",".join(sorted(map(str, value)))  # pyright: ignore[reportUnknownArgumentType]
    return "********" if name in SECRETS else safe_line(str(value), 60)


def summary(report: Report, width: int = 80, *, colour: bool = False) -> list[Line]:
    """Count instances and tests, and draw a table, with names and remarks below."""
    lines: list[Line] = [[(_counted(report), "")]]
    if report.tests_words is not None:
        lines.append([(f"smoke tests: {'; '.join([report.tests_words, *_chatted(report)])}", "")])
    lines += [[(f"not run: {number}, {why}", "")] for why, number in report.reasons.items()]
    if report.interrupted_in is not None:
        lines.append([(f"interrupted in {report.interrupted_in}", "")])
    if report.ended is not None:
        lines.append([(f"ended before its tests were over: {report.ended}", "")])
    if times := table(report, width, colour=colour):
        lines += [[], *times]
    few = len(report.instances) <= _MANY
    # The run's own line tells of all that it is unsure of.
    told = [it for it in report.instances if it.outcome != "unsure"]
    verdicts = [(it, report.verdict_of(it)) for it in told]
    shown = [(it, verdict) for it, verdict in verdicts if few or _is_remarkable(it, verdict)]
    for instance, verdict in shown:
        lines += _details(instance, verdict, width)
    if len(shown) < len(told):
        rest = len(told) - len(shown)
        lines.append([(f"{rest} more were deleted without problems: see report.json", "")])
    known = {text for instance in report.instances for text in instance.drift}
    drift = [text for text in report.drift if text not in known]
    return lines + _listed(drift, width, "")


def _counted(report: Report) -> str:
    router = "fake router" if report.fake else "live router"
    if report.replaying is not None or report.agent is not None:
        router = report.fake_words
    return f"{router}, run {report.run_id}: {report.counted}"


def _chatted(report: Report) -> Iterator[str]:
    """Yield how many chats the report has, and their tokens: a plain client's are not in it."""
    chats = sum(it.chats for it in report.instances)
    tokens = sum(it.tokens.total for it in report.instances)
    if chats:
        least = "at least " if any(it.untold for it in report.instances) else ""
        told = f", {least}{tokens} tokens" if tokens else ""
        yield f"in the report: {chats} chat{'s' if chats > 1 else ''}{told}"


def table(report: Report, width: int, *, colour: bool) -> list[Line]:
    """Draw how long the phases of each instance took; nothing where all of them took no time."""
    instances = report.instances
    sums = _SUMS if len(instances) > _MANY else ()
    labels = [_label(it, report) for it in instances]
    styles = {"leaked": "red bold", "unsure": "red", "kept": "yellow"}
    outcomes = [(it.outcome, styles.get(it.outcome, "")) for it in instances]
    times = [*_times(instances, sums=bool(sums), colour=colour)]
    if not times:
        return []
    names = Column("instance", tuple((name, "") for name in (*labels, *sums)), left=True)
    ends = Column("outcome", (*outcomes, *[("", "")] * len(sums)), left=True)
    return aligned([names, ends, *times], width)


def _label(it: InstanceReport, report: Report) -> str:
    """Return the part of its key after the run id, which is unique in the run."""
    slot = slot_of(report.run_id, it.idempotency_key or "-")
    return slot if len(slot) <= _LABEL else f"...{slot[3 - _LABEL :]}"


def _times(instances: Sequence[InstanceReport], *, sums: bool, colour: bool) -> Iterator[Column]:
    """Yield a column for each phase that took time; in colours, the slowest of a row stands out."""
    for name in PHASES:
        taken = [it.phases[name] for it in instances if name in it.phases]
        cells = [
            (_seconds(it.phases.get(name)), _style(name, it.phases, colour)) for it in instances
        ]
        if sums:
            middle = median(taken) if taken else None
            cells += [(_seconds(middle), ""), (_seconds(max(taken, default=None)), "")]
        if any(text not in ("", "0.0s") for text, _ in cells):
            yield Column(name, tuple(cells))


def _seconds(it: float | None) -> str:
    return "" if it is None else f"{it:.1f}s"


def _style(name: str, phases: Mapping[str, float], colour: bool) -> str:
    return "bold" if colour and phases and name == max(phases, key=lambda it: phases[it]) else ""


def _is_remarkable(it: InstanceReport, verdict: str) -> bool:
    """Return whether an instance has more to report than its times."""
    calm = it.outcome == "deleted" and verdict == "ok"
    return not calm or bool(it.notes or it.drift or it.retries)


def _details(instance: InstanceReport, verdict: str, width: int) -> Iterator[Line]:
    name: Line = [(f"{instance.outcome:<8} {instance.name}", "")]
    yield (
        name if verdict in ("ok", instance.outcome) else [*name, (": ", ""), (verdict, "red bold")]
    )
    notes = [*instance.notes]
    if instance.retries:
        many = "1 request was" if instance.retries == 1 else f"{instance.retries} requests were"
        notes.append(f"{many} repeated")
    yield from _listed(notes, width)
    yield from _listed(instance.drift, width)
    # For pasting: a command is one line, however long.
    if instance.attach_with:
        yield [(f"{_INDENT}attach: {instance.attach_with}", "")]
    if instance.delete_with:
        yield [(f"{_INDENT}delete: {instance.delete_with}", "")]


def _listed(texts: Sequence[str], width: int, indent: str = _INDENT) -> list[Line]:
    """Return notes, wrapped at the terminal's width."""
    lines: list[Line] = []
    for text in texts[:_MOST]:
        rows = textwrap.wrap(
            f"note: {safe_line(text)}",
            max(width, 40),
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        # A row may begin in the middle of a line.
        lines += [[(harmless(row), "")] for row in rows]
    if len(texts) > _MOST:
        lines.append([(f"{indent}note: {len(texts) - _MOST} more, see report.json", "")])
    return lines


def show(reporter: pytest.TerminalReporter, lines: Sequence[Line]) -> None:
    """Write lines with their styles."""
    for line in lines:
        for text, style in line:
            reporter.write(text, **dict.fromkeys(style.split(), True))
        reporter.line("")


def leak(instance: InstanceReport, *, fake: bool) -> str:
    """Return which instance may still run, why, and how to delete it."""
    state, way_out = LEAKED, f"To delete it: {instance.delete_with}"
    if fake:
        state, way_out = UNPROVED, FAKE_ENDED
    return f"LEAK: {instance.name} {state}\n{instance.leak_words}\n{way_out}"


def conflict(instance: InstanceReport) -> str:
    """Return what happened to an instance that should not happen, and what to do about it."""
    return f"CONFLICT: {instance.name}\n{instance.conflict}"


def breach(breach: BreachReport) -> str:
    """Return which budget was exceeded, by how much, and where."""
    return (
        f"BUDGET: {breach.words}\n"
        f"{'most of them' if breach.phase == TOKENS else 'seen'} on {breach.place}\n"
        f"If that is acceptable, raise the limit: budgets = {{ {breach.phase} = ... }}"
    )


def deleting(instances: Sequence[Instance]) -> list[str]:
    """Return what an interrupted run still deletes."""
    if not instances:
        return []
    names = [f"  {instance.name}" for instance in instances]
    return [
        "hydra-smoke: interrupted; deleting instances, another Ctrl-C does not make it faster:",
        *names,
    ]


def timeout_warning(config: pytest.Config) -> list[str]:
    """Warn of pytest-timeout's thread method: it ends the process without any teardown."""
    method = config.getoption("timeout_method", None)
    if method is None and config.pluginmanager.has_plugin("timeout"):
        method = config.getini("timeout_method")
    if method != "thread":
        return []
    words = "kills without any clean-up: set timeout_method = signal, or sweep afterwards"
    return [f"pytest-timeout's thread method {words}"]
