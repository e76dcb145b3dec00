# SPDX-License-Identifier: Apache-2.0
"""The end of a run: one summary table, JUnit XML, Markdown."""
from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from options import GROUPS, Options
from result import CaseResult, Count, WorldResult

HEAD = ("group", "pods", "family", "cases", "steps", "probes", "mismatches", "checked", "disagree", "seconds")


@dataclass
class Row:
    """A line of the summary: a group in a world in a family (0: both, the sum of all)."""

    group: str
    kind: str
    family: int
    cases: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self.count = Count()

    def add(self, case: CaseResult, count: Count) -> None:
        self.cases += 1
        for name in vars(count):
            setattr(self.count, name, getattr(self.count, name) + getattr(count, name))
        # Both families are asked at once: each has the share of the time that it has of the probes.
        total = sum(other.probes for other in case.counts.values())
        self.seconds += case.seconds * (count.probes / total if total else 1 / len(case.counts))

    def texts(self) -> tuple[str, ...]:
        family = f"IPv{self.family}" if self.family else ""
        count = self.count
        return (self.group, self.kind, family, str(self.cases), str(count.steps), str(count.probes),
                str(count.mismatches), str(count.checked), str(count.disagreements), f"{self.seconds:.1f}")


def failed(worlds: list[WorldResult]) -> bool:
    """Whether anything was not as it must be. A run that tried nothing proves nothing: that is a failure, too."""
    ran = [case for world in worlds for case in _ran(world)]
    return (any(world.end for world in worlds) or any(case.status != "passed" for case in ran)
            or (not ran and not all(world.skipped for world in worlds)))


def _ran(world: WorldResult) -> Iterator[CaseResult]:
    return (case for case in world.cases if case.status != "inapplicable")


def rows(worlds: list[WorldResult]) -> list[Row]:
    table: dict[tuple[str, str, int], Row] = {}
    for group in GROUPS:
        for world in worlds:
            for case in _ran(world):
                if case.group != group:
                    continue
                for family, count in sorted(case.counts.items()):
                    key = (group, world.kind, family)
                    table.setdefault(key, Row(*key)).add(case, count)
    return [table[key] for key in sorted(table, key=lambda key: (GROUPS.index(key[0]), key[1] != "routed", key[2]))]


def _total(worlds: list[WorldResult], lines: list[Row], seconds: float) -> tuple[str, ...]:
    total = Row("total", "", 0, len({case.name for world in worlds for case in _ran(world)}), seconds)
    for line in lines:
        for name in vars(line.count):
            setattr(total.count, name, getattr(total.count, name) + getattr(line.count, name))
    return total.texts()


def summary(worlds: list[WorldResult], seconds: float, asked: Options) -> str:
    """For the terminal; the seconds of the last line are those of the clock."""
    lines = rows(worlds)
    texts = [HEAD, *(line.texts() for line in lines), _total(worlds, lines, seconds)]
    widths = [max(len(text[column]) for text in texts) for column in range(len(HEAD))]
    out = [""]
    for text in texts:
        out.append("  ".join(cell.ljust(width) if column < 3 else cell.rjust(width)
                             for column, (cell, width) in enumerate(zip(text, widths))).rstrip())
    out.append("")
    cases = [case for world in worlds for case in world.cases]
    bad = [case for case in cases if case.status in ("failed", "broken")]
    out += [f"FAILED  {case.kind} {case.name} ({case.status}): {case.title}" for case in bad]
    out += [f"FAILED  {world.kind}: {world.end.splitlines()[0]}" for world in worlds if world.end]
    out += [f"SKIPPED {world.kind}: {world.skipped}" for world in worlds if world.skipped]
    probes = sum(line.count.probes for line in lines)
    wrong = sum(line.count.mismatches for line in lines)
    checked = sum(line.count.checked for line in lines)
    apart = sum(line.count.disagreements for line in lines)
    if asked.half:
        out.append(f"half of the generated cases on bridged pods: --seed {asked.seed}")
    if asked.plant:
        out.append(f"planted: {asked.plant}")
    ran = sum(case.status != "inapplicable" for case in cases)
    out.append(f"{probes} probes, {wrong} mismatches; {checked} verdicts of netpolctl check compared, {apart} "
               f"disagreements; {len(bad)} of {ran} case runs failed; {seconds:.0f} s")
    return "\n".join(out)


