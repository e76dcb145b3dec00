# SPDX-License-Identifier: Apache-2.0
"""Outside of the sandboxes: starts one world for each kind of pods, in parallel, and reports what they found."""
from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import options as command_line
import report
from model import Facts
from result import WorldResult, read

SKIPPED = 77
PR_SET_PDEATHSIG = 1


def listing(asked: command_line.Options) -> int:
    seen: dict[str, str] = {}
    for kind in asked.kinds:
        facts = Facts(kind, asked.families)
        for case in command_line.select(asked, facts):
            if not command_line.lacking(case, facts):
                seen[case.name] = case.title
    for name, title in seen.items():
        print(f"{name:<58} {title}")
    return 0


def run_worlds(asked: command_line.Options, arguments: list[str]) -> list[WorldResult]:
    """Each in a sandbox of its own; what they print comes as it comes. One result for each kind of pods."""
    entry = Path(__file__).resolve().parent / "run"
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        worlds: list[tuple[str, subprocess.Popen[bytes], Path]] = []
        for kind in asked.kinds:
            shares = max(1, min(asked.jobs, len(command_line.select(asked, Facts(kind, asked.families)))))
            for share in range(shares):
                path = Path(directory, f"{kind}.{share}")
                environment = {**os.environ, "CONFORMANCE_WORLD": kind, "CONFORMANCE_RESULT": str(path),
                               "CONFORMANCE_SHARE": f"{share}/{shares}"}
                # The seed may be of our choosing: all must know it.
                words = ["bash", str(entry), f"--seed={asked.seed}", *arguments]
                worlds.append((kind, subprocess.Popen(words, env=environment, preexec_fn=_end_with_parent), path))
        try:
            codes = [process.wait() for _, process, _ in worlds]
        except BaseException:
            for _, process, _ in worlds:
                process.kill()
            raise
        results = {kind: WorldResult(kind) for kind in asked.kinds}
        for (kind, _, path), code in zip(worlds, codes):
            if path.exists():
                results[kind].add(read(path))
            elif code == SKIPPED:
                results[kind].skipped = "this machine cannot run it; the reason stands above"
            else:
                results[kind].end = f"exit code {code} and no result"
        return list(results.values())


def _end_with_parent() -> None:
    """unshare is deaf to SIGTERM, and all that it started ends with it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def main(arguments: list[str]) -> int:
    asked = command_line.parse(arguments)
    if asked.listing:
        return listing(asked)
    worlds_facts = [Facts(kind, asked.families) for kind in asked.kinds]
    if not any(command_line.lacking(case, facts) == "" for facts in worlds_facts
               for case in command_line.select(asked, facts)):
        print("conformance: no such case in these worlds: --list shows them", file=sys.stderr)
        return 3
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    started = time.monotonic()
    worlds = run_worlds(asked, arguments)
    seconds = time.monotonic() - started
    print(report.summary(worlds, seconds, asked))
    if asked.junit:
        report.write(Path(asked.junit), report.junit(worlds, seconds))
    if asked.markdown:
        report.write(Path(asked.markdown), report.markdown(worlds, seconds, asked))
    if report.failed(worlds):
        return 1
    return SKIPPED if any(world.skipped for world in worlds) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
