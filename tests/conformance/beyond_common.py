# SPDX-License-Identifier: Apache-2.0
"""What the cases beyond upstream's share: how a case is put together, and single attempts with a sentence each.

A clause is a number of the reference ("3.4") or of its list of tricky cases ("case-41"); a case's title ends with its
clauses, and its tags are the same.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from model import Case, Object, Outcome, Probe, Scope, Step, Truth, policy
from world import ALLOWED, DENIED, PROBE_MS, World

Want = Callable[[Truth], Any]
Custom = Callable[[World], list[Outcome]]

# Pods are asked at their own address here: what kube-proxy does is a subject of its own (beyond_services).
TCP = Scope(via="pod")
ALL = Scope(via="pod", protocols=("tcp", "udp", "sctp", "icmp"))
BOTH = ["Ingress", "Egress"]


def open_to_all(_: Truth) -> None:
    """Everything is possible."""


def scope(sources: str, targets: str, *, protocols: str = "tcp", ports: Iterable[int] = (80, 81), via: str = "pod",
          families: tuple[int, ...] = (4, 6)) -> Scope:
    """A scope from words: scope("x/b out", "x/a", protocols="tcp udp")."""
    return Scope(tuple(sources.split()), tuple(targets.split()), tuple(protocols.split()), tuple(ports), via,
                 families=families)


def case(name: str, title: str, clauses: str, *steps: Step, area: Scope = TCP, needs: str = "",
         netpold: tuple[str, ...] = (), control: bool = True, short: bool = False) -> Case:
    """A case of this group. `control` puts the first table in front with no policy, where all of it must be possible:
    else silence would prove nothing."""
    first = next((step for step in steps if step.want), None)
    if control and first:
        steps = (Step("no policies: everything is reachable", want=open_to_all, scope=first.scope or area), *steps)
    return Case(f"beyond/{name}", f"{title} [{clauses}]", "beyond", tuple(steps), frozenset(clauses.split()),
                frozenset(needs.split()), area, netpold, short)


def ingress(name: str, *rules: Object, to: Object | None = None, namespace: str = "x") -> Object:
    """A policy for ingress only; without rules it isolates."""
    return policy(namespace, name, to, ingress=list(rules), types=["Ingress"])


def egress(name: str, *rules: Object, of: Object | None = None, namespace: str = "x") -> Object:
    """A policy for egress only; without rules it isolates."""
    return policy(namespace, name, of, egress=list(rules), types=["Egress"])


def deny_all(pods: Object | None = None, namespace: str = "x") -> Object:
    """Both directions, no rules."""
    return policy(namespace, "deny-all", pods, types=BOTH)


def ip_block(cidr: str, *excepts: str) -> Object:
    """A peer."""
    return {"ipBlock": {"cidr": cidr, **({"except": list(excepts)} if excepts else {})}}


def host_block(address: str) -> Object:
    """A peer that is one address."""
    return ip_block(f"{address}/{128 if ':' in address else 32}")


class Ask(NamedTuple):
    """A connection attempt, what it shows, and whether it must succeed."""

    what: str
    probe: Probe
    wanted: bool


def word(allowed: bool) -> str:
    return "allow" if allowed else "deny"


def verdict(outcome: str) -> str:
    """What netprobe saw as allow or deny; another word when it was neither answered nor met with silence."""
    return {ALLOWED: "allow", DENIED: "deny"}.get(outcome, outcome)


def ask(world: World, questions: Iterable[Ask]) -> list[Outcome]:
    """All at once."""
    asked = list(questions)
    got = world.ask([question.probe for question in asked], [question.wanted for question in asked])
    return [Outcome(question.what, word(question.wanted), verdict(outcome), question.probe.family)
            for question, outcome in zip(asked, got)]


def asking(questions: Callable[[World, int], Iterable[Ask]]) -> Custom:
    """A step's custom from a function that gives the questions of one family."""
    return lambda world: ask(world, [question for family in world.facts.families
                                     for question in questions(world, family)])


class Attempt(NamedTuple):
    """A connection attempt by a process of its own: without capabilities, or with a datagram above the MTU."""

    what: str
    source: str
    protocol: str
    to: str  # an address, with "%eth0" behind a link-local one
    port: int
    family: int
    wanted: bool
    source_address: str = ""
    size: int = 0
    unprivileged: bool = False


def _attempt(world: World, attempt: Attempt) -> str:
    words = ["connect", "--proto", attempt.protocol, "--to", attempt.to, "--port", str(attempt.port), "--timeout-ms",
             str(PROBE_MS)]
    words += ["--from", attempt.source_address] if attempt.source_address else []
    words += ["--size", str(attempt.size)] if attempt.size else []
    words += ["--unprivileged"] if attempt.unprivileged else []
    # Source ports are counted apart for each pair of ends: these processes run at the same time, and no flow may come
    # twice.
    ends = hashlib.sha256(" ".join((attempt.source, *words)).encode()).hexdigest()[:16]
    words += ["--sequence", str(world.work / f"sequence.{ends}")]
    return verdict(world.netprobe(attempt.source, *words, check=False).stdout.strip())


def attempt_all(world: World, attempts: Sequence[Attempt]) -> list[Outcome]:
    """All at once."""
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda attempt: _attempt(world, attempt), attempts))
    return [Outcome(attempt.what, word(attempt.wanted), outcome, attempt.family)
            for attempt, outcome in zip(attempts, got)]
