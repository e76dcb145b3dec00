# SPDX-License-Identifier: Apache-2.0
"""Ports: ranges and their edges, long lists, whole protocols, what a port list never lets through."""
from __future__ import annotations

from beyond_common import case, egress, host_block, ingress, open_to_all, scope
from model import Case, Facts, Object, Step, Truth, match_labels, node_address, pod_address, put

EDGES = (52, 53, 80, 81)
A = match_labels(pod="a")


def cases(facts: Facts) -> list[Case]:
    return [*_ranges(), *_egress_ranges(), *_lists(), *_whole_protocols()]


def _range(first: int, last: int, protocol: str = "") -> Object:
    return {"port": first, "endPort": last, **({"protocol": protocol} if protocol else {})}


def _ranges() -> list[Case]:
    def with_ports(name: str, title: str, clauses: str, ports: list[Object], protocol: str, *open_ports: int,
                   short: bool = False) -> Case:
        step = Step(title, put(ingress("range", {"ports": ports}, to=A)),
                    lambda truth: truth.deny().allow(protocols=protocol, ports=open_ports))
        area = scope("x/b y/a out", "x/a", protocols="tcp udp sctp", ports=EDGES)
        return case(name, title, clauses, step, area=area, short=short)
    return [
        with_ports("end-port-edges", "53 to 80 is 53 and 80, not 52, not 81, not UDP", "0 case-9", [_range(53, 80)],
                   "tcp", 53, 80, short=True),
        with_ports("end-port-equal", "endPort equal to port is that port", "1.1 case-9", [_range(80, 80)], "tcp", 80),
        with_ports("end-port-udp", "a range of UDP is no range of TCP", "0", [_range(53, 80, "UDP")], "udp", 53, 80),
        with_ports("end-port-sctp", "a range of SCTP is no range of TCP", "0 3.14", [_range(53, 80, "SCTP")], "sctp",
                   53, 80),
        with_ports("end-port-union", "ranges that touch, overlap and contain one another are united", "0",
                   [_range(53, 79), _range(80, 80), _range(60, 80), _range(54, 70), {"port": 53}], "tcp", 53, 80),
        with_ports("end-port-all", "1 to 65535 is all of one protocol and nothing of the others", "0",
                   [_range(1, 65535)], "tcp", *EDGES)]


def _egress_ranges() -> list[Case]:
    peers = [{"namespaceSelector": match_labels(ns="y")}]
    area = scope("x/a", "x/b y/a out n2", protocols="tcp udp", ports=EDGES)
    return [
        case("end-port-egress", "a range for egress to pods of one namespace", "0 4.8",
             Step("53 to 80 to y", put(egress("range", {"to": peers, "ports": [_range(53, 80)]}, of=A)),
                  lambda truth: truth.deny().allow("x/a", "y/a", protocols="tcp", ports=(53, 80))), area=area),
        case("end-port-egress-anywhere", "a range for egress without peers: pods, nodes and outside", "0 1.1",
             Step("53 to 80", put(egress("range", {"ports": [_range(53, 80), _range(81, 81, "UDP")]}, of=A)),
                  lambda truth: truth.deny().allow(protocols="tcp", ports=(53, 80)).allow(protocols="udp", ports=81)),
             area=area)]


