# SPDX-License-Identifier: Apache-2.0
"""Runs cases in a world: changes objects, waits for the kernels, asks every cell of the table at once, compares."""
from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterable

from machines import Broken
from model import Case, Cell, Outcome, Probe, Scope, Step, Truth, matches
from result import CaseResult, Count
from world import ALLOWED, DENIED, World

SENTENCES = 12
TABLES = 4


def run_case(world: World, case: Case) -> CaseResult:
    """One case, and the world as it was before. Broken when that cannot be had."""
    result = CaseResult(case.name, case.title, case.group, world.facts.kind)
    started = time.monotonic()
    texts: list[str] = []
    try:
        if case.netpold:
            world.restart_daemons(*case.netpold)
        for number, step in enumerate(case.steps, 1):
            text = _run_step(world, case, step, result)
            if text:
                texts.append(f"step {number} of {len(case.steps)}: {step.title}\n{text}")
        if texts:
            result.status = "failed"
    except Exception as fault:  # whatever a case's own code does wrong must not end the others
        result.status = "broken"
        texts.append(f"broken: {fault}" if isinstance(fault, Broken) else traceback.format_exc())
    world.reset()
    if result.status == "broken":
        world.recover()
    elif case.netpold:
        world.restart_daemons()
    result.text = "\n".join(texts)
    result.seconds = time.monotonic() - started
    return result


def _run_step(world: World, case: Case, step: Step, result: CaseResult) -> str:
    """What was wrong, as text; "" when nothing was."""
    world.apply(step.change)
    world.settle()
    result.steps += 1
    texts: list[str] = []
    families: set[int] = set()
    scope = step.scope or case.scope
    if step.want:
        truths = _truths(world, step, scope)
        families |= {truth.family for truth in truths}
        texts += _compare(world, scope, truths, result)
        if step.check:
            texts += _second_opinion(world, truths, result)
    if step.custom:
        outcomes = step.custom(world)
        if not outcomes:
            raise Broken(f"{step.title}: nothing was tried")
        for outcome in outcomes:
            count = _count(result, outcome.family)
            count.probes += 1
            count.mismatches += not outcome.ok
        families |= {outcome.family for outcome in outcomes}
        texts += [_sentence(outcome) for outcome in outcomes if not outcome.ok]
    for family in families:
        _count(result, family).steps += 1
    return "\n".join([*texts, _objects(world)]) if texts else ""


def _count(result: CaseResult, family: int) -> Count:
    return result.counts.setdefault(family, Count())


def _truths(world: World, step: Step, scope: Scope) -> list[Truth]:
    """A table for each family that the world, the scope and both ends have."""
    assert step.want
    endpoints = world.endpoints()
    pods = [name for name in endpoints if "/" in name]
    truths = []
    for family in world.facts.families:
        if family not in scope.families:
            continue
        have = [name for name in endpoints if world.address(name, family)]
        sources, targets = ([name for name in have if (name in pods if globs is None else matches(name, globs))]
                            for globs in (scope.sources, scope.targets))
        truth = Truth(family, world.cluster, sources, targets, scope)
        step.want(truth)
        if not truth.cells:
            raise Broken(f"{step.title}: the table of IPv{family} is empty")
        truths.append(truth)
    if not truths:
        raise Broken(f"{step.title}: no family to ask in")
    return truths


def _compare(world: World, scope: Scope, truths: list[Truth], result: CaseResult) -> list[str]:
    """Ask every cell of every family at once."""
    asked = [(truth, cell) for truth in truths for cell in truth]
    # Grouped by where they start from: the prober enters each namespace once.
    asked.sort(key=lambda pair: pair[1].source)
    got = world.ask([Probe(cell.source, cell.target, cell.protocol, cell.port, truth.family, scope.via)
                     for truth, cell in asked], [truth.cells[cell] for truth, cell in asked])
    texts = []
    for truth in truths:
        seen = {cell: outcome for (owner, cell), outcome in zip(asked, got) if owner is truth}
        wrong = [cell for cell in truth if seen[cell] != (ALLOWED if truth.cells[cell] else DENIED)]
        count = _count(result, truth.family)
        count.probes += len(truth.cells)
        count.mismatches += len(wrong)
        if wrong:
            texts.append(_differences("packets", truth, seen, wrong))
    return texts


