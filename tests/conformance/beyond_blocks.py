# SPDX-License-Identifier: Apache-2.0
"""Prefixes: what `except` takes away and what not, spellings, the whole of a family, and families beside each other."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from beyond_common import ALL, Ask, Custom, Want, asking, case, egress, host_block, ingress, ip_block, scope
from model import OUT_EXTRA, Case, Facts, Object, Outcome, Probe, Step, Truth, block, delete_policies, match_labels, \
    pod_address, put
from world import World

A = match_labels(pod="a")
FROM_B: Object = {"podSelector": match_labels(pod="b")}
# OUT_EXTRA has two neighbours in one /24 and /64, and one address elsewhere.
NEAR, EXCEPTED, ELSEWHERE = range(3)
WIDE = {4: "203.0.113.0/24", 6: "2001:db8:99::/64"}
HOLE = {4: "203.0.113.16/28", 6: "2001:db8:99::20/124"}
METADATA = "169.254.169.254"


def cases(facts: Facts) -> list[Case]:
    return [*_excepts(facts), *_spellings(), *_families(), *_single_stack(facts), *_whole_families()]


def _both(text: dict[int, str], excepts: dict[int, str] | None = None) -> list[Object]:
    """An ipBlock in each family."""
    return [ip_block(text[family], *([excepts[family]] if excepts else [])) for family in (4, 6)]


def _from_outside(near: bool, excepted: bool, elsewhere: bool, *, port: int = 80, only: int = 0) -> Custom:
    """To x/a from the outside host's three addresses."""
    def questions(_: World, family: int) -> Iterator[Ask]:
        if only and family != only:
            return
        for index, wanted in ((NEAR, near), (EXCEPTED, excepted), (ELSEWHERE, elsewhere)):
            for protocol in ("tcp", "udp"):
                address = OUT_EXTRA[family][index]
                yield Ask(f"{address} -> x/a {protocol}/{port}",
                          Probe("out", "x/a", protocol, port, family, source_address=address), wanted)
    return asking(questions)


def _and(*customs: Custom) -> Custom:
    return lambda world: [outcome for custom in customs for outcome in custom(world)]


_OPEN = _from_outside(True, True, True)


def _in(*peers: Object, **rule: list[Object]) -> Object:
    return {"from": list(peers), **rule}


def _excepts(facts: Facts) -> list[Case]:
    wide = _both(WIDE, HOLE)
    hole = _both(HOLE)
    pod_b = facts.pod("x/b")
    around_b = {family: block(pod_b.address(family), 8) for family in (4, 6)}
    just_b = {family: f"{pod_b.address(family)}/{32 if family == 4 else 128}" for family in (4, 6)}
    tcp_and_udp: list[Object] = [{"port": 81}, {"protocol": "UDP", "port": 81}]
    lower = {4: "203.0.113.0/28", 6: "2001:db8:99::10/124"}
    return [
        case("except-same-rule", "except takes out of its own block only: another block of the same rule gives it back",
             "3.16 case-22", Step("no policies", custom=_OPEN),
             Step("a block with an except", put(ingress("in", _in(*wide), to=A)),
                  custom=_from_outside(True, False, False)),
             Step("and the excepted block", put(ingress("in", _in(*wide, *hole), to=A)),
                  custom=_from_outside(True, True, False)), short=True),
        case("except-other-policy", "another policy or another rule gives it back, for that rule's ports",
             "3.16 case-23",
             Step("no policies", custom=_and(_OPEN, _from_outside(True, True, True, port=81))),
             Step("another policy", put(ingress("in", _in(*wide), to=A), ingress("hole", _in(*hole), to=A)),
                  custom=_from_outside(True, True, False)),
             Step("another rule, with ports", (*delete_policies("x", "hole"), *put(
                 ingress("in", _in(*wide), _in(*hole, ports=tcp_and_udp), to=A))),
                 custom=_and(_from_outside(True, False, False), _from_outside(True, True, False, port=81)))),
        case("except-two-blocks", "two blocks, each excepting what the other one holds", "3.16 case-24",
             Step("no policies", custom=_OPEN),
             Step("both", put(ingress("in", _in(*_both(WIDE, HOLE), *_both(WIDE, lower)), to=A)),
                  custom=_from_outside(True, True, False))),
        case("except-and-selector", "a pod in an except is still a peer of a selector", "3.16 3.15 case-25",
             Step("the pods of n1 except x/b", put(ingress("in", _in(*_both(around_b, just_b)), to=A)),
                  lambda truth: truth.deny().allow("z/c")),
             Step("and x/b by a selector", put(ingress("in", _in(*_both(around_b, just_b), FROM_B), to=A)),
                  lambda truth: truth.deny().allow(["x/b", "z/c"])),
             area=replace(scope("x/b z/c x/c out", "x/a"), protocols=ALL.protocols)),
        case("except-several", "excepts that overlap, repeat and nest, beside a block that nests in one of them",
             "1.4 3.16",
             Step("no policies", custom=_OPEN),
             Step("everything excepted", put(ingress("in", _in(
                 ip_block(WIDE[4], HOLE[4], HOLE[4], "203.0.113.20/32", lower[4]),
                 ip_block(WIDE[6], HOLE[6], HOLE[6], "2001:db8:99::20/128", lower[6])), to=A)),
                 custom=_from_outside(False, False, False)),
             Step("and one address of an except", put(ingress("in", _in(
                 ip_block(WIDE[4], HOLE[4], lower[4]), ip_block(WIDE[6], HOLE[6], lower[6]),
                 host_block(OUT_EXTRA[4][EXCEPTED]), host_block(OUT_EXTRA[6][EXCEPTED])), to=A)),
                 custom=_from_outside(False, True, False))),
        case("except-egress", "except for what is sent", "3.16 3.15",
             Step("to the pods of n2 except y/a, and the outside network", put(egress("out", {"to": [
                 ip_block(block(pod_address("n2", 0, family), 8),
                          host_block(pod_address("n2", 13, family))["ipBlock"]["cidr"])
                 for family in (4, 6)] + _both({4: "192.168.50.0/24", 6: "fd00:50::/64"},
                                               {4: "192.168.50.2/32", 6: "fd00:50::2/128"})}, of=A)),
                 lambda truth: truth.deny().allow("x/a", ["x/c", "y/b", "out", "n1", "n3"])),
             area=replace(scope("x/a", "x/b x/c y/a y/b z/a out n1 n2 n3"), protocols=ALL.protocols))]


