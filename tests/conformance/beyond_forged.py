# SPDX-License-Identifier: Apache-2.0
"""Sources that are not the sender's: the pod's own node, which would be exempt, and the victim itself.

A pod that forges the address of another pod is the source guard's subject, a part of the data plane's own suite.
"""
from __future__ import annotations

from beyond_common import Custom, case, deny_all, ingress
from beyond_packets import Shot, datagram, echo, segment, shoot
from model import Case, Facts, Outcome, Step, delete_policies, match_labels, node_address, pod_address, put
from world import World

A = match_labels(pod="a")
# On n1 beside x/a: a pod on the same network. Further: another node, a pod behind it, and outside.
NEIGHBOUR, FAR = "x/b", ("n2", "x/c", "out")


def cases(facts: Facts) -> list[Case]:
    return [*_own_node(), *_itself(), *_loopback(facts)]


def _crossing(world: World, what: str, sender: str, source: str, target: str, wanted: bool) -> list[Shot]:
    """UDP, a SYN and an echo request with a forged source."""
    own = world.address(target, 6 if ":" in source else 4)
    return [Shot(f"{name} from {what}, by {sender} -> {target}", sender, target, make(source, own), wanted)
            for name, make in (("UDP", datagram), ("SYN", segment), ("echo", echo))]


def _martians(world: World) -> None:
    """Let n1 route what comes with its own addresses: IPv4 would drop it before any rule of ours, IPv6 does not."""
    for scope in ("all", "default", "eth0", *(("cni0",) if world.facts.kind == "bridged" else ()),
                  world.interface(NEIGHBOUR)):
        world.sysctl("n1", f"ipv4/conf/{scope}/accept_local", "1")


def _own_node() -> list[Case]:
    def forged(wanted: bool, prepare: bool = False) -> Custom:
        def custom(world: World) -> list[Outcome]:
            if prepare:
                _martians(world)
            shots: list[Shot] = []
            for family in world.facts.families:
                for what, source in (("n1's address", node_address("n1", family)),
                                     ("n1's address on the pods' network", pod_address("n1", 1, family))):
                    for sender in (NEIGHBOUR, *FAR):
                        shots += _crossing(world, what, sender, source, "x/a", wanted)
            return shoot(world, shots)
        return custom
    return [
        case("forged-own-node",
             "packets with an address of the pod's own node, from outside, another node or a pod, are no node "
             "traffic", "3.4 case-41", Step("no policies", custom=forged(True, True)),
             Step("deny-all for x/a", put(deny_all(A)), custom=forged(False)), short=True),
        case("forged-own-node-peers", "nor do they pass where pods are allowed", "3.4 1.1",
             Step("no policies", custom=forged(True, True)),
             Step("x/a takes from all pods", put(ingress("in", {"from": [{"namespaceSelector": {}}]}, to=A)),
                  custom=forged(False)),
             Step("deleted", delete_policies("x", "in"), custom=forged(True)))]


def _itself() -> list[Case]:
    def forged(wanted: bool) -> Custom:
        def custom(world: World) -> list[Outcome]:
            return shoot(world, [shot for family in world.facts.families for sender in (NEIGHBOUR, *FAR)
                                 for shot in _crossing(world, "the victim's address", sender,
                                                       world.address("x/a", family),
                                                       "x/a", wanted)])
        return custom
    return [case("forged-itself", "packets that pretend to come from the victim itself are no hairpin",
                 "3.6 3.7 case-43",
                 Step("no policies", custom=forged(True)),
                 Step("deny-all for x/a", put(deny_all(A)), custom=forged(False)),
                 Step("x/a takes from x/b by selector",
                      put(ingress("in", {"from": [{"podSelector": match_labels(pod="b")}]},
                                                                    to=A)), custom=forged(False)), short=True)]


def _loopback(facts: Facts) -> list[Case]:
    def forged(wanted: bool) -> Custom:
        """Bridged alone: a router drops such packets by itself."""
        def custom(world: World) -> list[Outcome]:
            return shoot(world, [shot for family in world.facts.families for shot in _crossing(
                world, "the loopback address", NEIGHBOUR, "::1" if family == 6 else "127.0.0.1", "x/a", wanted)])
        return custom
    return [case("forged-loopback", "packets from a loopback address on the wire are no loopback traffic", "3.6",
                 Step("no policies", custom=forged(True)),
                 Step("deny-all for x/a", put(deny_all(A)), custom=forged(False)),
                 needs="bridged")]