def _lists() -> list[Case]:
    served = (52, 53, 54, 79, 80, 81, 443, 7981, 8080, 8081, 9090, 9091)
    numbers: list[Object] = [{"port": 1001 + 2 * index} for index in range(30)]
    ranges = [_range(2000 + 10 * index, 2005 + 10 * index) for index in range(30)]
    wide = scope("x/b out", "x/a", protocols="tcp udp", ports=served)

    def open_first_and_last(truth: Truth) -> None:
        truth.deny().allow(protocols="tcp", ports=(53, 443, 9091))

    def mixture(truth: Truth) -> None:
        truth.deny().allow(protocols="tcp", ports=(80, 8080, 8081)).allow(protocols="udp", ports=(53, 54))

    def both(truth: Truth) -> None:
        truth.deny().allow("x/b", protocols="tcp", ports=(53, 443)).allow("out", protocols="tcp", ports=(80, 81, 443))

    mixed = [{"port": 80}, *numbers, _range(8080, 8081), *ranges, {"protocol": "UDP", "port": 53},
             {"protocol": "UDP", "port": 54}]
    odd = [*ranges, {"port": 443}, *numbers]
    blocks = [host_block(pod_address("n2", host, family)) for family in (4, 6) for host in range(20, 220)]
    return [
        case("ports-more-than-15", "31 single ports in one list: first, 15th and last", "case-71",
             Step("53, 14 others, 443, others, 9091", put(ingress("many", {"ports": [
                 {"port": 53}, *numbers[:13], {"port": 443}, *numbers[13:], {"port": 9091}]}, to=A)),
                  open_first_and_last),
             area=wide, short=True),
        case("ports-many-ranges", "62 ports and ranges of two protocols in one list", "case-71",
             Step("80, 8080 to 8081, and 53 to 54 of UDP among them", put(ingress("many", {"ports": mixed}, to=A)),
                  mixture),
             area=wide),
        case("ports-lists-of-rules", "a long list for a pod beside a long list for a prefix", "0 case-71",
             Step("53 and 443 from x/b, 80, 81 and 443 from outside", put(ingress(
                 "many", {"from": [{"podSelector": match_labels(pod="b")}], "ports": [*odd, {"port": 53}]},
                 {"from": [{"ipBlock": {"cidr": "192.168.50.0/24"}}, {"ipBlock": {"cidr": "fd00:50::/64"}}],
                  "ports": [{"port": 81}, *odd, {"port": 80}]}, to=A)), both), area=wide),
        case("ports-and-peers-many", "60 ports and 400 prefixes that match nobody, and one that does", "case-71",
             Step("from n3 on 80", put(ingress("many", {
                 "from": [*blocks[:100], host_block(node_address("n3", 4)), *blocks[100:],
                          host_block(node_address("n3", 6))],
                 "ports": [*ranges, *numbers, {"port": 80}]}, to=A)),
                 lambda truth: truth.deny().allow("n3", "x/a", ports=80)),
             area=scope("x/b y/a n2 n3 out", "x/a"))]


def _whole_protocols() -> list[Case]:
    every = scope("x/b y/a out", "x/a", protocols="tcp udp sctp icmp", ports=(53, 80, 9090))

    def only(protocol: str) -> Step:
        return Step(f"only {protocol}", want=lambda truth: truth.deny().allow(protocols=protocol))

    def replaced(ports: list[Object], step: Step) -> Step:
        return Step(f"ports {ports}", put(ingress("ports", {"ports": ports}, to=A)), step.want)
    return [
        case("ports-empty-entry", "an empty entry is all of TCP and nothing else", "1.1 case-7",
             replaced([{}], only("tcp")), area=every),
        case("ports-protocol-alone", "a protocol without a port is all of it: UDP, SCTP, both", "1.1 case-7",
             replaced([{"protocol": "UDP"}], only("udp")), replaced([{"protocol": "SCTP"}], only("sctp")),
             replaced([{"protocol": "UDP"}, {"protocol": "SCTP"}],
                      Step("", want=lambda truth: truth.deny().allow(protocols=("udp", "sctp")))), area=every),
        case("ports-absent", "no ports at all is every protocol and port", "1.1 case-6",
             Step("from and ports empty", put(ingress("ports", {"from": [], "ports": []}, to=A)), open_to_all),
             area=every),
        case("ports-unserved-number", "a number that no container declares", "4.8",
             Step("7981", put(ingress("ports", {"ports": [{"port": 7981}]}, to=A)),
                  lambda truth: truth.deny().allow(protocols="tcp", ports=7981)),
             area=scope("x/b out", "x/a", protocols="tcp udp", ports=(80, 7981)))]
