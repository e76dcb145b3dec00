# SPDX-License-Identifier: Apache-2.0
"""Outside of the sandboxes: which scenarios, on which API server; runs them side by side, prints a line for each."""
from __future__ import annotations

import argparse
import ctypes
import fnmatch
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import provider
import scenario

HERE = Path(__file__).resolve().parent
SKIPPED = 77
PR_SET_PDEATHSIG = 1

USAGE = """exit codes: 0 everything as it must be, 1 failures, 3 usage, 77 skipped (said why; with REQUIRE_E2E=1 a skip is a
failure)

The API server is kube-apiserver with etcd and kubectl from $KUBEBUILDER_ASSETS or PATH, else tests/apiserver, which is
built with Go >= 1.26. Programs under test come from $BUILD (build/): netpold, netpolctl, tests/tools/netprobe. Each
scenario makes its own user, network, mount and pid namespaces; no root is needed where user namespaces are allowed."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(3, f"e2e: {message}\ntry --help\n")


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="tests/e2e/run", description="netpold against a real API server, with real packets.",
                     epilog=USAGE, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these: names or globs, as --list shows them")
    parser.add_argument("--list", action="store_true", help="print the scenarios, and end")
    parser.add_argument("--scale", action="store_true", help="those of `make e2e-scale` (100,000 pods)")
    parser.add_argument("--bench", action="store_true", help="those of `make bench`")
    parser.add_argument("--provider", choices=("auto", "kube", "library"),
                        default=os.environ.get("E2E_PROVIDER") or "auto", help="which API server (auto)")
    parser.add_argument("--jobs", type=int, choices=range(1, 17), default=0, metavar="N",
                        help="scenarios at a time (as many as there are processors, and one)")
    parser.add_argument("--keep", action="store_true", help="leave the cluster of the (one) scenario running at its end")
    parser.add_argument("--logs", metavar="DIR", help="copy the logs of each scenario there")
    parser.add_argument("--markdown", metavar="FILE", help="of --scale and --bench: write the tables there")
    return parser.parse_args(arguments)


def skip(why: str) -> int:
    """One line, and 77; or 1 where a skip is a failure."""
    print(f"e2e SKIPPED: {why}", flush=True)
    if os.environ.get("REQUIRE_E2E") == "1":
        print("e2e FAILED: REQUIRE_E2E=1, so nothing may be skipped", flush=True)
        return 1
    return SKIPPED


def choose(asked: str, build: Path) -> tuple[str, str]:
    """The provider and, when there is none, why. Builds tests/apiserver when it is the one."""
    kube = provider.kube_programs()
    if asked == "kube" or asked == "auto" and kube:
        return ("kube", "") if kube else ("", "kube-apiserver, etcd and kubectl are not all on PATH or in "
                                              "$KUBEBUILDER_ASSETS")
    output = build / "e2e"
    done = subprocess.run([str(HERE.parent / "apiserver/build"), str(output)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    os.environ["E2E_PROGRAMS"] = str(output)
    if done.returncode == SKIPPED:
        last = (done.stdout.strip().splitlines() or ["tests/apiserver cannot be built"])[-1]
        return "", f"no kube-apiserver here, and: {last}"
    if done.returncode != 0:
        print(done.stdout[-3000:], file=sys.stderr)
        raise SystemExit("e2e: tests/apiserver does not build")
    return "library", ""


def _end_with_parent() -> None:
    """unshare is deaf to SIGTERM, and all that it started ends with it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Run:
    """Scenarios side by side."""

    def __init__(self, scenarios: list[scenario.Scenario], asked: argparse.Namespace, work: Path) -> None:
        self.asked, self.work = asked, work
        self.waiting = sorted(scenarios, key=lambda one: -one.seconds)
        self.results: list[dict[str, Any]] = []
        self.skipped = ""
        self.ended = False
        self._lock = threading.Lock()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.width = max(len(one.name) for one in scenarios)

    def go(self, jobs: int) -> None:
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # so that Ctrl-C is heard

    def end(self) -> None:
        self.ended = True
        self.waiting.clear()
        for process in list(self._processes.values()):
            process.kill()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self.waiting:
                    return
                one = self.waiting.pop(0)
            self._one(one)

    def _one(self, one: scenario.Scenario) -> None:
        path = self.work / f"{one.name}.json"
        environment = {**os.environ, "E2E_SCENARIO": one.name, "E2E_RESULT": str(path), "E2E_DISK": str(self.work),
                       "E2E_KEEP": "1" if self.asked.keep else "", "E2E_LOGS": self.asked.logs or "",
                       "E2E_MARKDOWN": self.asked.markdown or ""}
        said = self.work / f"{one.name}.out"
        with said.open("wb") as out:
            # PDEATHSIG is of the thread that started it: this one, which lives as long as the process.
            process = subprocess.Popen(["bash", str(HERE / "run")], env=environment, stdin=subprocess.DEVNULL,
                                       stdout=None if self.asked.keep else out, stderr=subprocess.STDOUT,
                                       preexec_fn=_end_with_parent, start_new_session=True)
            self._processes[one.name] = process
            if self.asked.keep:
                print(f"to look at it from inside: nsenter -t $(pgrep -P {process.pid}) -U --preserve-credentials -n -m -p "
                      "ip netns exec control bash", flush=True)
            code = process.wait()
            del self._processes[one.name]
        if self.ended:
            return
        text = said.read_text("utf-8", "replace")
        with self._lock:
            if path.exists():
                result = json.loads(path.read_text(encoding="utf-8"))
            elif code == SKIPPED:
                self.skipped = next((line for line in text.splitlines() if "SKIPPED" in line), "no reason given")
                self.waiting.clear()
                return
            else:
                result = {"name": one.name, "status": "broken", "seconds": 0.0, "ready": 0.0, "notes": "", "probes": 0,
                          "requests": 0, "text": f"exit code {code} and no result\n{text[-3000:]}"}
            self.results.append(result)
            self._print(result)

    def _print(self, result: dict[str, Any]) -> None:
        colours = {"passed": "\033[32m", "failed": "\033[31m", "broken": "\033[31m"}
        plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR")
        word = "ok" if result["status"] == "passed" else "FAIL"
        if not plain:
            word = f"{colours[result['status']]}{word:<4}\033[0m"
        print(f"{word:<4} {result['name']:<{self.width}} {result['seconds']:6.1f} s {result['probes']:>6} probes "
              f"{result['requests']:>5} requests  {result['notes']}", flush=True)
        if result["text"]:
            print("     " + result["text"].replace("\n", "\n     "), flush=True)


