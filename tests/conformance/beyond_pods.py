# SPDX-License-Identifier: Apache-2.0
"""Who owns an address: finished, terminating, pending and unready pods, pods without one, addresses used again."""
from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import replace

from beyond_common import Ask, asking, case, egress, ingress, open_to_all, scope
from model import Case, Change, Delete, Facts, Pod, Probe, Put, Scope, Step, Truth, match_labels, put
from world import World

A = match_labels(pod="a")
EVERY = "tcp udp sctp icmp"


def cases(facts: Facts) -> list[Case]:
    return [*_finished(facts), *_reused(facts), *_unfinished(facts), *_spelled(facts)]


def _area(*pods: str) -> Scope:
    """All of these among each other, with x/a and x/b."""
    names = " ".join((*pods, "x/a", "x/b"))
    return scope(names, names, protocols=EVERY, ports=(80,))


def _only_peer_of_a(label: str) -> tuple[Change, ...]:
    """x/a takes from pods with this label, which themselves take nothing."""
    return put(ingress("to-a", {"from": [{"podSelector": match_labels(role=label)}]}, to=A),
               ingress(f"to-{label}", to=match_labels(role=label)))


def _finished(facts: Facts) -> list[Case]:
    job = facts.new_pod("x/job", "n1", 30, labels={"role": "job"})
    heir = facts.new_pod("z/heir", "n1", 30, labels={"role": "job"})

    def unowned(_: World, family: int) -> Iterator[Ask]:
        """The address belongs to nobody: no peer, not isolated."""
        for protocol in ("tcp", "udp", "sctp", "icmp"):
            yield Ask(f"the finished pod's address -> x/a {protocol}", Probe("x/job", "x/a", protocol, 80, family),
                      False)
            yield Ask(f"x/b -> the finished pod's address {protocol}", Probe("x/b", "x/job", protocol, 80, family),
                      True)

    def as_peer_and_subject(truth: Truth) -> None:
        truth.deny_to(["x/a", "x/job"]).allow("x/job", "x/a")

    def finished(phase: str) -> Case:
        # The heir has the very labels of the job, in another namespace.
        return case(f"finished-{phase.lower()}",
                    f"a pod that has {phase.lower()} owns its address no more, and its heir is judged by itself",
                    "2.3 case-55",
                    Step("running", (*put(job), *_only_peer_of_a("job")), as_peer_and_subject, scope=_area("x/job")),
                    Step(phase, put(replace(job, phase=phase)), custom=asking(unowned)),
                    Step("an heir of the address", put(heir), lambda truth: truth.deny_to("x/a"),
                         scope=_area("z/heir")),
                    Step("the finished pod is deleted", (Delete("Pod", "x", "job"),),
                         lambda truth: truth.deny_to("x/a"),
                         scope=_area("z/heir")), control=False, short=phase == "Succeeded")
    return [finished("Succeeded"), finished("Failed")]


def _reused(facts: Facts) -> list[Case]:
    old = facts.new_pod("x/old", "n1", 31, labels={"role": "old"})
    new = facts.new_pod("x/new", "n1", 31, labels={"role": "new"})
    # x/a takes from old; old takes nothing, new takes from x/b alone.
    policies = (*_only_peer_of_a("old"), *put(
        ingress("to-new", {"from": [{"podSelector": match_labels(pod="b")}]}, to=match_labels(role="new"))))

    def is_old(truth: Truth) -> None:
        truth.deny_to(["x/a", "x/old"]).allow("x/old", "x/a")

    def is_new(truth: Truth) -> None:
        truth.deny_to(["x/a", "x/new"]).allow("x/b", "x/new")

    def born(pod: Pod, when: str) -> Put:
        item = pod.object()
        item["metadata"]["creationTimestamp"] = when
        return Put(item)
    early, late = "2026-01-01T00:00:00Z", "2026-01-01T00:00:05Z"
    first = Step("the old pod", (*put(old), *policies), is_old, scope=_area("x/old"))
    gone = (Delete("Pod", "x", "old"),)
    before = replace(facts.pod("x/b"), labels={"role": "old"}, uid="uid-first")
    after = replace(before, labels={"role": "new"}, uid="uid-second")
    moved = replace(after, host=32)
    by_role = (*_only_peer_of_a("old"), *put(
        ingress("to-new", {"from": [{"podSelector": match_labels(pod="c")}]}, to=match_labels(role="new"))))
    names = scope("x/b x/c", "x/a x/b", protocols=EVERY, ports=(80,))
    heir = facts.new_pod("z/heir", "n1", facts.pod("x/b").host, labels={"role": "old"})
    both = scope("z/heir x/b x/c", "x/a x/b z/heir", protocols=EVERY, ports=(80,))
    return [
        case("reuse-add-before-delete", "an address used again, the new pod is seen before the old one has gone",
             "2.5 2.4 case-56", first,
             Step("both, the old one terminating", put(replace(old, deleting=True), new), is_new, scope=_area("x/new")),
             Step("the old one has gone", gone, is_new, scope=_area("x/new")), control=False, short=True),
        case("reuse-delete-before-add", "an address used again, the old pod has gone before the new one is seen",
             "2.5 case-56",
             first, Step("the old one has gone", gone, lambda truth: truth.deny_to("x/a"), scope=_area()),
             Step("the new one", put(new), is_new, scope=_area("x/new")), control=False),
        case("reuse-two-claims", "two live pods claim one address: the newer one has it, whichever is seen first",
             "2.5",
             Step("the older one alone", (born(old, early), *policies), is_old, scope=_area("x/old")),
             Step("and the newer one", (born(new, late),), is_new, scope=_area("x/new")),
             Step("the newer one alone", gone, is_new, scope=_area("x/new")),
             Step("and the older one", (born(old, early),), is_new, scope=_area("x/new")), control=False),
        case("reuse-same-name-new-uid",
             "the same name and address with a new UID is another pod, judged by its own labels",
             "2.5 case-68", Step("the first", (*put(before), *by_role),
                                 lambda truth: truth.deny().allow("x/b", "x/a"), scope=names),
             Step("the second", put(after), lambda truth: truth.deny().allow("x/c", "x/b"), scope=names),
             control=False),
        case("reuse-same-name-new-address",
             "the same name with a new UID, address and labels; the old address goes to another",
             "2.5 case-68", Step("the first", (*put(before), *by_role),
                                 lambda truth: truth.deny().allow("x/b", "x/a"), scope=names),
             Step("the second", put(moved), lambda truth: truth.deny().allow("x/c", "x/b"), scope=names),
             Step("a pod of another namespace has the old address", put(heir),
                  lambda truth: truth.deny().allow("x/c", "x/b").allow("*", "z/heir"), scope=both), control=False)]


