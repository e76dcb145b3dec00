# SPDX-License-Identifier: Apache-2.0
"""Large clusters: how long the first look takes, what it costs, and that a snapshot of it says the same."""
from __future__ import annotations

import datetime
import os
import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from cluster import Cluster, Failed
from machines import Broken, inside
from model import expression, match_labels, policy
from provider import LibraryServer, Options
from request_log import KINDS
from scenario import scenario
from scenarios_load import http_option
from scenarios_tools import compare_snapshot

HEAD = ("| whole collections by | HTTP | pods | first request → synced | → enforced | CPU of netpold | RSS, at most | "
        "requests | received |\n|---|---|---:|---:|---:|---:|---:|---:|---:|")


@dataclass
class Measure:
    """One start of one netpold."""

    way: str
    proto: str
    pods: int
    synced: float     # seconds since its first request for a collection
    enforced: float   # the same until the kernel held the rules
    cpu: float
    resident: float   # MiB
    peak: float
    requests: int
    bytes: int

    def row(self) -> str:
        return (f"| {self.way} | {self.proto} | {self.pods:,} | {self.synced:.2f} s | {self.enforced:.2f} s | "
                f"{self.cpu:.2f} s | {self.resident:.0f} MiB, {self.peak:.0f} MiB | {self.requests} | "
                f"{self.bytes / 1e6:.1f} MB |")


def _start(c: Cluster, version: str) -> Measure:
    """netpold on n1, until it is ready."""
    mark, received = c.server.log.mark(), _received("n1")
    before = c.agents.log("n1", 10**9).count("event=enforced")
    c.agents.start(*http_option(c, version), nodes=["n1"], ready=False)
    c.agents.wait_ready("n1", 180)
    # What it does in the same breath still counts.
    cpu = -1.0
    while c.agents.cpu_seconds("n1") != cpu:
        cpu = c.agents.cpu_seconds("n1")
        time.sleep(0.2)
    received = _received("n1") - received
    text = c.agents.log("n1", 10**9)
    synced = re.findall(r"^time=(\S+) \S+ event=synced ", text, re.MULTILINE)
    enforced = re.findall(r"^time=(\S+) \S+ event=enforced ", text, re.MULTILINE)
    if not synced or len(enforced) != before + 1:
        raise Broken(f"the log of netpold does not tell when it was in step\n{c.agents.log('n1')}")
    seen = c.requests(mark, ["n1"])
    whole = [one for one in seen if one.resource in KINDS and (one.initial or "continue" in one.query)]
    for kind in KINDS:
        count = len(seen.initial(kind, served=True))
        if count != 1:
            raise Failed(f"all {kind} were read {count} times\n{seen.lines()}")
    ways = {("WatchList" if one.verb == "watch" else "paged list") for one in whole if one.status in (0, 200)}
    first = min(one.time for one in whole)
    pods = int(c.agents.metric("n1", "netpold_objects", 'resource="pods"'))
    return Measure(" and ".join(sorted(ways)), " and ".join(sorted({one.proto for one in whole})), pods,
                   _clock(synced[-1]) - first, _clock(enforced[-1]) - first, cpu, c.agents.resident_mib("n1"),
                   c.agents.resident_mib("n1", peak=True), len(seen), received)


def _received(netns: str) -> int:
    """Bytes that came over a node's wire."""
    with inside(netns):
        lines = Path("/proc/thread-self/net/dev").read_text(encoding="ascii").splitlines()
    return next(int(line.split(":")[1].split()[0]) for line in lines if line.strip().startswith("eth0:"))


def _clock(stamp: str) -> float:
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def _events(c: Cluster, pods: int, nodes: int, namespaces: int) -> str:
    """Every pod is written once more with nothing in it that rules depend on: what an event costs."""
    assert isinstance(c.server, LibraryServer)
    cpu = c.agents.cpu_seconds("n1")
    before = c.agents.metric("n1", "netpold_watch_events_total", 'resource="pods"')
    commits = c.agents.metric("n1", "netpold_table_commits_total")
    started = time.monotonic()
    _fill(c.server, pods, nodes, namespaces, 0, "--generation", "1")
    c.until("all events came", lambda: c.agents.metric("n1", "netpold_watch_events_total", 'resource="pods"') - before
            >= pods * 0.999, 240)
    spent = c.agents.cpu_seconds("n1") - cpu
    if c.agents.metric("n1", "netpold_table_commits_total") != commits:
        raise Failed("events that change nothing made netpold write to the kernel")
    return (f"{pods:,} pod updates that change nothing for policy, in {time.monotonic() - started:.1f} s: "
            f"{spent / pods * 1e6:.1f} µs of CPU for each, RSS {c.agents.resident_mib('n1'):.0f} MiB after it")


