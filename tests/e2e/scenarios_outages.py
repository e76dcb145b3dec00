# SPDX-License-Identifier: Apache-2.0
"""The API server goes away and comes back, in many ways. Rules stay; what changes afterwards is followed."""
from __future__ import annotations

import time
from dataclasses import replace

from cluster import Cluster, Failed
from machines import Broken, command
from model import NODES, match_labels, policy
from provider import Options
from request_log import KINDS
from scenario import scenario
from scenarios_follow import from_namespace

# A client tries anew after 0.8 to 1.6 s, and waits twice as long after each failure, 30 to 60 s at most.
RECONNECT_SECONDS = 20.0


def _base(c: Cluster) -> None:
    c.put(policy("x", "web", ingress=from_namespace(ns="y")))
    c.expect("a policy", allow=[("y/a", "x/a")], deny=[("z/a", "x/a")])


def _flip(c: Cluster, namespace: str, why: str, seconds: float) -> float:
    """One change, and how long until it is followed."""
    other = "z" if namespace == "y" else "y"
    c.put(policy("x", "web", ingress=from_namespace(ns=namespace)))
    return c.expect(why, allow=[(f"{namespace}/a", "x/a")], deny=[(f"{other}/a", "x/a")], seconds=seconds)


def _refused_bound(c: Cluster, before: int, seconds: float, why: str) -> int:
    """Four kinds on three nodes, each doubling its pauses; other connections that end hard are few."""
    tries = 2
    pause = 0.8
    while seconds > 0:
        seconds, pause, tries = seconds - pause, min(pause * 2, 30), tries + 1
    most = len(NODES) * len(KINDS) * tries
    refused = c.fabric.refused() - before
    if refused > most:
        raise Failed(f"{why}: {refused} connections were tried in vain, at most {most} are wanted")
    return refused


@scenario("restart", "the API server is restarted; watches go on where they ended", options=Options(watch_cache=False))
def restart(c: Cluster) -> None:
    # Without a watch cache all of etcd's history is there, so nothing need be read again.
    c.budget("start", c.start_mark, 1, failed=4)
    _base(c)
    mark = c.server.log.mark()
    took = []
    for turn in range(3):
        before = c.fabric.refused()
        c.server.stop()
        came, down = c.server.log.mark(), time.monotonic()
        c.hold("the API server is down", 1.5)
        c.server.start()
        _refused_bound(c, before, time.monotonic() - down, "restart")
        took.append(_flip(c, "yz"[(turn + 1) % 2], f"a change at once after restart {turn + 1}", RECONNECT_SECONDS))
        c.watching("a restart", came)
    seen = c.budget("restarts", mark, 0)
    for node in NODES:
        for kind in KINDS:
            resumed = len(c.requests(mark, [node]).resumed(kind))
            if not 3 <= resumed <= 9:
                raise Failed(f"{node} resumed the watch of {kind} {resumed} times in 3 restarts\n{seen.lines()}")
    c.note(f"followed after {max(took):.1f} s at most")


@scenario("restart-cached", "the same with a watch cache, which forgets: at most one list of a kind for each restart")
def restart_cached(c: Cluster) -> None:
    _base(c)
    mark = c.server.log.mark()
    for turn in range(2):
        c.server.stop()
        came = c.server.log.mark()
        c.hold("the API server is down")
        c.server.start()
        _flip(c, "yz"[(turn + 1) % 2], f"a change at once after restart {turn + 1}", RECONNECT_SECONDS)
        c.watching("a restart", came)
    seen = c.budget("restarts", mark, {kind: (0, 2) for kind in KINDS})
    c.note(f"{len(seen.initial())} lists of 24 possible ones in 2 restarts")


@scenario("crash", "API server and etcd are killed and stay away for long; a daemon dies meanwhile", kind="bridged",
          seconds=45)
def crash(c: Cluster) -> None:
    _base(c)
    mark = c.server.log.mark()
    before, started = c.fabric.refused(), time.monotonic()
    c.server.crash_all()
    c.hold("API server and etcd are killed", 2.0)
    # A node whose daemon starts during the outage leaves the rules alone and says that it is not ready.
    c.agents.kill_one("n1")
    c.hold("the daemon of n1 is killed, too")
    c.agents.start(nodes=["n1"], ready=False)
    c.until("the daemon of n1 serves", lambda: c.agents.get("n1", "/livez")[0] == 200)
    c.hold("it is started again, and cannot ask", 8.0)
    status, text = c.agents.get("n1", "/readyz?verbose")
    if status == 200:
        raise Failed(f"n1 says that it is ready, and has read nothing:\n{text}")
    refused = _refused_bound(c, before, time.monotonic() - started, "a long outage")
    c.server.start()
    took = _flip(c, "z", "a change at once after the outage", 60)
    c.agents.wait_ready("n1")
    c.hold("all nodes are back")
    c.watching("after the outage", mark, seconds=60)
    c.budget("after the outage", mark, {kind: (0, 1) for kind in KINDS}, failed=4)
    for kind in KINDS:
        if len(c.requests(mark, ["n1"]).initial(kind, served=True)) != 1:
            raise Failed(f"n1 did not read all {kind} once\n{c.requests(mark, ['n1']).lines()}")
    c.note(f"{refused} connections refused in {time.monotonic() - started:.0f} s, followed after {took:.1f} s")


