# SPDX-License-Identifier: Apache-2.0
"""netpold on every node of a world, fed by a state directory.

Each node has a run directory and an xtables lock of its own, as real nodes have. Whether a node is in step is asked
from a second netpold, which only looks: `--once --dry-run` compiles the state from scratch and compares it with the
kernel.
"""
from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from machines import Broken, command, inside
from model import NODES, Object

METRICS_PORT = 9469
SETTLE_SECONDS = 15.0


class Daemons:
    """The daemons, and the directory that they watch."""

    def __init__(self, netpold: Path, work: Path) -> None:
        self.netpold = netpold
        self.work = work
        self.state = work / "state"
        self.state.mkdir()
        self.options: tuple[str, ...] = ()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._written: dict[str, str] = {}
        for node in NODES:
            (work / f"run.{node}").mkdir()

    def write(self, name: str, objects: list[Object]) -> None:
        """A file of the state directory, renamed into place as a whole; not touched when it says the same already."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}, indent=1) + "\n"
        if self._written.get(name) == text:
            return
        draft = self.work / "draft.json"
        draft.write_text(text, encoding="utf-8")
        draft.rename(self.state / name)
        self._written[name] = text

    def _environment(self, node: str) -> dict[str, str]:
        return {**os.environ, "NETPOLD_RUN_DIR": str(self.work / f"run.{node}"),
                "XTABLES_LOCKFILE": str(self.work / f"xtables.{node}")}

    def _command(self, node: str, *arguments: str) -> list[str]:
        return ["ip", "netns", "exec", node, str(self.netpold), "--node-name", node, "--state", str(self.state),
                *self.options, *arguments]

    def start(self, *options: str) -> None:
        self.options = options
        for node in NODES:
            with open(self.work / f"netpold.{node}.log", "ab") as log:
                self._running[node] = subprocess.Popen(self._command(node), env=self._environment(node), stdout=log,
                                                       stderr=log, stdin=subprocess.DEVNULL)
        until = time.monotonic() + SETTLE_SECONDS
        for node in NODES:
            while self.get(node, "/readyz")[0] != 200:
                self.alive(node)
                if time.monotonic() > until:
                    raise Broken(f"netpold on {node} does not become ready\n{self.log(node)}")
                time.sleep(0.02)

    def stop(self) -> None:
        """End all of them; what they programmed stays, as it does when a real one ends."""
        for daemon in self._running.values():
            daemon.send_signal(signal.SIGTERM)
        for node, daemon in self._running.items():
            try:
                code = daemon.wait(SETTLE_SECONDS)
            except subprocess.TimeoutExpired:
                daemon.kill()
                raise Broken(f"netpold on {node} does not stop\n{self.log(node)}") from None
            if code != 0:
                raise Broken(f"netpold on {node} ended with {code}\n{self.log(node)}")
        self._running.clear()

    def kill(self) -> None:
        """End what is left, however it feels about it."""
        for daemon in self._running.values():
            daemon.kill()
            daemon.wait()
        self._running.clear()

    def alive(self, node: str) -> None:
        daemon = self._running[node]
        if daemon.poll() is not None:
            raise Broken(f"netpold on {node} ended with {daemon.returncode}\n{self.log(node)}")

    def settle(self) -> None:
        """Wait until each kernel holds what the state directory asks for."""
        until = time.monotonic() + SETTLE_SECONDS
        waiting = list(NODES)
        while True:
            looks = {node: subprocess.Popen(self._command(node, "--once", "--dry-run"), env=self._environment(node),
                                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
                     for node in waiting}
            said = {node: look.communicate()[0] for node, look in looks.items()}
            waiting = [node for node, look in looks.items() if look.returncode != 0]
            if not waiting:
                return
            for node in waiting:
                self.alive(node)
            if time.monotonic() > until:
                node = waiting[0]
                raise Broken(f"netpold on {node} does not get in step; what a dry run finds to do (exit "
                             f"{looks[node].returncode}):\n{said[node][:2000]}\n{self.log(node)}")
            time.sleep(0.005)

    def cleanup(self) -> None:
        """Remove what netpold programmed; the daemons must have stopped."""
        for node in NODES:
            done = subprocess.run(self._command(node, "--cleanup"), env=self._environment(node), capture_output=True,
                                  text=True, check=False)
            if done.returncode != 0:
                raise Broken(f"netpold --cleanup on {node}: exit {done.returncode}: {done.stderr.strip()}")

    def get(self, node: str, path: str) -> tuple[int, str]:
        """GET from a daemon's HTTP server: status (0 when it cannot be reached) and body."""
        with inside(node):
            connection = http.client.HTTPConnection("127.0.0.1", METRICS_PORT, timeout=5)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read().decode()
            except OSError:
                return 0, ""
            finally:
                connection.close()

    def log(self, node: str, lines: int = 15) -> str:
        return "\n".join(self._log(node)[-lines:])

    def _log(self, node: str) -> list[str]:
        return (self.work / f"netpold.{node}.log").read_text(encoding="utf-8", errors="replace").splitlines()

    def complaints(self) -> list[str]:
        """What a sanitizer build said, if it did."""
        return [f"{node}: {line}" for node in NODES for line in self._log(node)
                if "Sanitizer" in line or "runtime error:" in line]


def check_queries(netpolctl: Path, state: Path, queries: list[dict[str, Any]]) -> list[str]:
    """What `netpolctl check` says to each query: allow, deny, unknown, or "error: …"."""
    done = command(str(netpolctl), "check", "-f", str(state), "--queries", "-", check=False,
                   stdin="".join(json.dumps(query) + "\n" for query in queries))
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    # 4: a part of the state could not be read, and all the same every question was answered.
    if done.returncode not in (0, 4) or len(answers) != len(queries):
        raise Broken(f"netpolctl check: exit {done.returncode}, {len(answers)} answers to {len(queries)} queries: "
                     f"{done.stderr.strip()[:500]}")
    return [answer.get("verdict") or f"error: {answer.get('error')}" for answer in answers]
