# SPDX-License-Identifier: Apache-2.0
"""IPv6 link-local addresses, which every pod has whatever the cluster's families; neighbour discovery, MLD, multicast.

The attempts are made by a process without any capability. Datagrams to a group from one bridged pod to another are no
part of this: the guard against them belongs to the data plane's own suite.
"""
from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from beyond_common import Ask, Attempt, Custom, asking, attempt_all, case, deny_all, egress, host_block, ingress, \
    ip_block, word
from beyond_packets import GRACE, PATIENCE, Shot, fresh_token, listener_report, send, shoot, \
    solicitation
from machines import inside
from model import Case, Facts, Object, Outcome, Probe, Step, match_labels, pod_address, put
from world import World

A = match_labels(pod="a")


def cases(facts: Facts) -> list[Case]:
    return [*_pods(), *_nodes(), *_discovery(), *_carrier(), *_listeners(), *_multicast()]


class _Try(NamedTuple):
    """An attempt by TCP and by UDP, without capabilities."""

    what: str
    source: str
    to: str
    wanted: bool
    source_address: str = ""


def _attempts(make: Callable[[World], Iterable[_Try]]) -> Custom:
    return lambda world: attempt_all(world, [
        Attempt(f"{it.what} {protocol}", it.source, protocol, it.to, 80, 6, it.wanted, it.source_address,
                unprivileged=True)
        for it in make(world) for protocol in ("tcp", "udp")])


def _pods() -> list[Case]:
    def neighbour(a_to_b: bool, b_to_a: bool) -> Custom:
        def make(world: World) -> Iterator[_Try]:
            for source, target, wanted in (("x/a", "x/b", a_to_b), ("x/b", "x/a", b_to_a)):
                yield _Try(f"{source} -> {target} by fe80::", source, f"{world.link_local(target)}%eth0", wanted)
                if 6 in world.facts.families:
                    yield _Try(f"{source} from fe80:: -> {target}'s global address", source, world.address(target, 6),
                               wanted, f"{world.link_local(source)}%eth0")
                    yield _Try(f"{source} from its global address -> {target} by fe80::", source,
                               f"{world.link_local(target)}%eth0", wanted, world.address(source, 6))
        return _attempts(make)
    return [
        case("link-local-pod-egress",
             "a pod isolated for egress does not reach its neighbour by link-local addresses, nor mixed ones", "3.19",
             Step("no policies", custom=neighbour(True, True)),
             # A link-local address belongs to no pod: between pods on this bridge it is closed both ways.
             Step("x/a sends nothing", put(egress("out", of=A)), custom=neighbour(False, False)), needs="bridged",
             short=True),
        case("link-local-pod-ingress", "a pod isolated for ingress is not reached by link-local addresses", "3.19",
             Step("no policies", custom=neighbour(True, True)),
             Step("x/a takes nothing", put(ingress("in", to=A)), custom=neighbour(False, False)),
             Step("x/a takes from all pods and everything",
                  put(ingress("in", {"from": [{"namespaceSelector": {}}]}, to=A)),
                  custom=neighbour(False, False)), needs="bridged")]


def _nodes() -> list[Case]:
    def to_node(wanted: bool) -> Custom:
        def make(world: World) -> Iterator[_Try]:
            own, gateway = world.link_local("x/a"), world.link_local("n1", _link(world))
            yield _Try("x/a -> its node by fe80::", "x/a", f"{gateway}%eth0", wanted)
            if 6 in world.facts.families:
                yield _Try("x/a from fe80:: -> its node's global address", "x/a", pod_address("n1", 1, 6), wanted,
                           f"{own}%eth0")
                yield _Try("x/a from its global address -> its node by fe80::", "x/a", f"{gateway}%eth0", wanted,
                           world.address("x/a", 6))
        return _attempts(make)

    def from_node(world: World) -> list[Outcome]:
        """The node reaches its pod by fe80::, too."""
        return _attempts(lambda _: [_Try("n1 -> x/a by fe80::", "n1", f"{world.link_local('x/a')}%{_link(world)}",
                                         True)])(world)
    return [
        case("link-local-node",
             "a pod isolated for egress does not reach its node by link-local addresses, nor mixed ones",
             "3.19 3.5", Step("no policies", custom=to_node(True)),
             Step("x/a sends nothing", put(egress("out", of=A)), custom=to_node(False)),
             Step("x/a sends to its node's addresses",
                  put(egress("out", {"to": [host_block(pod_address("n1", 1, 6))]}, of=A)),
                  custom=to_node(False)), short=True),
        case("link-local-node-exempt", "--host-egress=allow exempts the node's link-local address, too", "3.5",
             Step("x/a sends nothing", put(egress("out", of=A)), custom=to_node(True)),
             netpold=("--host-egress=allow",)),
        case("link-local-from-node", "a node reaches its own pod by link-local addresses, whatever the policies", "3.4",
             Step("deny-all", put(deny_all(A)), custom=from_node))]