def _spellings() -> list[Case]:
    def spelled(name: str, title: str, v4: str, v6: str, *wanted: bool) -> Case:
        return case(name, title, "1.4 case-27", Step("no policies", custom=_OPEN),
                    Step(f"{v4} and {v6}", put(ingress("in", _in(ip_block(v4), ip_block(v6)), to=A)),
                         custom=_from_outside(*wanted)))
    return [
        spelled("prefix-host-bits", "bits behind the prefix do not count", "203.0.113.5/24", "2001:db8:99::5/64",
                True, True, False),
        spelled("prefix-leading-zeros", "leading zeros are decimal", "203.000.113.020/32", "2001:0db8:0099::0020/128",
                False, True, False),
        case("prefix-octal-trap", "010 is ten, not eight", "1.4 case-27",
             Step("010.244.0.0/16", put(ingress("in", _in(ip_block("010.244.0.0/16")), to=A)),
                  lambda truth: truth.deny().allow(["x/b", "y/a"])),
             area=scope("x/b y/a out n2", "x/a", protocols="tcp icmp", families=(4,)), needs="ipv4"),
        case("prefix-mapped", "::ffff:a.b.c.d/n is the IPv4 prefix of n - 96 bits", "1.4 case-27",
             Step("::ffff:10.244.0.0/112", put(ingress("in", _in(ip_block("::ffff:10.244.0.0/112")), to=A)),
                  lambda truth: truth.deny().allow(["x/b", "y/a"]) if truth.family == 4 else truth.deny()),
             area=scope("x/b y/a out n2", "x/a", protocols="tcp icmp")),
        case("prefix-sloppy-except", "an except with host bits and leading zeros", "1.4",
             Step("no policies", custom=_OPEN),
             Step("203.0.113.9/24 except 203.0.113.021/28", put(ingress("in", _in(
                 ip_block("203.0.113.9/24", "203.0.113.021/28"), ip_block("2001:db8:99::9/64", "2001:db8:99::2f/124")),
                 to=A)), custom=_from_outside(True, False, False)))]


def _families() -> list[Case]:
    protocols = "tcp udp sctp icmp"
    into, out = scope("x/b y/a out", "x/a", protocols=protocols), scope("x/a", "x/b y/a out n2", protocols=protocols)

    def only(family: int) -> Want:
        return lambda truth: truth if truth.family == family else truth.deny()
    return [
        case("family-of-rule-ingress", "a rule of one family isolates both: 0.0.0.0/0 and ::/0 alone", "3.17 case-26",
             Step("0.0.0.0/0", put(ingress("in", _in(ip_block("0.0.0.0/0")), to=A)), only(4)),
             Step("::/0", put(ingress("in", _in(ip_block("::/0")), to=A)), only(6)),
             Step("both", put(ingress("in", _in(ip_block("0.0.0.0/0"), ip_block("::/0")), to=A)), lambda truth: None),
             area=into, needs="dual", short=True),
        case("family-of-rule-egress", "a rule of one family isolates both, for what is sent", "3.17 case-26",
             Step("0.0.0.0/0", put(egress("out", {"to": [ip_block("0.0.0.0/0")]}, of=A)), only(4)),
             Step("::/0", put(egress("out", {"to": [ip_block("::/0")]}, of=A)), only(6)), area=out, needs="dual"),
        case("family-of-one-address", "a rule that names one IPv4 address isolates IPv6, too", "3.17",
             Step("from x/b's IPv4 address", put(ingress("in", _in(host_block(pod_address("n1", 11, 4))), to=A)),
                  lambda truth: truth.deny().allow("x/b") if truth.family == 4 else truth.deny()), area=into,
             needs="dual"),
        case("family-of-selector", "a selector holds both addresses of a pod", "2.1 3.17 case-59",
             Step("from pod b of x", put(ingress("in", _in(FROM_B), to=A), egress("out", {"to": [FROM_B]}, of=A)),
                  lambda truth: truth.deny_from("x/a").deny_to("x/a").allow("x/b", "x/a").allow("x/a", "x/b")),
             area=scope("x/a x/b x/c y/b", "x/a x/b x/c y/b", protocols=protocols), short=True)]