def _fill(server: LibraryServer, pods: int, nodes: int, namespaces: int, policies: int, *more: str) -> str:
    return server.load("--pods", str(pods), "--nodes", str(nodes), "--namespaces", str(namespaces), "--policies",
                       str(policies), "--dual-stack", *more).strip()


def _scale(c: Cluster, pods: int, nodes: int, namespaces: int, policies: int) -> None:
    assert isinstance(c.server, LibraryServer)
    # Some policies of a node's own whose peers are many pods of the whole cluster.
    c.put(policy("x", "many", ingress=[{"from": [{"namespaceSelector": {}, "podSelector": match_labels(app="app-3")}]}]),
          policy("x", "tier", ingress=[{"from": [{"namespaceSelector": {"matchExpressions": [
              expression("kubernetes.io/metadata.name", "NotIn", "x")["matchExpressions"][0]]},
              "podSelector": match_labels(tier="cache")}]}]))
    wrote = _fill(c.server, pods, nodes, namespaces, policies)
    version = c.server.get("/version")[1]
    rows = []
    for watch_list in (True, False):
        if not watch_list:
            c.server.stop()
            c.server.start(replace(c.server.options, watch_list=False))
        for http in ("1.1", "2") if http_option(c, "2") else ("",):
            rows.append(_start(c, http))
            if rows[-1].pods < pods:
                raise Failed(f"netpold knows {rows[-1].pods} pods of {pods}")
            if watch_list and http == "1.1" or not http:
                events = _events(c, pods, nodes, namespaces)
            c.agents.stop()
    c.server.stop()
    c.server.start(replace(c.server.options, watch_list=True))
    kubeconfig = c.agents.kubeconfigs["n1"]
    snapshot = c.work / "snapshot.yaml"
    started = time.monotonic()
    c.ctl("snapshot", "-o", str(snapshot), "--kubeconfig", str(kubeconfig))
    took = time.monotonic() - started
    node = f"node-{nodes - 1}"
    namespace = [f"load-{number}" for number in range(min(namespaces, 3))]
    queries = [{"from": f"{namespace[0]}/{_pod(0)}", "to": _address(nodes, 1), "protocol": "TCP", "port": 8080}]
    queries += [{"from": _address(nodes, number * 7 % pods), "to": _address(nodes, number * 11 % pods),
                 "protocol": "TCP" if number % 2 else "UDP", "port": 8080 if number % 2 else 53, "family": 4}
                for number in range(200)]
    compare_snapshot(c, node, kubeconfig, snapshot, queries)
    size = snapshot.stat().st_size
    note = f"snapshot of {size / 1e6:.1f} MB in {took:.1f} s; render, check and verify with it say what the cluster says"
    table = "\n".join([HEAD, *(row.row() for row in rows), "", events + ".", "", note + "."])
    c.note(f"{wrote}; synced after {rows[0].synced:.1f} s ({rows[0].way}, peak {rows[0].peak:.0f} MiB); {events}; {note}")
    if os.environ.get("E2E_MARKDOWN"):
        Path(os.environ["E2E_MARKDOWN"]).write_text(_page(table, version.decode(errors="replace")), encoding="utf-8")


def _page(table: str, version: str) -> str:
    found = re.search(r'"gitVersion": *"([^"]*)"', version)
    name = found.group(1) if found else "unknown version"
    return f"API server: tests/apiserver, {name}, {os.cpu_count()} processors.\n\n{table}\n"


def _pod(number: int) -> str:
    return f"pod-{number:06}"


def _address(nodes: int, number: int) -> str:
    """The address of a pod that `apiserver load` made; 256 addresses a node."""
    node, slot = number % nodes, number // nodes
    return f"10.{node >> 8 & 255}.{node & 255}.{2 + slot}"


@scenario("scale", "3,000 pods: the first look by WatchList and by pages, events that change nothing, a snapshot",
          agents=False, providers=("library",), seconds=40)
def scale(c: Cluster) -> None:
    _scale(c, 3000, 40, 50, 100)


@scenario("scale-100k", "the same with $E2E_PODS (100,000) pods, a node and a policy for each hundred", agents=False,
          providers=("library",), on_disk=True, scale=True, options=Options(), seconds=300)
def scale_100k(c: Cluster) -> None:
    pods = int(os.environ.get("E2E_PODS") or 100_000)
    _scale(c, pods, max(pods // 100, 10), max(pods // 200, 10), max(pods // 100, 10))