def _forgotten(c: Cluster) -> None:
    """Agents are cut off, the world changes, history is compacted."""
    _base(c)
    c.put(policy("z", "closed"), c.facts.new_pod("y/short", "n2", 36))
    c.expect("more that will go", deny=[("x/a", "z/a")], allow=[("y/short", "x/a")])
    mark = c.server.log.mark()
    c.server.stop()
    cut = c.server.log.mark()
    _block(c, "-I")
    c.server.start()
    held = c.expected()
    # What they miss: a deletion, a change, a birth, a death, a namespace's label.
    c.delete("NetworkPolicy", "z", "closed")
    c.put(policy("x", "web", ingress=from_namespace(ns="blue")), policy("y", "late", match_labels(pod="c")))
    c.label("Namespace", "", "z", ns="blue")
    c.label("Pod", "y", "a", pod="a2")
    c.server.compact()
    wrong = c.ask({cell: allowed for cell, allowed in held.items()})
    if wrong:
        raise Failed("while cut off, verdicts changed:\n  " + "\n  ".join(wrong[:8]))
    c.delete("Pod", "y", "short")
    c.put(c.facts.new_pod("z/fresh", "n2", 36))
    c.server.compact()
    c.server.stop()
    c.server.start()
    if len(c.requests(cut)):
        raise Broken(f"the agents were not cut off:\n{c.requests(cut).lines()}")
    _block(c, "-D")
    took = c.expect("cut off for long, history is gone", allow=[("z/a", "x/a"), ("x/a", "z/a"), ("z/fresh", "x/a")],
                    deny=[("y/a", "x/a"), ("x/a", "y/c")], seconds=60)
    # A watch that was taken up may be told a moment later that its history is gone.
    c.until("cut off for long: everything is read anew", lambda: all(
        c.requests(cut, [node]).initial(kind, served=True) for node in NODES for kind in KINDS), seconds=60)
    c.watching("cut off for long", cut, seconds=60)
    seen = c.budget("one list of each kind", mark, 1, failed=4)
    _flip(c, "y", "and by watch again", 10)
    c.budget("one list of each kind, and no more", mark, 1, failed=4)
    c.note(f"{len(seen.initial(served=True))} lists, caught up {took:.1f} s after the cable was back")


def _block(c: Cluster, what: str) -> None:
    """Connections of the nodes are refused; the administrator is on the server's own machine."""
    for tool, addresses in (("iptables-legacy", [entry for node in NODES for entry in c.node_clients[node]
                                                 if ":" not in entry]),
                            ("ip6tables-legacy", [entry for node in NODES for entry in c.node_clients[node]
                                                  if ":" in entry])):
        for address in addresses:
            command("ip", "netns", "exec", c.server.netns, tool, "-w", what, "INPUT", "-s", address, "-p", "tcp",
                    "--dport", "6443", "-j", "REJECT", "--reject-with", "tcp-reset")


@scenario("compaction", "history is compacted while agents are cut off: 410, one list of each kind", seconds=45)
def compaction(c: Cluster) -> None:
    _forgotten(c)


@scenario("compaction-etcd", "the same without a watch cache: the 410 is etcd's own", seconds=45,
          options=Options(watch_cache=False))
def compaction_etcd(c: Cluster) -> None:
    _forgotten(c)


@scenario("no-watchlist", "a server that has no WatchList: paged lists; then it learns it", seconds=25,
          options=Options(watch_list=False))
def no_watchlist(c: Cluster) -> None:
    _base(c)
    first = c.budget("start", c.start_mark, 1, failed=4)
    for kind in KINDS:
        if not [one for one in first.initial(kind, served=True) if one.verb == "list"]:
            raise Failed(f"{kind} were not listed\n{first.lines()}")
    c.agents.stop()
    c.server.stop()
    c.server.start(replace(c.server.options, watch_list=True))
    mark = c.server.log.mark()
    c.agents.start()
    _flip(c, "z", "another server", RECONNECT_SECONDS)
    seen = c.budget("start with WatchList", mark, 1, failed=4)
    verbs = {one.verb for one in seen.initial(served=True)}
    c.note(f"whole collections by {' and '.join(sorted(verbs))} where WatchList is served")


@scenario("cable", "the cable of the control plane is pulled: no error comes, and after its return all is followed",
          seconds=90)
def cable(c: Cluster) -> None:
    _base(c)
    mark = c.server.log.mark()
    c.fabric.unplug("control")
    # Keepalives tell after 45 s; nothing else can. The server meanwhile goes on for whoever is on its machine.
    c.put(policy("x", "web", ingress=from_namespace(ns="z")))
    old = {**c.expected()}
    for (cell, family), _ in old.items():
        if cell.target.startswith("x/"):
            old[(cell, family)] = cell.source.startswith("y/")
    until = time.monotonic() + 52
    while time.monotonic() < until:
        wrong = c.ask(old)
        if wrong:
            raise Failed("the cable is pulled, and verdicts change:\n  " + "\n  ".join(wrong[:8]))
        time.sleep(2)
    c.fabric.plug_again("control")
    took = c.expect("the cable is back", allow=[("z/a", "x/a")], deny=[("y/a", "x/a")], seconds=60)
    c.watching("the cable", mark, seconds=60)
    c.budget("the cable", mark, {kind: (0, 1) for kind in KINDS})
    c.note(f"followed {took:.1f} s after its return")