def _single_stack(facts: Facts) -> list[Case]:
    four = facts.new_pod("x/four", "n1", 40, families=(4,))
    six = facts.new_pod("x/six", "n2", 41, families=(6,))
    area = scope("x/four x/six x/b", "x/four x/six x/b", protocols="tcp udp icmp", ports=(80,))

    def among(truth: Truth) -> None:
        truth.deny("x/b", "*").deny("*", "x/b").allow(["x/four", "x/six"], "x/b")
    return [case("family-of-pod", "pods of one family in a cluster of both: as subjects and as peers", "2.1 2.2 3.17",
                 Step("both pods", put(four, six), lambda truth: None, scope=area),
                 Step("x/four and x/six are isolated", put(ingress("in", to={"matchExpressions": [
                     {"key": "pod", "operator": "In", "values": ["four", "six"]}]})),
                      lambda truth: truth.deny_to(["x/four", "x/six"]), scope=area),
                 Step("x/b takes from them only", (*delete_policies("x", "in"), *put(
                     ingress("b", _in({"podSelector": {"matchExpressions": [
                         {"key": "pod", "operator": "In", "values": ["four", "six"]}]}}), to=match_labels(pod="b")),
                     egress("b", of=match_labels(pod="b")))), among, scope=area), needs="dual", control=False)]


def _whole_families() -> list[Case]:
    area = scope("x/b y/a out", "x/a", protocols="tcp udp icmp")
    low, high = [ip_block("0.0.0.0/1"), ip_block("::/1")], [ip_block("128.0.0.0/1"), ip_block("8000::/1")]

    def pods_only(truth: Truth) -> None:
        # Pods are in the lower half of IPv4 and in the upper half of IPv6; outside is in the upper half of both.
        truth.deny().allow(["x/b", "y/a"]) if truth.family == 4 else truth.deny()

    def upper(truth: Truth) -> None:
        truth.deny().allow("out") if truth.family == 4 else truth

    def six(*wanted: bool) -> Custom:
        return _from_outside(*wanted, only=6)

    def metadata(world: World, wanted: bool, others: bool) -> list[Outcome]:
        def questions(_: World, family: int) -> Iterator[Ask]:
            if family == 4:
                yield Ask(f"x/a -> {METADATA}", Probe("x/a", METADATA, "tcp", 80, 4), wanted)
            for protocol in ("tcp", "udp", "icmp"):
                yield Ask(f"x/a -> outside {protocol}", Probe("x/a", "out", protocol, 80, family),
                          others or (family == 4 and not wanted))
        return asking(questions)(world)

    def with_metadata(world: World) -> list[Outcome]:
        world.run("out", "ip", "addr", "add", f"{METADATA}/32", "dev", "lo")
        world.at_end(lambda: world.run("out", "ip", "addr", "del", f"{METADATA}/32", "dev", "lo"))
        return metadata(world, True, True)
    return [
        case("halves", "/1 is half of a family, two halves are all of it", "3.17 case-26",
             Step("0.0.0.0/1 and ::/1", put(ingress("in", _in(*low), to=A)), pods_only),
             Step("128.0.0.0/1 and 8000::/1", put(ingress("in", _in(*high), to=A)), upper),
             Step("all four", put(ingress("in", _in(*low, *high), to=A)), lambda truth: None), area=area),
        case("lower-half-of-ipv6", "::/0 holds what is below 8000::, and what is above", "3.17",
             Step("no policies", custom=six(True, True, True)),
             Step("::/1", put(ingress("in", _in(ip_block("::/1")), to=A)), custom=six(True, True, False)),
             Step("8000::/1", put(ingress("in", _in(ip_block("8000::/1")), to=A)), custom=six(False, False, True)),
             Step("::/0", put(ingress("in", _in(ip_block("::/0")), to=A)), custom=six(True, True, True)), needs="ipv6"),
        case("whole-family-with-except",
             "0.0.0.0/0 except the metadata address: that one closed, other IPv4 open, IPv6 closed",
             "3.19 3.17 case-50", Step("no policies", custom=with_metadata),
             Step("in force", put(egress("out", {"to": [ip_block("0.0.0.0/0", f"{METADATA}/32")]}, of=A)),
                  custom=lambda world: metadata(world, False, False)), needs="ipv4"),
        case("whole-families-with-except", "/0 of both families, each without one address", "3.17 3.16",
             Step("no policies", custom=_OPEN),
             Step("in force", put(ingress("in", _in(
                 ip_block("0.0.0.0/0", f"{OUT_EXTRA[4][EXCEPTED]}/32"),
                 ip_block("::/0", f"{OUT_EXTRA[6][EXCEPTED]}/128")), to=A)),
                 custom=_from_outside(True, False, True)))]