def junit(worlds: list[WorldResult], seconds: float) -> str:
    root = ElementTree.Element("testsuites", name="netpold conformance", time=f"{seconds:.1f}")
    for group in GROUPS:
        for world in worlds:
            cases = [case for case in world.cases if case.group == group]
            if not cases:
                continue
            suite = ElementTree.SubElement(root, "testsuite", {
                "name": f"{group}.{world.kind}", "tests": str(len(cases)),
                "failures": str(sum(case.status == "failed" for case in cases)),
                "errors": str(sum(case.status == "broken" for case in cases)),
                "skipped": str(sum(case.status == "inapplicable" for case in cases)),
                "time": f"{sum(case.seconds for case in cases):.1f}"})
            for case in cases:
                _junit_case(suite, case)
    for world in worlds:
        if world.end or world.skipped:
            suite = ElementTree.SubElement(root, "testsuite", name=f"world.{world.kind}", tests="1",
                                           errors=str(int(bool(world.end))), skipped=str(int(bool(world.skipped))))
            element = ElementTree.SubElement(suite, "testcase", name=world.kind, classname="world")
            ElementTree.SubElement(element, "error" if world.end else "skipped",
                                   message=_xml(world.end or world.skipped))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _junit_case(suite: ElementTree.Element, case: CaseResult) -> None:
    element = ElementTree.SubElement(suite, "testcase", name=f"{case.name} - {case.title}",
                                     classname=f"{case.group}.{case.kind}", time=f"{case.seconds:.2f}")
    if case.status == "inapplicable":
        ElementTree.SubElement(element, "skipped", message=f"needs {case.text}")
        return
    if case.status != "passed":
        kind = "failure" if case.status == "failed" else "error"
        first = next((line.strip() for line in case.text.splitlines() if "wanted" in line), case.status)
        ElementTree.SubElement(element, kind, message=_xml(first)).text = _xml(case.text)
    properties = ElementTree.SubElement(element, "properties")
    for family, count in sorted(case.counts.items()):
        for name, value in vars(count).items():
            ElementTree.SubElement(properties, "property", name=f"ipv{family}.{name}", value=str(value))


def _xml(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return "".join(character for character in text if character in "\t\n" or ord(character) >= 32)


def markdown(worlds: list[WorldResult], seconds: float, asked: Options) -> str:
    lines = rows(worlds)
    texts = [line.texts() for line in lines] + [_total(worlds, lines, seconds)]
    out = ["# Conformance run", "",
           f"{_version()}, Linux {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs, {seconds:.0f} s"
           + (f", `--half --seed {asked.seed}`" if asked.half else "")
           + (f", planted fault: {asked.plant}" if asked.plant else "") + ".", "",
           "| " + " | ".join(HEAD) + " |", "|---|---|---|" + "--:|" * (len(HEAD) - 3)]
    out += ["| " + " | ".join(text) + " |" for text in texts]
    out += ["", "`checked` counts verdicts of `netpolctl check` that were compared with the same tables, `disagree` "
            "those that differ.", ""]
    for world in worlds:
        if world.end or world.skipped:
            out += [f"**{world.kind} pods: {'broken' if world.end else 'skipped'}**: {world.end or world.skipped}", ""]
    bad = [case for world in worlds for case in world.cases if case.status in ("failed", "broken")]
    for case in bad:
        out += [f"## {case.status}: {case.name}, {case.kind} pods", "", case.title, "", "```", case.text, "```", ""]
    out += ["## Cases", "", "| case | title | routed | bridged |", "|---|---|---|---|"]
    by_name: dict[str, dict[str, CaseResult]] = {}
    for world in worlds:
        for case in world.cases:
            by_name.setdefault(case.name, {})[case.kind] = case
    for name, kinds in by_name.items():
        title = next(iter(kinds.values())).title.replace("|", "\\|")
        out.append(f"| {name} | {title} | {_cell(kinds.get('routed'))} | {_cell(kinds.get('bridged'))} |")
    return "\n".join(out) + "\n"


def _cell(case: CaseResult | None) -> str:
    if case is None:
        return ""
    if case.status == "inapplicable":
        return f"needs {case.text}"
    probes = sum(count.probes for count in case.counts.values())
    return f"{case.status}, {probes} probes"


def _version() -> str:
    done = subprocess.run([Path(os.environ["BUILD"], "netpold"), "--version"], capture_output=True, text=True,
                          check=False)
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else "netpold"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)
