# SPDX-License-Identifier: Apache-2.0
"""The command line, and which cases it selects."""
from __future__ import annotations

import argparse
import fnmatch
import importlib
import random
from dataclasses import dataclass

from model import Case, Facts

GROUPS = ("upstream", "generated", "beyond")
KINDS = ("routed", "bridged")

USAGE = """exit codes: 0 everything as it must be, 1 mismatches or a broken run, 3 usage, 77 skipped (said why)

A run makes its own user, network, mount and pid namespaces; no root is needed where user namespaces are allowed.
Programs come from $BUILD (build/): netpold, netpolctl, tests/tools/netprobe."""


@dataclass(frozen=True)
class Options:
    """What a run was asked for."""

    groups: tuple[str, ...]
    kinds: tuple[str, ...]
    families: tuple[int, ...]
    seed: int
    half: bool
    short: bool
    listing: bool
    junit: str
    markdown: str
    plant: str
    jobs: int
    cases: tuple[str, ...]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(3, f"conformance: {message}\ntry --help\n")


def parse(arguments: list[str]) -> Options:
    """Exits with 3 on bad usage."""
    parser = _Parser(prog="tests/conformance/run", epilog=USAGE,
                     description="NetworkPolicy conformance with real packets and daemons.",
                     formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("cases", nargs="*", metavar="CASE", help="only these: names or globs, as --list shows them")
    parser.add_argument("--group", choices=GROUPS, action="append", help="only this group (repeats)")
    parser.add_argument("--pods", choices=(*KINDS, "both"), default="both",
                        help="how pods are wired (both, in parallel)")
    parser.add_argument("--families", choices=("46", "64", "4", "6"), default="46",
                        help="4: a cluster without IPv6 addresses, and so on")
    parser.add_argument("--seed", type=int, default=None, help="of --half (a new one each time, printed)")
    parser.add_argument("--half", action="store_true", help="on bridged pods, a seeded half of the generated cases")
    parser.add_argument("--short", action="store_true", help="the short selection of `make test`")
    parser.add_argument("--list", action="store_true", help="print the names and titles of the cases, and end")
    parser.add_argument("--jobs", type=int, choices=range(1, 9), default=2, metavar="N",
                        help="worlds of each kind of pods at a time, which share the cases (2)")
    parser.add_argument("--junit", default="", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--markdown", default="", metavar="FILE", help="write a report in Markdown")
    parser.add_argument("--plant", choices=("no-enforcement",), default="",
                        help="a fault: run without netpold, to see that mismatches are found")
    got = parser.parse_args(arguments)
    return Options(
        groups=tuple(got.group or GROUPS), kinds=KINDS if got.pods == "both" else (got.pods,),
        families=tuple(sorted(int(digit) for digit in got.families)),
        seed=random.SystemRandom().randrange(1 << 31) if got.seed is None else got.seed,
        half=got.half, short=got.short, listing=got.list, junit=got.junit, markdown=got.markdown, plant=got.plant,
        jobs=got.jobs, cases=tuple(got.cases))


def every_case(facts: Facts, groups: tuple[str, ...]) -> list[Case]:
    """All cases of some groups in a world. A group is the module of its name, which has cases(facts)."""
    cases = [case for group in GROUPS if group in groups for case in importlib.import_module(group).cases(facts)]
    names = [case.name for case in cases]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"names of cases that are not unique: {sorted(twice)}")
    return cases


def lacking(case: Case, facts: Facts) -> str:
    """Why a case cannot run in a world; "" when it can."""
    has = {facts.kind, *(f"ipv{family}" for family in facts.families)}
    if len(facts.families) == 2:
        has.add("dual")
    return ", ".join(sorted(case.needs - has))


def select(options: Options, facts: Facts) -> list[Case]:
    """The cases that were asked for in this world, needs apart. Naming a case overrides --short and --half."""
    chosen = every_case(facts, options.groups)
    if options.cases:
        return [case for case in chosen
                if any(case.name == name or fnmatch.fnmatchcase(case.name, name) for name in options.cases)]
    if options.short:
        chosen = [case for case in chosen if case.short]
    if options.half and facts.kind == "bridged":
        generated = [case.name for case in chosen if case.group == "generated"]
        half = set(random.Random(options.seed).sample(generated, (len(generated) + 1) // 2))
        chosen = [case for case in chosen if case.group != "generated" or case.name in half]
    return chosen