def _unfinished(facts: Facts) -> list[Case]:
    pod = facts.new_pod("x/it", "n1", 33, labels={"role": "it"})
    rules = _only_peer_of_a("it")
    area = _area("x/it")

    def with_status(**status: object) -> Put:
        item = pod.object()
        item["status"].update(status)
        return Put(item)

    unready = with_status(conditions=[{"type": "Ready", "status": "False"},
                                      {"type": "ContainersReady", "status": "False"}])
    no_address = Put({**pod.object(), "status": {"phase": "Pending"}})

    def in_force(truth: Truth) -> None:
        truth.deny_to(["x/a", "x/it"]).allow("x/it", "x/a")

    def stays(name: str, title: str, clauses: str, change: tuple[Change, ...]) -> Case:
        return case(name, title, clauses, Step("running", put(pod), open_to_all, scope=area),
                    Step("in force", rules, in_force, scope=area),
                    Step("changed", change, in_force, scope=area), control=False)
    return [
        stays("terminating", "a terminating pod is subject and peer until it has gone", "2.4 case-57",
              put(replace(pod, deleting=True))),
        stays("pending-with-address", "a pending pod with an address is subject and peer", "2.3 case-58",
              put(replace(pod, phase="Pending"))),
        stays("unready", "readiness is irrelevant", "2.3 case-58", (unready,)),
        stays("phase-unknown", "the phase Unknown is live", "2.3", put(replace(pod, phase="Unknown"))),
        case("without-address", "a pod without an address is nobody, and is isolated and a peer when it has one",
             "2.2 5.2",
             Step("no policies, no address", (no_address,), open_to_all, scope=_area()),
             Step("in force", rules, lambda truth: truth.deny_to("x/a"), scope=_area()),
             Step("it has an address", put(pod), in_force, scope=area), control=False)]


def _spelled(facts: Facts) -> list[Case]:
    first = facts.pod("x/b")
    item = first.object()
    if 6 in facts.families:
        exploded = ipaddress.ip_address(first.address(6)).exploded.upper()
        for entry in item["status"]["podIPs"]:
            entry["ip"] = exploded if ":" in entry["ip"] else entry["ip"]
    from_b: tuple[Change, ...] = put(ingress("in", {"from": [{"podSelector": match_labels(pod="b")}]}, to=A),
                                     egress("out", of=match_labels(pod="c")))
    fallback = first.object()
    # An object of an old API server: podIP alone.
    fallback["status"].pop("podIPs")
    family = facts.families[0]

    def by_pod_ip(_: World, asked: int) -> Iterator[Ask]:
        if asked == family:
            for protocol in ("tcp", "udp", "sctp", "icmp"):
                yield Ask(f"x/b, known by podIP -> x/a {protocol}", Probe("x/b", "x/a", protocol, 80, asked), True)
                yield Ask(f"x/c -> x/a {protocol}", Probe("x/c", "x/a", protocol, 80, asked), False)
    only_b = scope("x/b x/c y/a", "x/a", protocols=EVERY, ports=(80,))
    return [
        case("address-spelling", "an address is the same however it is spelled", "2.1",
             Step("written out in capitals", (Put(item), *from_b), lambda truth: truth.deny().allow("x/b"),
                  scope=only_b),
             control=False, needs="ipv6"),
        case("address-by-pod-ip", "podIP counts where podIPs is empty", "2.1 case-60",
             Step("podIPs as they are", from_b, lambda truth: truth.deny().allow("x/b"), scope=only_b),
             Step("podIP alone", (Put(fallback),), custom=asking(by_pod_ip)), control=False)]
