# SPDX-License-Identifier: Apache-2.0
"""Many agents at once, and servers that have too much to do."""
from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from cluster import Cluster, Failed
from machines import Broken, command, ip_batch
from model import NODES, policy
from provider import LibraryServer, Options, Token, new_token
from request_log import KINDS, Requests
from scenario import scenario
from scenarios_follow import from_namespace
from scenarios_outages import RECONNECT_SECONDS, _base, _flip

FLEET = 20


class Fleet:
    """More nodes, with a daemon each and no pods: a namespace, an address, a run directory."""

    def __init__(self, c: Cluster, count: int) -> None:
        self.c = c
        self.names = [f"m{number:02}" for number in range(count)]
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        c.put(*({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
                 "spec": {"podCIDRs": [f"10.244.{100 + number}.0/24"]},
                 "status": {"addresses": [{"type": "InternalIP", "address": self.address(name)}]}}
                for number, name in enumerate(self.names)), wire=False)
        for name in self.names:
            command("ip", "netns", "add", name)
            command("ip", "-n", "fabric", "link", "add", f"p-{name}", "type", "veth", "peer", "name", "eth0", "netns",
                    name)
            command("ip", "-n", "fabric", "link", "set", f"p-{name}", "master", "br0", "up")
            ip_batch(name, ["link set lo up", f"addr add {self.address(name)}/24 dev eth0", "link set eth0 up"])
            (c.work / f"run.{name}").mkdir()

    def address(self, name: str) -> str:
        return f"192.168.50.{20 + int(name[1:])}"

    def start(self) -> None:
        for name in self.names:
            with open(self.c.work / f"netpold.{name}.log", "ab") as log:
                self._running[name] = subprocess.Popen(
                    ["ip", "netns", "exec", name, str(self.c.agents.netpold), "--node-name", name, "--kubeconfig",
                     str(self.c.agents.kubeconfigs["n1"])], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                    env={**os.environ, "NETPOLD_RUN_DIR": str(self.c.work / f"run.{name}"),
                         "XTABLES_LOCKFILE": str(self.c.work / f"xtables.{name}")})

    def ready(self, name: str) -> bool:
        if self._running[name].poll() is not None:
            raise Failed(f"netpold on {name} ended\n{self.log(name)}")
        return self.c.agents.get(name, "/readyz")[0] == 200

    def log(self, name: str) -> str:
        text = (self.c.work / f"netpold.{name}.log").read_text("utf-8", "replace")
        return "\n".join(text.splitlines()[-10:])

    def requests(self, mark: int) -> Requests:
        return self.c.server.log.since(mark, {self.address(name) for name in self.names})

    def stop(self) -> None:
        for daemon in self._running.values():
            daemon.send_signal(signal.SIGTERM)
        for daemon in self._running.values():
            daemon.wait(30)


@scenario("fleet", f"{FLEET} more nodes start at once, lose the server at once, and come back", seconds=50)
def fleet(c: Cluster) -> None:
    _base(c)
    many = Fleet(c, FLEET)
    try:
        mark = c.server.log.mark()
        started = time.monotonic()
        many.start()
        c.until("all are ready", lambda: all(many.ready(name) for name in many.names), 60)
        start_took = time.monotonic() - started
        c.until("all are watching", lambda: all(_watches(many, name, mark) for name in many.names), 30)
        first = many.requests(mark)
        _each_once(many, first, "start")
        mark = c.server.log.mark()
        c.server.crash()
        c.hold("the server is gone")
        c.server.start()
        came = time.time()
        c.until("all watch again", lambda: all(_watches(many, name, mark) for name in many.names), 60)
        back = many.requests(mark)
        for name in many.names:
            mine = back.where(lambda one, name=name: one.client == many.address(name))
            for kind in KINDS:
                if len(mine.initial(kind, served=True)) > 1:
                    raise Failed(f"{name} read all {kind} again and again\n{mine.lines()}")
            if mine.busiest()[0] > 16:
                raise Failed(f"{name} hurries\n{mine.lines()}")
        # Nobody may come in the very moment that everybody comes.
        busiest = max(back.histogram(0.1))
        if busiest > len(back) / 3:
            raise Failed(f"{busiest} of {len(back)} requests came within a tenth of a second: {back.histogram(0.1)}")
        _flip(c, "z", "with all of them watching", RECONNECT_SECONDS)
        c.note(f"ready after {start_took:.1f} s with {len(first)} requests, at most {max(first.histogram())} a second; "
               f"after the crash {len(back)}, at most {max(back.histogram())} a second, all back "
               f"{max(one.time for one in back) - came:.1f} s after it")
    finally:
        many.stop()


def _each_once(many: Fleet, seen: Requests, why: str) -> None:
    for name in many.names:
        mine = seen.where(lambda one, name=name: one.client == many.address(name))
        for kind in KINDS:
            if len(mine.initial(kind, served=True)) != 1:
                raise Failed(f"{why}: {name} read all {kind} {len(mine.initial(kind, served=True))} times\n"
                             f"{mine.lines()}")


