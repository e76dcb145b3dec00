# SPDX-License-Identifier: Apache-2.0
"""What the shipped ClusterRole grants is enough, and what happens when a part of it is taken away."""
from __future__ import annotations

from cluster import Cluster, Failed
from model import NODES, Put, policy
from provider import AGENT
from request_log import KINDS
from scenario import scenario
from scenarios_follow import from_namespace
from scenarios_outages import RECONNECT_SECONDS, _base, _flip

# A kind that may not be read is tried again every 30 to 60 s.
DENIED_SECONDS = 75.0


@scenario("role", "the agent may do what the shipped ClusterRole says, asks for nothing else, and writes nothing",
          seconds=15)
def role(c: Cluster) -> None:
    _base(c)
    seen = c.requests(0)
    granted = {(group, resource, verb) for rule in c.server.manifest_rules() for group in rule["apiGroups"]
               for resource in rule["resources"] for verb in rule["verbs"]}
    used = {(resource, verb) for _, resource, verb in granted}
    for one in seen:
        if one.resource and (one.resource, one.verb) not in used or one.status in (401, 403):
            raise Failed(f"a request beyond the role:\n{one.line()}")
        if one.user != AGENT:
            raise Failed(f"a request as {one.user!r}:\n{one.line()}")
        if not one.agent.startswith("netpold/"):
            raise Failed(f"User-Agent is {one.agent!r}")
    asked = {(one.resource, one.verb) for one in seen if one.resource}
    # List and watch are both needed: a server without WatchList is listed.
    if not {resource for resource, _ in asked} == set(KINDS):
        raise Failed(f"the agent asked for {sorted(asked)} only")
    for verb, resource, wanted in (("get", "secrets", "no"), ("list", "secrets", "no"), ("create", "pods", "no"),
                                   ("update", "networkpolicies.networking.k8s.io", "no"), ("list", "pods", "yes")):
        if c.server.name == "kube":
            said = c.server.kubectl("auth", "can-i", verb, resource, "--as", AGENT, "-A", check=False).stdout.strip()
            if said != wanted:
                raise Failed(f"may the agent {verb} {resource}? The server says {said!r}, wanted {wanted!r}")
    c.note(f"{len(seen)} requests, all granted")


@scenario("permission", "the right to read policies is taken away and given back", seconds=100)
def permission(c: Cluster) -> None:
    _base(c)
    rules = c.server.manifest_rules()
    fewer = [rule for rule in rules if "networkpolicies" not in rule["resources"]]
    assert len(fewer) == len(rules) - 1
    mark = c.server.log.mark()
    c.server.set_rules(AGENT, fewer)
    c.server.stop()
    c.server.start()
    c.until("policies are refused", lambda: all(
        c.requests(mark, [node]).where(lambda one: one.resource == "networkpolicies").statuses()[403]
        for node in NODES), RECONNECT_SECONDS)
    c.hold("policies may not be read", 1.0)
    # Other kinds are followed; a policy that nobody may read is not.
    c.apply_raw([policy("z", "unseen")])
    c.label("Namespace", "", "z", ns="y")
    c.expect("a namespace's label is followed", allow=[("z/a", "x/a"), ("x/a", "z/b")])
    c.put(c.facts.new_pod("x/late", "n2", 37))
    c.expect("a new pod is enforced", allow=[("y/a", "x/late")], deny=[("x/b", "x/late")])
    tries = {node: c.requests(mark, [node]).where(lambda one: one.resource == "networkpolicies") for node in NODES}
    for node, mine in tries.items():
        if len(mine) > 6:
            raise Failed(f"{node} hurries to be refused\n{mine.lines()}")
    for node in NODES:
        said = [line for line in c.agents._log(node) if "forbidden" in line.lower() or "403" in line]
        if not 1 <= len(said) <= 6:
            raise Failed(f"the log of netpold on {node} tells of it {len(said)} times:\n{c.agents.log(node)}")

    # A daemon that starts now has no right to touch anything.
    c.agents.kill_one("n3")
    c.agents.start(nodes=["n3"], ready=False)
    c.until("n3 is refused", lambda: "networkpolicies" in c.agents.get("n3", "/readyz?verbose")[1]
            or any("forbidden" in line.lower() or "403" in line for line in c.agents._log("n3")[-15:]))
    if c.agents.get("n3", "/readyz")[0] == 200:
        raise Failed("netpold on n3 says that it is ready, and may not read policies")
    c.hold("its rules stay", 1.0)

    c.server.set_rules(AGENT, rules)
    c.mirror.apply([Put(policy("z", "unseen"))])
    took = c.expect("the right is given back", allow=[("z/a", "x/a")], deny=[("x/a", "z/b")], seconds=DENIED_SECONDS)
    c.agents.wait_ready("n3")
    c.budget("a right comes and goes", mark, {kind: (0, 2) for kind in KINDS}, failed=6)
    c.put(policy("x", "web", ingress=from_namespace(ns="none")))
    c.expect("and policies are followed", deny=[("y/a", "x/a")])
    c.note(f"caught up after {took:.0f} s")


@scenario("rights-late", "a server that has just started knows no rights for seconds, as kube-apiserver does", seconds=30)
def rights_late(c: Cluster) -> None:
    # kube-apiserver listens before it has read its roles, and answers 403 to everybody until then. An agent that takes
    # this for a decision is blind for a minute after each restart.
    _base(c)
    mark = c.server.log.mark()
    c.server.stop()
    if c.server.name == "library":
        c.server.set_rules(AGENT, [])
    c.server.start()
    if c.server.name == "library":
        c.until("agents are refused", lambda: all(c.requests(mark, [node]).statuses()[403] for node in NODES))
        c.server.set_rules(AGENT, c.server.manifest_rules())
    took = _flip(c, "z", "rights are known", RECONNECT_SECONDS)
    c.watching("rights are known", mark, seconds=RECONNECT_SECONDS)
    c.budget("rights that come late", mark, {kind: (0, 1) for kind in KINDS}, failed=6)
    c.note(f"{c.requests(mark).statuses()[403]} times 403, followed after {took:.1f} s")


