# SPDX-License-Identifier: Apache-2.0
"""netpold --once as a job, and netpolctl on the living cluster."""
from __future__ import annotations

import json
from pathlib import Path

from cluster import Cluster, Failed
from machines import command
from model import NODES, expression, match_labels, policy
from request_log import KINDS
from scenario import scenario
from scenarios_follow import from_namespace


@scenario("once", "netpold --once, as a CronJob runs it: programs, finds nothing, repairs, survives an outage",
          agents=False, seconds=85)
def once(c: Cluster) -> None:
    def run(why: str, code: int, *options: str) -> None:
        for node in NODES:
            done = c.agents.once(node, *options)
            if done.returncode != code:
                raise Failed(f"{why}: netpold --once on {node}: exit {done.returncode}, wanted {code}: "
                             f"{(done.stdout + done.stderr).strip()[-800:]}")

    c.put(policy("x", "web", ingress=from_namespace(ns="y")), policy("z", "web", ingress=from_namespace(ns="y")))
    mark = c.server.log.mark()
    run("a dry run", 2, "--dry-run")
    run("the first pass", 0)
    c.hold("programmed once")
    run("nothing to do", 0)
    for node in NODES:
        for kind in KINDS:
            count = len(c.requests(mark, [node]).initial(kind, served=True))
            if count != 3:
                raise Failed(f"three passes on {node} read all {kind} {count} times\n{c.requests(mark, [node]).lines()}")
    # What changes between two passes is not drift of the kernel alone, yet it is a difference.
    c.put(policy("x", "web", ingress=from_namespace(ns="z")))
    for node in NODES:
        done = c.agents.once(node)
        if done.returncode not in (0, 2):
            raise Failed(f"a policy changed: exit {done.returncode} on {node}: {done.stderr.strip()[-500:]}")
    c.hold("the next pass follows")
    for node in NODES:
        command("ip", "netns", "exec", node, "iptables-legacy", "-w", "-D", "FORWARD", "1")
    run("a jump is missing", 2)
    c.hold("repaired")
    for node in NODES:
        command("ip", "netns", "exec", node, "iptables-legacy", "-w", "-D", "FORWARD", "1")
    run("a jump is missing, and a job must not fail for it", 0, "--drift-exit-code", "0")

    c.server.stop()
    code = c.agents.once_by_hand("n1")
    if code != 1:
        raise Failed(f"without an API server: exit {code}")
    c.hold("without an API server")
    c.server.start()
    run("it is back", 0)
    # Beside a living daemon.
    c.agents.start()
    mark = c.server.log.mark()
    run("beside a daemon", 0)
    c.hold("beside a daemon")


