# SPDX-License-Identifier: Apache-2.0
"""What a change costs from the API server to the packet, on a node of 110 pods: `make bench`, first part. The peers were
measured the same way (reference: peers)."""
from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from statistics import median
from typing import Any

from cluster import Cluster, Failed
from machines import Broken, inside
from model import NODES, node_address
from provider import PORT, LibraryServer, Provider
from scenario import scenario

LOCAL = 110
RATE = 10000  # packets a second: what a time is told to is a tenth of a millisecond
ROUNDS = int(os.environ.get("E2E_ROUNDS") or 50)
CUT_ROUNDS = max(1, ROUNDS // 5)
HEAD = ("| pods / policies | start → enforced | RSS, peak | remote label → packet p50 / p99 | of it event → kernel p50 / p99"
        " | local policy → packet p50 / p99 | of it event → kernel p50 / p99 | CPU a label / policy event | 100 relabels: last"
        " in force, CPU, programs started | idle CPU in 5 s | with flows to cut: remote label → packet p50 / p99, CPU a label,"
        " flows cut by one |\n|---|---|---|---|---|---|---|---|---|---|---|")


class Writer:
    """One connection to the API server that is kept: kubectl would take longer than what is measured."""

    def __init__(self, server: Provider) -> None:
        context = ssl.create_default_context(cafile=str(server.ca_file))
        context.load_cert_chain(*map(str, server.admin_files))
        with inside(server.netns):
            self._connection = http.client.HTTPSConnection(server.addresses[4], PORT, timeout=10, context=context)
            self._connection.connect()

    def patch(self, path: str, change: dict[str, Any]) -> None:
        self._connection.request("PATCH", path, json.dumps(change), {"Content-Type": "application/merge-patch+json"})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise Broken(f"PATCH {path}: {answer.status} {body[:300]!r}")


class Watcher:
    """Packets from one pod to another, and when they begin to arrive and cease."""

    def __init__(self, c: Cluster, source: tuple[str, str], target: tuple[str, str], port: int) -> None:
        stream = str(c.build / "tests/tools/stream")
        self._events: Queue[tuple[str, int]] = Queue()
        self._watch = subprocess.Popen(["ip", "netns", "exec", target[0], stream, "watch", target[1], str(port)],
                                       stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self._read, daemon=True).start()
        self._send = subprocess.Popen(["ip", "netns", "exec", source[0], stream, "send", "new", source[1], target[1],
                                       str(port), str(RATE), "/dev/null"])

    def _read(self) -> None:
        assert self._watch.stdout
        for line in self._watch.stdout:
            word, when = line.split()
            self._events.put((word, int(when)))

    def wait(self, word: str, seconds: float = 20.0) -> int:
        """When packets began to come ("on") or ceased ("off"), after what was told before."""
        try:
            got, when = self._events.get(timeout=seconds)
        except Empty:
            raise Failed(f"packets were never {word} within {seconds:.0f} s") from None
        if got != word:
            raise Failed(f"packets are {got} where they must be {word}")
        return when

    def quiet(self) -> None:
        """Nothing is told, and nothing comes."""
        time.sleep(0.1)
        if not self._events.empty():
            raise Failed(f"packets are {self._events.get()[0]} before anything was allowed")

    def close(self) -> None:
        for process in (self._send, self._watch):
            process.terminate()
            process.wait()


@dataclass
class Latency:
    """Of some rounds, in milliseconds."""

    packet: list[float]
    kernel: tuple[float, float]
    cpu: float  # milliseconds an event

    def row(self) -> tuple[str, str]:
        return (f"{median(self.packet):.1f} / {_p99(self.packet):.1f} ms", f"{self.kernel[0]:.2f} / {self.kernel[1]:.2f} ms")


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * 99 // 100)]


def _buckets(c: Cluster) -> dict[float, float]:
    text = c.agents.get("n1", "/metrics")[1]
    found = re.findall(r'^netpold_propagation_seconds_bucket\{le="([^"]+)"\} (\S+)$', text, re.MULTILINE)
    return {float(bound.replace("+Inf", "inf")): float(count) for bound, count in found}


def _quantiles(before: dict[float, float], after: dict[float, float]) -> tuple[float, float]:
    """p50 and p99 in ms, within their bucket as if it were filled evenly."""
    counts = {bound: after[bound] - before.get(bound, 0) for bound in sorted(after)}
    total = max(counts.values(), default=0)
    result = []
    for part in (0.5, 0.99):
        low = passed = 0.0
        for bound, count in counts.items():
            if total and count >= total * part:
                width = (0 if bound == float("inf") else bound - low)
                result.append((low + width * (total * part - passed) / max(count - passed, 1e-9)) * 1000)
                break
            low, passed = bound, count
        else:
            result.append(0.0)
    return result[0], result[1]


def _rounds(c: Cluster, watcher: Watcher, change: Any, rounds: int) -> Latency:
    """Allowed and denied in turn; the time of both counts."""
    watcher.quiet()
    packet: list[float] = []
    before, cpu = _buckets(c), c.agents.cpu_seconds("n1")
    for number in range(rounds):
        for word in ("on", "off"):
            began = time.monotonic_ns()
            change(word == "on", number)
            packet.append((watcher.wait(word) - began) / 1e6)
            time.sleep(0.02)
    return Latency(packet, _quantiles(before, _buckets(c)), (c.agents.cpu_seconds("n1") - cpu) / (2 * rounds) * 1000)


def _children(pid: int) -> int:
    """Children that the daemon has waited for or has now: its children's CPU and their list."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(fields[13]) + int(fields[14]) + len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@contextlib.contextmanager
def _watching(c: Cluster, source: tuple[str, str], target: tuple[str, str], port: int) -> Iterator[Watcher]:
    watcher = Watcher(c, source, target, port)
    try:
        yield watcher
    finally:
        watcher.close()


def _measure(c: Cluster, pods: int, policies: int) -> str:
    assert isinstance(c.server, LibraryServer)
    nodes, namespaces = pods // LOCAL, 10
    c.server.load("--pods", str(pods), "--nodes", str(nodes), "--namespaces", str(namespaces), "--policies", str(policies),
                  "--apps", "10")
    # The first pod of the node is the one that is asked, the second node's first asks; both have real namespaces.
    index = max(8, (2 + (pods + nodes - 1) // nodes - 1).bit_length())
    remote = f"10.{(1 << index) >> 16 & 255}.{(1 << index) >> 8 & 255}.2"
    target = c.fabric.start_pod("bench-target", NODES[0], {4: "10.0.0.2"})
    source = c.fabric.start_pod("bench-source", NODES[1], {4: remote})
    for node, pod in ((NODES[0], source), (NODES[1], target)):
        subprocess.run(["ip", "-n", node, "route", "replace", f"{pod.addresses[4]}/32", "via",
                        node_address(pod.node, 4)], check=True)
    # Every pod of the node is isolated by one of these.
    rule = {"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"bench": "yes"}}}],
            "ports": [{"protocol": "UDP", "port": 7001}]}
    c.apply_raw([{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
                  "metadata": {"namespace": f"load-{number}", "name": "bench"},
                  "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [rule],
                           "egress": [{"to": [{"podSelector": {}}]}]}} for number in range(namespaces)])
    # Every packet is a flow of its own, so revocation has some 10,000 a second to cut and to free: measured apart.
    c.agents.start("--node-name", "node-0", "--sync-period", "1h", "--no-revoke", nodes=["n1"], ready=False)
    c.agents.wait_ready("n1", 180)
    enforced = re.findall(r"event=enforced .*since_start_ms=(\d+)", c.agents.log("n1", 10**9))
    if c.agents.metric("n1", "netpold_enforced_pods") < LOCAL:
        raise Broken("not every pod of the node is enforced")
    time.sleep(0.5)
    resident, peak = c.agents.resident_mib("n1"), c.agents.resident_mib("n1", peak=True)
    cpu = c.agents.cpu_seconds("n1")
    time.sleep(5)
    idle = c.agents.cpu_seconds("n1") - cpu
    writer = Writer(c.server)

    def label(on: bool, number: int = 0) -> None:
        del number
        writer.patch("/api/v1/namespaces/load-1/pods/pod-000001", {"metadata": {"labels": {"bench": "yes" if on else None}}})

    def port(on: bool, number: int) -> None:
        rules = [rule, {"ports": [{"protocol": "UDP", "port": 7002 if on else 8000 + number}]}]
        writer.patch("/apis/networking.k8s.io/v1/namespaces/load-0/networkpolicies/bench", {"spec": {"ingress": rules}})

    ends = ((source.netns, remote), (target.netns, "10.0.0.2"))
    with _watching(c, *ends, 7001) as watcher:
        labels = _rounds(c, watcher, label, ROUNDS)
        burst = _burst(c, writer, watcher, pods, nodes)
    with _watching(c, *ends, 7002) as watcher:
        ports = _rounds(c, watcher, port, ROUNDS)
    c.agents.stop()
    cutting = _cutting(c, ends, label)
    c.fabric.stop_pod(source)
    c.fabric.stop_pod(target)
    start = f"{int(enforced[-1]) / 1000:.2f} s" if enforced else "?"
    return (f"| {pods:,} / {policies:,} | {start} | {resident:.0f}, {peak:.0f} MiB | {' | '.join(labels.row())} | "
            f"{' | '.join(ports.row())} | {labels.cpu:.2f} / {ports.cpu:.2f} ms | {burst} | {idle:.2f} s | {cutting} |")


def _cutting(c: Cluster, ends: Any, label: Any) -> str:
    """The same labels with revocation: its rule comes once, and stays while flows are cut and freed."""
    c.agents.start("--node-name", "node-0", "--sync-period", "1h", nodes=["n1"], ready=False)
    c.agents.wait_ready("n1", 180)
    with _watching(c, *ends, 7001) as watcher:
        _rounds(c, watcher, label, 1)
        time.sleep(1)
        commits, cut = (c.agents.metric("n1", f"netpold_{name}_total") for name in ("table_commits", "revoked_flows"))
        labels = _rounds(c, watcher, label, CUT_ROUNDS)
        time.sleep(1)
        if c.agents.metric("n1", "netpold_table_commits_total") != commits:
            raise Failed("labels of pods elsewhere made netpold commit a table, with revocation")
        cut = c.agents.metric("n1", "netpold_revoked_flows_total") - cut
    c.agents.stop()
    return f"{labels.row()[0]}, {labels.cpu:.0f} ms, {cut / CUT_ROUNDS:,.0f}"


def _burst(c: Cluster, writer: Writer, watcher: Watcher, pods: int, nodes: int) -> str:
    """100 pods of other nodes get a label within a second; the last of them is the one whose packets are seen."""
    names = [(number, f"load-{(number + number // nodes) % 10}") for number in range(pods) if number % nodes > 1][:99]
    pid, cpu = c.agents.pid("n1"), c.agents.cpu_seconds("n1")
    children = _children(pid)
    commits = c.agents.metric("n1", "netpold_table_commits_total")
    for number, namespace in names:
        writer.patch(f"/api/v1/namespaces/{namespace}/pods/pod-{number:06}", {"metadata": {"labels": {"bench": "yes"}}})
    began = time.monotonic_ns()
    writer.patch("/api/v1/namespaces/load-1/pods/pod-000001", {"metadata": {"labels": {"bench": "yes"}}})
    took = (watcher.wait("on") - began) / 1e6
    time.sleep(0.2)
    spent = (c.agents.cpu_seconds("n1") - cpu) * 1000
    writer.patch("/api/v1/namespaces/load-1/pods/pod-000001", {"metadata": {"labels": {"bench": None}}})
    watcher.wait("off")
    if c.agents.metric("n1", "netpold_table_commits_total") != commits:
        raise Failed("labels of pods elsewhere made netpold commit a table")
    return f"{took:.1f} ms, {spent:.0f} ms, {_children(pid) - children}"


@scenario("bench", "from the API server to the packet: 110 pods on the node, 1,000 pods and 100 policies, 10,000 and 1,000",
          agents=False, providers=("library",), on_disk=True, bench=True, seconds=200)
def bench(c: Cluster) -> None:
    rows = []
    for pods, policies in ((1000, 100), (10000, 1000)):
        rows.append(_measure(c, pods, policies))
        c.note(rows[-1])
    if os.environ.get("E2E_MARKDOWN"):
        Path(os.environ["E2E_MARKDOWN"]).write_text("\n".join([HEAD, *rows, ""]), encoding="utf-8")