# ---- what must go on -------------------------------------------------------------------------------------------------

def _forget(world: World) -> None:
    """Every neighbour table is emptied: what follows has to ask again."""
    for endpoint in world.endpoints():
        world.run(endpoint, "ip", "neigh", "flush", "all", check=False)


def _discovery() -> list[Case]:
    def again(world: World) -> list[Outcome]:
        """Resolve everything anew, many times over, both ways."""
        def questions(_: World, family: int) -> Iterator[Ask]:
            for source, target, wanted in (("x/b", "x/a", True), ("y/a", "x/a", True), ("n1", "x/a", True),
                                           ("out", "x/a", False), ("x/a", "x/b", True),
                                           ("x/a", "out", False), ("x/b", "n1", True)):
                yield Ask(f"neighbours forgotten: {source} -> {target}", Probe(source, target, "tcp", 80, family),
                          wanted)
        outcomes: list[Outcome] = []
        for _ in range(3):
            _forget(world)
            outcomes += asking(questions)(world)
        return outcomes
    pods: Object = {"namespaceSelector": {}}
    return [case("neighbour-discovery",
                 "pods and nodes find one another under isolation, by ARP and neighbour discovery",
                 "3.11 case-51", Step("x/a: pods alone, both ways", put(
                     ingress("in", {"from": [pods]}, to=A), egress("out", {"to": [pods]}, of=A)), custom=again),
                 short=True)]


def _carrier() -> list[Case]:
    """Solicitations of x/a to its neighbour and to a pod of another node, by their hop limits."""
    def on_the_link(honest: bool, others: bool) -> Custom:
        def custom(world: World) -> list[Outcome]:
            own, mate = world.link_local("x/a"), world.link_local("x/b")
            pairs = [(own, mate), (own, "ff02::1")]
            if 6 in world.facts.families:
                pairs.append((world.address("x/a", 6), world.address("x/b", 6)))
            return shoot(world, [
                Shot(f"solicitation {source} -> {target}, hop limit {limit}", "x/a", "x/b",
                     solicitation(source, target, mate, limit), honest if limit == 255 else others, device="eth0")
                for source, target in pairs for limit in (255, 254, 64)])
        return custom

    def routed(wanted: bool) -> Custom:
        return lambda world: shoot(world, [
            Shot(f"solicitation x/a -> x/c, hop limit {limit}", "x/a", "x/c", solicitation(
                world.address("x/a", 6), world.address("x/c", 6), world.address("x/c", 6), limit), wanted)
            for limit in (255, 254, 64)])
    return [
        case("discovery-on-the-link",
             "neighbour discovery passes with hop limit 255 alone, else it would carry anything", "3.11 3.19",
             Step("no policies", custom=on_the_link(True, True)),
             Step("deny-all for x/a", put(deny_all(A)), custom=on_the_link(True, False)), needs="bridged"),
        case("discovery-through-routers", "neighbour discovery that a router passes on is none", "3.11",
             Step("no policies", custom=routed(True)),
             Step("deny-all for x/a", put(deny_all(A)), custom=routed(False)), needs="ipv6")]


def _report_arrives(wanted_with_1: bool, wanted_with_64: bool) -> Custom:
    """MLD reports of x/a at its neighbour on the bridge."""
    def custom(world: World) -> list[Outcome]:
        own = world.link_local("x/a")
        return shoot(world, [Shot(f"MLD report with hop limit {limit} x/a -> x/b", "x/a", "x/b",
                                  listener_report(own, limit), wanted, device="eth0")
                             for limit, wanted in ((1, wanted_with_1), (64, wanted_with_64))])
    return custom


