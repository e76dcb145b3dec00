# SPDX-License-Identifier: Apache-2.0
"""ICMP, SCTP, UDP and protocols without a name in the API: which rules let them through, and which never do."""
from __future__ import annotations

from typing import Any

from beyond_common import Custom, Want, case, egress, host_block, ingress, scope
from beyond_packets import EXPERIMENT, GRE, Shot, other, shoot
from model import Case, Facts, Object, Outcome, Step, Truth, delete_policies, match_labels, put
from world import World

A = match_labels(pod="a")
C = match_labels(pod="c")
FROM_B: Object = {"podSelector": match_labels(pod="b")}
EVERY = scope("x/b x/c y/b out", "x/a", protocols="tcp udp sctp icmp")


def cases(facts: Facts) -> list[Case]:
    return [*_icmp(), *_sctp_and_udp(), *_replies(), *_unnamed()]


def _only(source: str, **which: Any) -> Want:
    return lambda truth: truth.deny().allow(source, **which)


def _icmp() -> list[Case]:
    def mixed(truth: Truth) -> None:
        truth.deny().allow("x/b", protocols="tcp", ports=80).allow("y/b")

    def sent(truth: Truth) -> None:
        truth.deny().allow("x/a", "y/a", protocols="tcp", ports=80).allow("x/a", ["x/b", "out"])

    to_y: Object = {"to": [{"namespaceSelector": match_labels(ns="y")}], "ports": [{"port": 80}]}
    out_blocks = [{"ipBlock": {"cidr": "192.168.50.100/32"}}, {"ipBlock": {"cidr": "fd00:50::100/128"}}]
    return [
        case("icmp-without-ports", "echo passes by a rule that has no ports", "3.10 case-52",
             Step("from x/b, no ports", put(ingress("from-b", {"from": [FROM_B]}, to=A)), _only("x/b")), area=EVERY,
             short=True),
        case("icmp-with-ports", "echo never passes by a rule that has ports, whichever protocol and however many",
             "3.10 case-52",
             Step("from x/b, TCP 80", put(ingress("from-b", {"from": [FROM_B], "ports": [{"port": 80}]}, to=A)),
                  _only("x/b", protocols="tcp", ports=80)),
             Step("from x/b, all ports of all three protocols", put(ingress("from-b", {"from": [FROM_B], "ports": [
                 {"protocol": "TCP"}, {"protocol": "UDP"}, {"protocol": "SCTP"}]}, to=A)),
                 _only("x/b", protocols=("tcp", "udp", "sctp"))), area=EVERY, short=True),
        case("icmp-rules-apart", "a rule with ports and a rule without: each pod's echo by its own rule",
             "3.10 case-52",
             Step("x/b on TCP 80, namespace y on everything", put(ingress(
                 "both", {"from": [FROM_B], "ports": [{"port": 80}]},
                 {"from": [{"namespaceSelector": match_labels(ns="y")}]}, to=A)), mixed), area=EVERY),
        case("icmp-egress", "echo that is sent is judged as echo that comes in", "3.10",
             Step("to y on TCP 80, to x/b and outside on everything", put(egress(
                 "out", to_y, {"to": [FROM_B, *out_blocks]}, of=A)), sent),
             area=scope("x/a", "x/b x/c y/a out n2", protocols="tcp icmp")),
        case("icmp-allow-all", "the empty rule allows echo, and no rule denies it", "3.10 1.1",
             Step("[{}]", put(ingress("all", {}, to=A)), lambda truth: None),
             Step("[]", put(ingress("all", to=A)), lambda truth: truth.deny()), area=EVERY)]


def _sctp_and_udp() -> list[Case]:
    ports = (80, 81)
    return [
        case("sctp-only", "a rule of SCTP 81 opens no TCP and no UDP, and isolates both", "3.14 case-53",
             Step("SCTP 81", put(ingress("sctp", {"ports": [{"protocol": "SCTP", "port": 81}]}, to=A)),
                  lambda truth: truth.deny().allow(protocols="sctp", ports=81)), area=EVERY, short=True),
        case("sctp-and-tcp", "TCP 80 and SCTP 81 in one rule: each port in its own protocol", "3.14 0",
             Step("TCP 80, SCTP 81", put(ingress("mixed", {"ports": [{"port": 80}, {"protocol": "SCTP", "port": 81}]},
                                                 to=A)),
                  lambda truth: truth.deny().allow(protocols="tcp", ports=80).allow(protocols="sctp", ports=81)),
             area=EVERY),
        case("sctp-egress", "SCTP that is sent", "3.14",
             Step("SCTP 80 to anywhere", put(egress("sctp", {"ports": [{"protocol": "SCTP", "port": 80}]}, of=A)),
                  lambda truth: truth.deny().allow(protocols="sctp", ports=80)),
             area=scope("x/a", "x/b y/a out n2", protocols="tcp udp sctp", ports=ports)),
        case("udp-only", "a rule of UDP 80 opens no TCP and no SCTP", "0",
             Step("UDP 80", put(ingress("udp", {"ports": [{"protocol": "UDP", "port": 80}]}, to=A)),
                  lambda truth: truth.deny().allow(protocols="udp", ports=80)), area=EVERY)]


