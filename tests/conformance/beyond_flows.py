# SPDX-License-Identifier: Apache-2.0
"""Packets that are no plain first packet of a connection: fragments, ICMP errors, segments without a handshake, packets
that conntrack does not follow, headers between IP and the port."""
from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from functools import partial

from beyond_common import Ask, Attempt, Custom, asking, attempt_all, case, deny_all, egress, ingress
from beyond_packets import ACK, FIN, GRACE, PACKET_OUTGOING, RST, SYN, TCP, UDP, Shot, datagram, echo, fresh_port, \
    fresh_token, listen, segment, shoot, too_big, with_header
from machines import inside
from model import OUT_ADDRESS, OUT_EXTRA, Case, Facts, Object, Outcome, Probe, Step, delete_policies, match_labels, put
from world import World

A = match_labels(pod="a")
FROM_B: Object = {"podSelector": match_labels(pod="b")}
UDP_80: Object = {"protocol": "UDP", "port": 80}
LARGE = 5000


def cases(facts: Facts) -> list[Case]:
    return [*_fragments(), *_errors(), *_without_handshake(), *_untracked(), *_headers(), *_no_trace()]


def _together(*customs: Custom) -> Custom:
    return lambda world: [outcome for custom in customs for outcome in custom(world)]


# ---- fragments -------------------------------------------------------------------------------------------------------

def _large(*rows: tuple[str, str, int, bool]) -> Custom:
    """Datagrams above the MTU, and whether they arrive and are answered whole."""
    return lambda world: attempt_all(world, [
        Attempt(f"{LARGE} bytes of UDP {source} -> {target}:{port}", source, "udp", world.address(target, family), port,
                family, wanted, size=LARGE)
        for family in world.facts.families for source, target, port, wanted in rows])