def _watches(many: Fleet, name: str, mark: int) -> bool:
    """Every kind has an open watch."""
    mine = many.requests(mark).where(lambda one: one.client == many.address(name) and one.verb == "watch")
    return {one.resource for one in mine if one.seconds is None and one.status in (0, 200)} >= set(KINDS)


LOADER = "e2e-loader"


@contextmanager
def _load(c: Cluster, kubeconfig: Path, workers: int) -> Iterator[list[int]]:
    """Lists of all pods in a circle, by kubectl in the outside host; yields a list with the number of lists."""
    stop = threading.Event()
    done = [0]

    def work() -> None:
        while not stop.is_set():
            c.run("out", str(c.server.kubectl_path), "--kubeconfig", str(kubeconfig), "get", "--raw", "/api/v1/pods",
                  env={**os.environ, "HOME": str(c.server.home)})
            done[0] += 1

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@scenario("overload", "the server takes one request at a time, and others ask all the time: 429", agents=False,
          options=Options(max_inflight=1, watch_list=False), providers=("library",), seconds=40)
def overload(c: Cluster) -> None:
    # Read paged, so that each page has to get through: a WatchList is one request that is not counted.
    token = new_token()
    c.server.set_tokens([*c.server.tokens, Token(token, LOADER)])
    c.server.set_rules(LOADER, [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])
    assert isinstance(c.server, LibraryServer)
    c.server.load("--pods", "2000", "--nodes", "40", "--namespaces", "10")
    loader = c.agent_kubeconfig("loader", {"token": token})
    mark = c.server.log.mark()
    with _load(c, loader, 2) as lists:
        c.until("the load has begun", lambda: lists[0] >= 2)
        started = time.monotonic()
        c.agents.start(ready=False)
        # Not each of them: one whose few requests all fall between two of the others' is never told.
        c.until("agents are told to wait", lambda: any(c.requests(mark, [node]).statuses()[429] for node in NODES), 60)
    for node in NODES:
        c.agents.wait_ready(node, 90)
    took = time.monotonic() - started
    seen = c.requests(mark)
    _polite(seen)
    _base(c)
    # A page that is refused may make a list begin anew.
    c.budget("start under load", mark, {kind: (1, 4 if kind == "pods" else 1) for kind in KINDS}, failed=20,
             sustained=60)
    # The same server with time for everybody.
    c.server.stop()
    c.server.start(replace(c.server.options, max_inflight=None))
    _flip(c, "z", "and it has time again", RECONNECT_SECONDS)
    c.note(f"ready after {took:.1f} s, {seen.statuses()[429]} times 429, {lists[0]} lists of others")


def _polite(seen: Requests) -> None:
    """After a 429 with Retry-After: 1 the same is not asked for a second."""
    last: dict[tuple[str, str], float] = {}
    for one in sorted(seen, key=lambda one: one.time):
        key = (one.client, one.path)
        if key in last and one.time - last[key] < 0.95:
            raise Failed(f"asked again {one.time - last[key]:.2f} s after a 429:\n{one.line()}")
        if one.status == 429:
            last[key] = one.time + (one.seconds or 0)
        else:
            last.pop(key, None)


@scenario("goaway", "HTTP/2 connections are asked to end now and then", agents=False, options=Options(goaway=0.02),
          seconds=25)
def goaway(c: Cluster) -> None:
    c.put(policy("x", "web", ingress=from_namespace(ns="y")))
    option = http_option(c, "2")
    mark = c.server.log.mark()
    c.agents.start(*option)
    c.expect("over HTTP/2", allow=[("y/a", "x/a")], deny=[("z/a", "x/a")])
    # Enough requests that many connections end; each of these programs must see nothing of it.
    turns = 20
    bad: list[str] = []

    def work(node: str) -> None:
        for _ in range(turns):
            done = c.agents.once(node, "--dry-run", *option)
            if done.returncode != 0:
                bad.append(f"exit {done.returncode}: {(done.stdout + done.stderr).strip()[-500:]}")
    threads = [threading.Thread(target=work, args=(node,), daemon=True) for node in NODES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if bad:
        raise Failed(f"{len(bad)} of {turns * len(NODES)} runs failed: {bad[0]}")
    seen = c.requests(mark)
    c.hold("after them")
    _flip(c, "z", "and it is followed", RECONNECT_SECONDS)
    protos = sorted({one.proto for one in seen if one.proto})
    if option and protos and protos != ["HTTP/2.0"]:
        raise Failed(f"asked by {protos}, wanted HTTP/2")
    connections = {one.connection for one in seen if one.connection}
    ended = len(connections) - turns * len(NODES) - len(NODES)
    if connections and ended <= 0:
        raise Broken(f"no connection was asked to end: {len(connections)} connections")
    c.note(f"{len(seen)} requests by {' and '.join(protos) or 'HTTP'}, {turns * len(NODES)} passes of netpold --once"
           + (f", {ended} connections more than needed" if connections else ""))


def http_option(c: Cluster, version: str) -> tuple[str, ...]:
    """netpold's option for an HTTP version, () when it has none."""
    said = subprocess.run([str(c.agents.netpold), "--help"], capture_output=True, text=True, check=False).stdout
    return ("--http-version", version) if "--http-version " in said else ()
