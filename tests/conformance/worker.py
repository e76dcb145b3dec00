# SPDX-License-Identifier: Apache-2.0
"""Inside of a sandbox: one world, and its share of the cases that were asked for. The environment says which world
(CONFORMANCE_WORLD), which share (CONFORMANCE_SHARE=0/2) and where the result goes (CONFORMANCE_RESULT)."""
from __future__ import annotations

import fcntl
import os
import sys
from pathlib import Path

import options as command_line
from engine import describe, run_case
from machines import Broken
from model import Facts
from result import CaseResult, WorldResult
from world import World

WORK = Path("/run/work")


def say(word: str, colour: str, text: str) -> None:
    """A line, or what belongs together: the worlds take turns."""
    with open(Path(os.environ["CONFORMANCE_RESULT"]).with_name("turn"), "wb") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        print(f"{os.environ.get(colour, '')}{word:<4}{os.environ.get('PLAIN', '')} {text}", flush=True)


def main(arguments: list[str]) -> int:
    asked = command_line.parse(arguments)
    kind = os.environ["CONFORMANCE_WORLD"]
    build = Path(os.environ["BUILD"])
    for program in ("netpold", "netpolctl"):
        if not os.access(build / program, os.X_OK):
            print(f"conformance: {build / program} is not built", file=sys.stderr)
            return 1
    facts = Facts(kind, asked.families)
    share, shares = (int(number) for number in os.environ["CONFORMANCE_SHARE"].split("/"))
    cases = command_line.select(asked, facts)[share::shares]
    result = WorldResult(kind)
    try:
        world = World(facts, WORK, build, enforce=asked.plant != "no-enforcement")
        for case in cases:
            needs = command_line.lacking(case, facts)
            if needs:
                result.cases.append(CaseResult(case.name, case.title, case.group, kind, "inapplicable", text=needs))
                continue
            one = run_case(world, case)
            result.cases.append(one)
            good = one.status == "passed"
            text = describe(one) if good else f"{describe(one)}\n{one.text}".replace("\n", "\n     ")
            say("ok" if good else "FAIL", "GREEN" if good else "RED", text)
        for complaint in world.close():
            raise Broken(complaint)
    except Broken as broken:
        result.end = str(broken)
        say("FAIL", "RED", f"{kind}: the world broke: {broken}")
    result.write(Path(os.environ["CONFORMANCE_RESULT"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