def _replies() -> list[Case]:
    servers = ingress("servers", {}, to=A)
    return [
        case("replies-of-isolated-server",
             "a pod that may send nothing answers what may reach it, and opens nothing itself",
             "3.2 case-44",
             Step("x/a: ingress open, egress closed", put(servers, egress("none", of=A)),
                  lambda truth: truth.deny_from("x/a")),
             area=scope("x/a x/b y/a out n2", "x/a x/b y/a out n2", protocols="tcp udp sctp icmp", ports=(80,)),
             short=True),
        case("replies-to-isolated-client", "a pod that nothing may reach gets the answers to what it opens",
             "3.2 case-45",
             Step("x/a: egress open, ingress closed", put(egress("all", {}, of=A), ingress("none", to=A)),
                  lambda truth: truth.deny_to("x/a")),
             area=scope("x/a x/b y/a out n2", "x/a x/b y/a out n2", protocols="tcp udp sctp icmp", ports=(80,))),
        case("both-ends-must-allow", "an open end never opens the other one, on one node and across", "3.1 0 case-46",
             Step("x/a may send everything; x/b and y/a take nothing", put(
                 egress("all", {}, of=A), ingress("none", to=match_labels(pod="b")), ingress("none", namespace="y")),
                 lambda truth: truth.deny_to(["x/b", "y/*"])),
             Step("x/a may send nothing; x/b and y/a take everything", put(
                 egress("all", of=A), ingress("none", {}, to=match_labels(pod="b")),
                 ingress("none", {}, namespace="y")),
                 lambda truth: truth.deny_from("x/a")),
             area=scope("x/a x/c", "x/b y/a z/c", protocols="tcp udp sctp icmp", ports=(80,)))]


# ---- protocols that no rule can name ---------------------------------------------------------------------------------

def _shots(*wanted: tuple[str, str, bool]) -> Custom:
    """GRE and an experimental protocol between these, in each family."""
    def custom(world: World) -> list[Outcome]:
        return shoot(world, [
            Shot(f"IP protocol {number} {source} -> {target}", source, target,
                 other(world.address(source, family), world.address(target, family), number), allowed)
            for family in world.facts.families for source, target, allowed in wanted for number in (GRE, EXPERIMENT)])
    return custom


def _unnamed() -> list[Case]:
    into = ("x/b", "y/a", "out")

    def arriving(*allowed: str) -> Custom:
        return _shots(*((source, "x/a", source in allowed) for source in into))

    # Another pair of ends than for ingress: without ports, whatever goes the other way counts as a reply for minutes.
    def leaving(*allowed: str) -> Custom:
        return _shots(*(("x/c", target, target in allowed) for target in into))

    every_port = [{"protocol": "TCP"}, {"protocol": "UDP"}, {"protocol": "SCTP"}]
    outside = [host_block("192.168.50.100"), host_block("fd00:50::100")]
    return [
        case("other-protocols-ingress", "other IP protocols pass by rules without ports only", "3.10",
             Step("no policies", custom=arriving(*into)),
             Step("closed", put(ingress("in", to=A)), custom=arriving()),
             Step("from x/b, no ports", put(ingress("in", {"from": [FROM_B]}, to=A)), custom=arriving("x/b")),
             Step("from x/b, all ports", put(ingress("in", {"from": [FROM_B], "ports": every_port}, to=A)),
                  custom=arriving()),
             Step("from outside by prefix, no ports", put(ingress("in", {"from": outside}, to=A)),
                  custom=arriving("out")),
             Step("deleted", delete_policies("x", "in"), custom=arriving(*into))),
        case("other-protocols-egress", "other IP protocols leave by rules without ports only", "3.10",
             Step("no policies", custom=leaving(*into)),
             Step("closed", put(egress("out", of=C)), custom=leaving()),
             Step("to y, no ports", put(egress("out", {"to": [{"namespaceSelector": match_labels(ns="y")}]}, of=C)),
                  custom=leaving("y/a")),
             Step("to anywhere, all ports", put(egress("out", {"ports": every_port}, of=C)), custom=leaving()),
             Step("to anywhere", put(egress("out", {}, of=C)), custom=leaving(*into)))]
