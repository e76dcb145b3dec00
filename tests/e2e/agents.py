# SPDX-License-Identifier: Apache-2.0
"""netpold on the nodes of the cluster, fed by the API server; each node has a kubeconfig and a run directory of its own."""
from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from daemons import Daemons
from machines import Broken
from model import NODES

READY_SECONDS = 30.0


class Agents(Daemons):
    """The daemons of the conformance suite with another source. Kubeconfigs may be replaced between starts."""

    def __init__(self, netpold: Path, work: Path, kubeconfigs: dict[str, Path]) -> None:
        super().__init__(netpold, work)
        self.kubeconfigs = kubeconfigs
        self.environment: dict[str, dict[str, str]] = {}  # more variables, by node
        for node in NODES:
            (work / f"netpold.{node}.log").touch()

    def _command(self, node: str, *arguments: str) -> list[str]:
        """Without a kubeconfig: as a pod of the cluster."""
        source = ["--kubeconfig", str(self.kubeconfigs[node])] if node in self.kubeconfigs else []
        return ["ip", "netns", "exec", node, str(self.netpold), "--node-name", node, *source, *self.options, *arguments]

    def _environment(self, node: str) -> dict[str, str]:
        return {**super()._environment(node), **self.environment.get(node, {})}

    def start(self, *options: str, nodes: Iterable[str] = NODES, ready: bool = True) -> None:
        self.options = options
        for node in nodes:
            with open(self.work / f"netpold.{node}.log", "ab") as log:
                self._running[node] = subprocess.Popen(self._command(node), env=self._environment(node), stdout=log,
                                                       stderr=log, stdin=subprocess.DEVNULL)
        if ready:
            for node in nodes:
                self.wait_ready(node)

    def wait_ready(self, node: str, seconds: float = READY_SECONDS) -> None:
        until = time.monotonic() + seconds
        while self.get(node, "/readyz")[0] != 200:
            self.alive(node)
            if time.monotonic() > until:
                raise Broken(f"netpold on {node} does not become ready: {self.get(node, '/readyz?verbose')[1].strip()}"
                             f"\n{self.log(node)}")
            time.sleep(0.02)

    def once(self, node: str, *options: str, timeout: float = 90.0) -> subprocess.CompletedProcess[str]:
        """A pass of its own: `netpold --once` with options, as a timer starts it."""
        return subprocess.run(self._command(node, "--once", *options), env=self._environment(node),
                              capture_output=True, text=True, check=False, timeout=timeout)

    def once_by_hand(self, node: str, timeout: float = 90.0) -> int:
        """The same with a terminal for its errors: it does not wait for its turn. Its exit code."""
        ours, terminal = os.openpty()
        try:
            return subprocess.run(self._command(node, "--once"), env=self._environment(node), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.DEVNULL, stderr=terminal, check=False, timeout=timeout).returncode
        finally:
            os.close(ours)
            os.close(terminal)

    def signal(self, node: str, which: signal.Signals) -> None:
        self._running[node].send_signal(which)

    def pid(self, node: str) -> int:
        return self._running[node].pid

    def kill_one(self, node: str) -> None:
        """As a crash of the daemon: its rules stay."""
        daemon = self._running.pop(node)
        daemon.kill()
        daemon.wait()

    def stop_one(self, node: str) -> None:
        """End one as its manager does."""
        daemon = self._running.pop(node)
        daemon.send_signal(signal.SIGTERM)
        if daemon.wait(READY_SECONDS) != 0:
            raise Broken(f"netpold on {node} ended with {daemon.returncode}\n{self.log(node)}")

    def running(self) -> list[str]:
        """Nodes whose daemon was started and has not been stopped."""
        return list(self._running)

    def metric(self, node: str, name: str, labels: str = "") -> float:
        """The sum over all samples of a metric whose labels contain this text; Broken when there is none."""
        status, text = self.get(node, "/metrics")
        values = [float(match.group(2)) for match in
                  re.finditer(rf"^{re.escape(name)}(\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
                  if labels in (match.group(1) or "")]
        if status != 200 or not values:
            raise Broken(f"netpold on {node} shows no metric {name}{{{labels}}} (status {status})")
        return sum(values)

    def resident_mib(self, node: str, peak: bool = False) -> float:
        """Memory of the daemon, now or at most."""
        text = Path(f"/proc/{self.pid(node)}/status").read_text(encoding="ascii")
        found = re.search(rf"^{'VmHWM' if peak else 'VmRSS'}:\s+(\d+) kB", text, re.MULTILINE)
        if not found:
            raise Broken(f"/proc shows no memory of netpold on {node}")
        return int(found.group(1)) / 1024

    def cpu_seconds(self, node: str) -> float:
        """User and system time of the daemon so far."""
        fields = Path(f"/proc/{self.pid(node)}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