def _report_heard(wanted_with_1: bool, wanted_with_64: bool) -> Custom:
    """MLD reports of x/a at its node, as a router's socket hears them."""
    def custom(world: World) -> list[Outcome]:
        outcomes = []
        for limit, wanted in ((1, wanted_with_1), (64, wanted_with_64)):
            with inside("n1"):
                router = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
            with router:
                _join(router, "n1", _link(world), "ff02::16")
                report = listener_report(world.link_local("x/a"), limit)
                got = _hears(router, lambda token: send(world, "x/a", report(token), "eth0"), wanted)
            outcomes.append(Outcome(f"MLD report with hop limit {limit} x/a -> its node", word(wanted), word(got), 6))
        return outcomes
    return custom


def _listeners() -> list[Case]:
    isolated = put(deny_all(A))
    # With another hop limit it is no report, but whatever its sender likes.
    return [
        case("mld-between-pods",
             "MLD reports pass the bridge under deny-all; with a hop limit above 1 they are no reports",
             "3.11", Step("no policies", custom=_report_arrives(True, True)),
             Step("deny-all for x/a", isolated, custom=_report_arrives(True, False)), needs="bridged"),
        case("mld-to-node", "MLD reports reach the node under deny-all; with a hop limit above 1 they are no reports",
             "3.11",
             Step("no policies", custom=_report_heard(True, True)),
             Step("deny-all for x/a", isolated, custom=_report_heard(True, False)))]


# ---- groups ----------------------------------------------------------------------------------------------------------

GROUP = {4: "224.0.0.251", 6: "ff02::fb"}
BROADCAST = "255.255.255.255"
GROUP_PORT = 5353


def _link(world: World) -> str:
    """The node's interface that x/a is behind."""
    return "cni0" if world.facts.kind == "bridged" else world.interface("x/a")


def _join(listener: socket.socket, netns: str, interface: str, group: str) -> None:
    with inside(netns):
        index = socket.if_nametoindex(interface)
    if ":" in group:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP,
                            socket.inet_pton(socket.AF_INET6, group) + struct.pack("@I", index))
    else:
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                            socket.inet_pton(socket.AF_INET, group) + struct.pack("@4si", b"", index))


def _hears(listener: socket.socket, act: Callable[[bytes], Any], wanted: bool) -> bool:
    """Whether a socket gets what is sent with a fresh token."""
    token = fresh_token()
    act(token)
    until = time.monotonic() + (PATIENCE if wanted else GRACE)
    while (left := until - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            if token in listener.recv(4096):
                return True
        except TimeoutError:
            pass
    return False


def _group_heard(wanted: bool) -> Custom:
    """x/a sends to a group and to everybody; its node listens."""
    def custom(world: World) -> list[Outcome]:
        outcomes = []
        for family in world.facts.families:
            kind = socket.AF_INET6 if family == 6 else socket.AF_INET
            for target in (GROUP[family], *((BROADCAST,) if family == 4 else ())):
                with inside("n1"):
                    listener = socket.socket(kind, socket.SOCK_DGRAM)
                with inside(world.netns("x/a")):
                    sender = socket.socket(kind, socket.SOCK_DGRAM)
                    index = socket.if_nametoindex("eth0")
                with listener, sender:
                    listener.bind(("", GROUP_PORT))
                    if target != BROADCAST:
                        _join(listener, "n1", _link(world), target)
                    sender.bind((world.address("x/a", family), 0))
                    if family == 4:
                        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                    to = (target, GROUP_PORT, 0, index) if family == 6 else (target, GROUP_PORT)
                    got = _hears(listener, lambda token: sender.sendto(token, to), wanted)
                outcomes.append(Outcome(f"x/a -> {target}, at its node", word(wanted), word(got), family))
        return outcomes
    return custom


def _multicast() -> list[Case]:
    def with_rule(title: str, wanted: bool, *rules: Object) -> Step:
        return Step(title, put(egress("out", *rules, of=A)), custom=_group_heard(wanted))
    mdns = [{"protocol": "UDP", "port": GROUP_PORT}]
    groups = [ip_block("224.0.0.0/4"), ip_block(f"{BROADCAST}/32"), ip_block("ff00::/8")]
    return [case("multicast-to-node",
                 "a group and the broadcast address are addresses that are no pod's: rules without peers "
                 "and prefixes alone allow them", "3.12", Step("no policies", custom=_group_heard(True)),
                 with_rule("nothing", False), with_rule("all pods", False, {"to": [{"namespaceSelector": {}}]}),
                 with_rule("their prefixes", True, {"to": groups}),
                 with_rule("their prefixes on another port", False,
                           {"to": groups, "ports": [{"protocol": "UDP", "port": 53}]}),
                 with_rule("the port, no peers", True, {"ports": mdns}))]