def _second_opinion(world: World, truths: list[Truth], result: CaseResult) -> list[str]:
    """Compare the tables with the evaluator, counted apart from packets."""
    texts = []
    for truth in truths:
        cells = list(truth)
        said = dict(zip(cells, world.evaluate(cells, truth.family)))
        wrong = [cell for cell in cells if said[cell] != ("allow" if truth.cells[cell] else "deny")]
        count = _count(result, truth.family)
        count.checked += len(cells)
        count.disagreements += len(wrong)
        if wrong:
            texts.append(_differences("netpolctl check", truth, said, wrong))
    return texts


# ---- what a person reads when something is wrong -------------------------------------------------------------------

def _sentence(outcome: Outcome) -> str:
    return f"  {outcome.what} IPv{outcome.family}: wanted {outcome.wanted}, got {outcome.got}"


def _word(allowed: bool) -> str:
    return "allow" if allowed else "deny"


def _port(cell: Cell) -> str:
    return cell.protocol if cell.protocol == "icmp" else f"{cell.protocol}/{cell.port}"


def _differences(who: str, truth: Truth, seen: dict[Cell, str], wrong: list[Cell]) -> str:
    """Sentences, then a table for each port that has a wrong cell."""
    lines = [f"  {who}, IPv{truth.family}: {len(wrong)} of {len(truth.cells)} wrong"]
    lines += [f"  {cell.source} -> {cell.target} {_port(cell)}: wanted {_word(truth.cells[cell])}, "
              f"got {_got(seen[cell])}" for cell in wrong[:SENTENCES]]
    if len(wrong) > SENTENCES:
        lines.append(f"  … and {len(wrong) - SENTENCES} more")
    ports = list(dict.fromkeys((cell.protocol, cell.port) for cell in wrong))
    for protocol, port in ports[:TABLES]:
        lines += _table(truth, seen, protocol, port)
    if len(ports) > TABLES:
        lines.append(f"  … and {len(ports) - TABLES} more tables")
    return "\n".join(lines)


def _got(outcome: str) -> str:
    return {ALLOWED: "allow", DENIED: "deny (silence)"}.get(outcome, outcome)


def _table(truth: Truth, seen: dict[Cell, str], protocol: str, port: int) -> Iterable[str]:
    """Rows are sources, columns targets: wanted/got where they differ."""
    head = protocol if protocol == "icmp" else f"{protocol}/{port}"
    yield f"  {head} IPv{truth.family}: row to column; X reaches, . does not, wanted>got marked !, - not asked"
    yield "  " + " " * 6 + "".join(f"{name:>7}" for name in truth.targets)
    for source in truth.sources:
        row = f"  {source:<6}"
        for target in truth.targets:
            cell = Cell(source, target, protocol, port)
            if cell not in truth.cells:
                row += f"{'-':>7}"
                continue
            want = "X" if truth.cells[cell] else "."
            got = {ALLOWED: "X", "allow": "X", DENIED: ".", "deny": "."}.get(seen[cell], "?")
            row += f"{want:>7}" if want == got else f"{want + '>' + got + '!':>7}"
        yield row


def _objects(world: World) -> str:
    """The policies that were in force."""
    lines = ["  policies in force:"]
    lines += [f"    {item['metadata']['namespace']}/{item['metadata']['name']} {json.dumps(item['spec'])}"
              for item in world.cluster.policies()]
    return "\n".join(lines if len(lines) > 1 else ["  policies in force: none"])


def describe(result: CaseResult) -> str:
    """The progress line of a case."""
    counts = result.counts.values()
    probes, wrong = sum(count.probes for count in counts), sum(count.mismatches for count in counts)
    apart = sum(count.disagreements for count in counts)
    line = (f"{result.kind:<8} {result.name:<58} {result.steps:>2} steps {probes:>6} probes {result.seconds:6.1f} s")
    if wrong:
        line += f"  {wrong} mismatches"
    if apart:
        line += f"  {apart} disagreements of netpolctl check"
    return line