def _frames(source: str, target: str, port: int, wanted: int) -> Custom:
    """How many fragments of a large datagram arrive; each of them carries the token."""
    def custom(world: World) -> list[Outcome]:
        outcomes = []
        for family in world.facts.families:
            token = fresh_token()
            with listen(world, target, "eth0") as listener, inside(world.netns(source)):
                with socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.sendto(token * (LARGE // len(token)), (world.address(target, family), port))
                    # Closed before the answer, it would have the kernel send an error that quotes it.
                    seen = _count(listener, token)
            outcomes.append(Outcome(f"fragments {source} -> {target}:{port}", str(wanted), str(seen), family))
        return outcomes
    return custom


def _count(listener: socket.socket, token: bytes) -> int:
    """Frames that come with a token, until none does any more."""
    listener.settimeout(GRACE)
    seen = 0
    with suppress(TimeoutError):
        while True:
            frame, address = listener.recvfrom(4096)
            seen += token in frame and address[2] != PACKET_OUTGOING
    return seen


def _fragments() -> list[Case]:
    everyone = ("x/b", "y/a", "out", "n2")
    ports = [UDP_80, {"port": 81}]
    into = [(source, "x/a", port) for source in everyone for port in (80, 81)]
    return [
        case("fragments-ingress",
             "an allowed datagram above the MTU arrives whole and is answered, of a denied one nothing arrives",
             "3.13 case-54", Step("no policies", custom=_together(
                 _large(*((*row, True) for row in into)), _frames("x/b", "x/a", 81, 4),
                 _frames("y/a", "x/a", 81, 4))),
             Step("UDP 80 and TCP 81", put(ingress("in", {"ports": ports}, to=A)), custom=_together(
                 _large(*((*row, row[2] == 80) for row in into), ("n1", "x/a", 81, True)),
                 _frames("x/b", "x/a", 81, 0), _frames("y/a", "x/a", 81, 0), _frames("x/b", "x/a", 80, 4))),
             short=True),
        case("fragments-egress", "the same for what is sent, towards the own node, too", "3.13 3.5 case-54",
             Step("no policies", custom=_large(*(("x/a", target, port, True) for target in ("x/b", "y/a", "out", "n1")
                                                 for port in (80, 81)))),
             Step("UDP 80", put(egress("out", {"ports": [UDP_80]}, of=A)), custom=_together(
                 _large(*(("x/a", target, port, port == 80) for target in ("x/b", "y/a", "out", "n1")
                          for port in (80, 81))),
                 _frames("x/a", "y/a", 81, 0), _frames("x/a", "out", 80, 4))))]


# ---- ICMP errors -----------------------------------------------------------------------------------------------------

def _open(world: World, source: str, target: str, protocol: int, family: int) -> socket.socket:
    """A connection from a machine to port 80 of another one, answered."""
    kind = socket.SOCK_STREAM if protocol == TCP else socket.SOCK_DGRAM
    with inside(world.netns(source)):
        near = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET, kind)
    near.settimeout(2.0)
    near.bind((world.address(source, family), fresh_port()))
    near.connect((world.address(target, family), 80))
    near.send(b"hello")
    near.recv(64)
    return near


def _errors_about(client: str, known: bool, unknown: bool) -> Custom:
    """Packet-too-big to x/a, the client or the server of flows with outside: about what is open, and what never was.

    The router between them is another address of the outside host.
    """
    def ends(port: int) -> tuple[int, int]:
        return (port, 80) if client == "x/a" else (80, port)

    def custom(world: World) -> list[Outcome]:
        shots: list[Shot] = []
        with ExitStack() as stack:
            for family in world.facts.families:
                # What x/a believes of the path must not outlive the case.
                world.at_end(partial(world.run, "x/a", "ip", f"-{family}", "route", "flush", "cache"))
                own, router, peer = world.address("x/a", family), OUT_EXTRA[family][0], OUT_ADDRESS[family]
                for protocol, name in ((TCP, "TCP"), (UDP, "UDP")):
                    server = "out" if client == "x/a" else "x/a"
                    flow = stack.enter_context(_open(world, client, server, protocol, family))
                    for what, port, wanted in (("an open", flow.getsockname()[1], known),
                                               ("no", fresh_port(), unknown)):
                        mine, theirs = ends(port)
                        shots.append(Shot(f"packet too big for {what} {name} flow, {client} being the client", "out",
                                          "x/a", too_big(router, own, protocol, mine, peer, theirs), wanted))
            return shoot(world, shots)
    return custom


def _errors() -> list[Case]:
    only_80 = [{"port": 80}, UDP_80]
    return [
        case("related-error-of-client",
             "packet-too-big for an allowed flow reaches a pod that takes nothing, one for no flow does not",
             "3.10 3.11 case-51", Step("no policies", custom=_errors_about("x/a", True, True)),
             Step("x/a sends to port 80 and takes nothing",
                  put(ingress("in", to=A), egress("out", {"ports": only_80}, of=A)),
                  custom=_errors_about("x/a", True, False)), short=True),
        case("related-error-of-server", "packet-too-big for the answers of a pod that takes only its port",
             "3.10 3.11 case-51", Step("no policies", custom=_errors_about("out", True, True)),
             Step("x/a takes port 80 and sends nothing",
                  put(ingress("in", {"ports": only_80}, to=A), egress("out", of=A)),
                  custom=_errors_about("out", True, False)))]


# ---- segments without a handshake ------------------------------------------------------------------------------------

def _without_handshake() -> list[Case]:
    flags = {"ACK": ACK, "SYN+ACK": SYN | ACK, "RST": RST, "RST+ACK": RST | ACK, "FIN": FIN, "FIN+ACK": FIN | ACK,
             "none": 0, "SYN+FIN": SYN | FIN}

    def all_flags(source: str, target: str, wanted: bool) -> Custom:
        def custom(world: World) -> list[Outcome]:
            return shoot(world, [
                Shot(f"TCP {name} {source} -> {target}", source, target,
                     segment(world.address(source, family), world.address(target, family), value), wanted)
                for family in world.facts.families for name, value in flags.items()])
        return custom

    def pairs(wanted: bool) -> Custom:
        return _together(*(all_flags(source, "x/a", wanted) for source in ("x/b", "y/a", "out")),
                         *(all_flags("x/c", target, wanted) for target in ("x/b", "out")))
    return [case("no-handshake",
                 "a segment that belongs to no connection is judged as a first packet, whatever its flags",
                 "3.2 3.3", Step("no policies", custom=pairs(True)),
                 Step("x/a takes nothing, x/c sends nothing",
                      put(ingress("in", to=A), egress("out", of=match_labels(pod="c"))),
                      custom=pairs(False)),
                 Step("deleted", (*delete_policies("x", "in", "out"),), custom=pairs(True)))]


# ---- not tracked, or not tracked for long ----------------------------------------------------------------------------

def _untracked() -> list[Case]:
    def no_tracking(world: World) -> None:
        for family in world.facts.families:
            tool = "iptables-legacy" if family == 4 else "ip6tables-legacy"
            for protocol in ("tcp", "udp"):
                for end in ("--dport", "--sport"):
                    rule = ("PREROUTING", "-p", protocol, "-m", protocol, end, "81", "-j", "NOTRACK")
                    world.run("n1", tool, "-w", "-t", "raw", "-A", *rule)
                    world.at_end(partial(world.run, "n1", tool, "-w", "-t", "raw", "-D", *rule))

    def shots(world: World, **wanted: bool) -> list[Outcome]:
        # Arrival counts: the answer is not tracked, either.
        return shoot(world, [
            Shot(f"untracked {name} x/a -> {target}", "x/a", target,
                 make(world.address("x/a", family), world.address(target, family), dport=81),
                 wanted[target.replace("/", "_")])
            for family in world.facts.families for target in ("x/b", "y/a", "out")
            for name, make in (("UDP", datagram), ("TCP", segment))])

    def first(world: World) -> list[Outcome]:
        no_tracking(world)
        return shots(world, x_b=True, y_a=True, out=True)

    def answered(_: World, family: int) -> Iterator[Ask]:
        for target, wanted in (("x/b", True), ("y/a", False)):
            for protocol in ("tcp", "udp"):
                yield Ask(f"untracked {protocol} x/a -> {target}, answered", Probe("x/a", target, protocol, 81, family),
                          wanted)
    to_b = egress("out", {"to": [FROM_B]}, of=A)
    from_a = ingress("in", {"from": [{"podSelector": A}]}, to=match_labels(pod="b"))
    return [
        case("untracked", "packets without connection tracking are judged one by one, as first packets", "3.18 case-75",
             Step("no policies", custom=first),
             Step("x/a sends to x/b alone", put(to_b), custom=lambda world: [
                 *shots(world, x_b=True, y_a=False, out=False), *asking(answered)(world)]),
             # Without tracking, an answer is a packet like any other.
             Step("and x/a takes nothing", put(ingress("none", to=A)), custom=asking(lambda _, family: [
                 Ask("untracked answer x/b -> x/a", Probe("x/a", "x/b", "udp", 81, family), False)])),
             Step("x/b takes from x/a alone", (*delete_policies("x", "none", "out"), *put(from_a)),
                  custom=lambda world: shoot(world, [
                      Shot(f"untracked UDP {source} -> x/b", source, "x/b",
                           datagram(world.address(source, family), world.address("x/b", family), 81), source == "x/a")
                      for family in world.facts.families for source in ("x/a", "x/c", "out")])))]


def _no_trace() -> list[Case]:
    def crossing(wanted: bool) -> Custom:
        """x/b sends to x/a, then x/a sends the very reverse, which must not pass for an answer."""
        def custom(world: World) -> list[Outcome]:
            outcomes = []
            for family in world.facts.families:
                one, other = world.address("x/b", family), world.address("x/a", family)
                port = fresh_port()
                outcomes += shoot(world, [Shot(f"x/b:{port} -> x/a:7000", "x/b", "x/a",
                                               datagram(one, other, 7000, port), wanted)])
                outcomes += shoot(world, [Shot(f"the reverse x/a:7000 -> x/b:{port}", "x/a", "x/b",
                                               datagram(other, one, port, 7000), wanted)])
            return outcomes
        return custom
    return [case("denied-leaves-no-trace", "a denied first packet leaves no connection whose answer would pass",
                 "3.3 3.2",
                 Step("no policies", custom=crossing(True)),
                 Step("deny-all for x/a", put(deny_all(A)), custom=crossing(False)))]


# ---- between IP and the port -----------------------------------------------------------------------------------------

def _headers() -> list[Case]:
    def shots(on_80: bool, on_81: bool) -> Custom:
        def custom(world: World) -> list[Outcome]:
            return shoot(world, [
                Shot(f"UDP {port} behind options {source} -> x/a", source, "x/a",
                     with_header(world.address(source, family), world.address("x/a", family), port), wanted)
                for family in world.facts.families for source in ("x/b", "y/a", "out")
                for port, wanted in ((80, on_80), (81, on_81))])
        return custom

    def pings(wanted: bool) -> Custom:
        return lambda world: shoot(world, [
            Shot(f"echo {source} -> x/a", source, "x/a",
                 echo(world.address(source, family), world.address("x/a", family)), wanted)
            for family in world.facts.families for source in ("x/b", "out")])
    return [case("options-before-port", "IP options and extension headers hide no port", "3.13 0",
                 Step("no policies", custom=_together(shots(True, True), pings(True))),
                 Step("UDP 80", put(ingress("in", {"ports": [UDP_80]}, to=A)),
                      custom=_together(shots(True, False), pings(False))),
                 Step("nothing", put(ingress("in", to=A)), custom=shots(False, False)))]