def main(arguments: list[str]) -> int:
    asked = parse(arguments)
    everything = scenario.every()
    if asked.list:
        for one in everything.values():
            mark = " (--scale)" if one.scale else " (--bench)" if one.bench else ""
            print(f"{one.name:<20} {one.title}{mark}")
        return 0
    chosen = [one for one in everything.values() if any(fnmatch.fnmatchcase(one.name, name) for name in asked.names)
              ] if asked.names else [one for one in everything.values() if one.scale == asked.scale and one.bench == asked.bench]
    if not chosen:
        print("e2e: no such scenario: --list shows them", file=sys.stderr)
        return 3
    if asked.keep and len(chosen) != 1:
        print("e2e: --keep is for one scenario", file=sys.stderr)
        return 3
    build = Path(os.environ["BUILD"])
    for program in ("netpold", "netpolctl", "tests/tools/netprobe"):
        if not os.access(build / program, os.X_OK):
            print(f"e2e: {build / program} is not built", file=sys.stderr)
            return 1
    started = time.monotonic()
    name, lacking = choose(asked.provider, build)
    if lacking:
        return skip(lacking)
    os.environ["E2E_PROVIDER"] = name
    built = time.monotonic() - started
    unfit = [one.name for one in chosen if name not in one.providers]
    chosen = [one for one in chosen if name in one.providers]
    if not chosen:
        return skip(f"no scenario of these can run on the provider {name}")
    print(f"e2e: {len(chosen)} scenarios on the API server {name!r} (there after {built:.0f} s)"
          + (f"; not on it: {', '.join(unfit)}" if unfit else ""), flush=True)
    work = Path(tempfile.mkdtemp(prefix="e2e-", dir=build))
    run = Run(chosen, asked, work)

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)
    for which in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(which, end)
    try:
        run.go(min(asked.jobs or (os.cpu_count() or 1) + 1, len(chosen)) if not (asked.scale or asked.bench) else 1)
    except BaseException:
        run.end()
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if run.skipped:
        return skip(run.skipped.replace("SKIPPED: ", ""))
    bad = [result["name"] for result in run.results if result["status"] != "passed"]
    print(f"e2e: {len(run.results) - len(bad)} passed, {len(bad)} failed in {time.monotonic() - started:.0f} s"
          + (f": {', '.join(sorted(bad))}" if bad else ""), flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