def _fields(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def compare_snapshot(c: Cluster, node: str, kubeconfig: Path, snapshot: Path, queries: list[dict]) -> None:
    """What netpolctl says of the living cluster and of its snapshot must be the same, byte for byte."""
    live, saved = ["--kubeconfig", str(kubeconfig)], ["-f", str(snapshot)]
    text = "".join(json.dumps(query) + "\n" for query in queries)
    for words, stdin, codes in ((["render", "--node", node], "", (0,)),
                                (["render", "--node", node, "-o", "json"], "", (0,)),
                                (["check", "--queries", "-"], text, (0,)),
                                (["verify", "--node", node], "", (0,))):
        first, second = (c.ctl(*words, *source, stdin=stdin, codes=codes) for source in (live, saved))
        if words[0] == "check":
            first, second = (json.dumps([_without_source(answer) for answer in _fields(out)], indent=1)
                             for out in (first, second))
        if not first.strip():
            raise Failed(f"netpolctl {' '.join(words)} says nothing")
        if words[0] == "verify":
            first, second = (_without_times(out) for out in (first, second))
        if first != second:
            raise Failed(f"netpolctl {' '.join(words)} differs between cluster and snapshot:\n"
                         + _difference(first, second))


def _without_source(answer: dict) -> dict:
    """file:line says where an object was read, which is what differs."""
    if isinstance(answer, dict):
        return {key: _without_source(value) for key, value in answer.items() if key != "source"}
    return answer


def _without_times(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if " ms" not in line and " s" not in line.split("in ")[-1])


def _difference(first: str, second: str) -> str:
    import difflib
    return "\n".join(list(difflib.unified_diff(first.splitlines(), second.splitlines(), "cluster", "snapshot",
                                               lineterm="", n=1))[:20])


@scenario("netpolctl", "netpolctl reads the living cluster; its snapshot says the same", seconds=25)
def netpolctl(c: Cluster) -> None:
    c.put(policy("x", "web", match_labels(pod="a"), ingress=[
        {"from": [{"namespaceSelector": match_labels(ns="y"), "podSelector": match_labels(pod="b")}],
         "ports": [{"protocol": "TCP", "port": 80}, {"protocol": "UDP", "port": 80, "endPort": 90}]},
        {"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": ["10.244.2.0/24"]}}],
         "ports": [{"protocol": "TCP", "port": "serve-81-tcp"}]}]),
        policy("y", "out", {}, egress=[{"to": [{"namespaceSelector": {"matchExpressions": [
            expression("ns", "NotIn", "z")["matchExpressions"][0]]}}]}], types=["Egress"]),
        c.facts.new_pod("z/done", "n1", 38, phase="Succeeded"),
        c.facts.new_pod("z/host", "n2", 0, host_network=True))
    c.expect("policies", deny=[("y/a", "z/a"), ("z/a", "x/a")])
    kubeconfig = c.agents.kubeconfigs["n1"]
    mark = c.server.log.mark()
    snapshot = c.work / "snapshot.yaml"
    c.ctl("snapshot", "-o", str(snapshot), "--kubeconfig", str(kubeconfig))
    seen = c.requests(mark, ["n1"])
    for kind in KINDS:
        if len(seen.initial(kind, served=True)) != 1:
            raise Failed(f"snapshot read all {kind} {len(seen.initial(kind, served=True))} times\n{seen.lines()}")
    text = snapshot.read_text(encoding="utf-8")
    for word in ("managedFields", c.server.agent_token, "last-applied"):
        if word in text:
            raise Failed(f"the snapshot holds {word}")

    table = c.expected()
    queries = [{"from": cell.source, "to": cell.target, "protocol": cell.protocol.upper(), "port": cell.port,
                "family": family} for cell, family in table]
    for source in (["--kubeconfig", str(kubeconfig)], ["-f", str(snapshot)]):
        answers = _fields(c.ctl("check", "--queries", "-", *source,
                                stdin="".join(json.dumps(query) + "\n" for query in queries)))
        wrong = [f"{query}: {answer.get('verdict')}" for query, answer, wanted in
                 zip(queries, answers, table.values()) if answer.get("verdict") != ("allow" if wanted else "deny")]
        if wrong or len(answers) != len(queries):
            raise Failed(f"check {source[0]}: {len(wrong)} of {len(queries)} are not as the oracle says: {wrong[:5]}")
    for node in NODES:
        compare_snapshot(c, node, kubeconfig, snapshot, queries)
    # What is programmed is what is rendered from the cluster: the kernel's own rules prove it.
    for node in NODES:
        c.ctl("verify", "--node", node, "--kernel", "--kubeconfig", str(c.agents.kubeconfigs[node]), node=node)
    said = c.ctl("explain", "z/a", "x/a", "-p", "tcp", "--port", "80", "--kubeconfig", str(kubeconfig), codes=(2,))
    if "web" not in said:
        raise Failed(f"explain does not name the policy:\n{said}")
    said = c.ctl("explain", "b", "x/a", "-n", "y", "-p", "tcp", "--port", "80", "--kubeconfig", str(kubeconfig))
    c.budget("commands of one look", mark, {kind: (0, 30) for kind in KINDS}, failed=60, burst=200, sustained=600)
    c.note(f"{len(queries)} questions, 3 nodes")
