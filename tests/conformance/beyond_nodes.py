# SPDX-License-Identifier: Apache-2.0
"""Nodes and hostNetwork pods: who is exempt (a node towards its own pods), and who only looks like it."""
from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from beyond_common import Ask, Custom, asking, case, deny_all, egress, host_block, ingress, scope
from model import NODES, OUT_EXTRA, Case, Facts, Object, Outcome, Pod, Port, Probe, Step, Truth, delete_policies, \
    match_labels, node_address, pod_address, put
from world import World

A = match_labels(pod="a")
EVERY_PROTOCOL = "tcp udp sctp icmp"


def cases(facts: Facts) -> list[Case]:
    return [*_to_pods(), *_to_nodes(), *_host_network(facts), *_neither_end()]


def _node_blocks(node: str) -> list[Object]:
    return [host_block(node_address(node, family)) for family in (4, 6)]


def _gateway(node: str, family: int) -> str:
    """The node's address on its pods' network."""
    return pod_address(node, 1, family)


def _to_pods() -> list[Case]:
    everything = scope("n1 n2 n3 out", "x/a x/b x/c", protocols=EVERY_PROTOCOL, ports=(53, 80, 7981))

    def own_nodes_only(truth: Truth) -> Truth:
        return truth.deny().allow("n1", ["x/a", "x/b"]).allow("n2", "x/c")

    def from_gateways(allowed: bool) -> Custom:
        """x/a is on n1: whatever address n1 sends from, it is the node; n2 and n3 are strangers from every address."""
        def questions(world: World, family: int) -> Iterator[Ask]:
            for node in NODES:
                for protocol in ("tcp", "udp", "sctp", "icmp"):
                    probe = Probe(node, "x/a", protocol, 80, family, source_address=_gateway(node, family))
                    yield Ask(f"{node} from its address on the pods' network -> x/a {protocol}", probe,
                              allowed or node == "n1")
        return asking(questions)

    from_n2 = ingress("from-n2", {"from": _node_blocks("n2"), "ports": [{"port": 80}]})
    return [
        case("node-to-own-pod",
             "a node reaches its own pods under deny-all, on every port and protocol; other nodes and hosts do not",
             "3.4 case-41 case-42", Step("deny-all in x", put(deny_all()), own_nodes_only), area=everything,
             short=True),
        case("node-to-own-pod-any-address",
             "a node is exempt with its address on the pods' network, too; another node is not",
             "3.4 case-41", Step("no policies", custom=from_gateways(True)),
             Step("deny-all in x", put(deny_all()), custom=from_gateways(False))),
        case("other-node-by-prefix", "another node is an address: only an ipBlock or a rule without peers lets it in",
             "3.4 2.7 case-12",
             Step("n2 on TCP 80", put(deny_all(), from_n2),
                  lambda truth: own_nodes_only(truth).allow("n2", "x/*", protocols="tcp", ports=80)),
             Step("all pods of all namespaces", put(ingress("from-n2", {"from": [{"namespaceSelector": {}}]})),
                  own_nodes_only),
             Step("no peers", put(ingress("from-n2", {"ports": [{"port": 80}]})),
                  lambda truth: own_nodes_only(truth).allow(protocols="tcp", ports=80)), area=everything),
        case("node-by-cluster-ip",
             "a process of a node that uses a ClusterIP is node traffic on that node, and else a stranger",
             "3.4 3.8 case-41", Step("deny-all in x", put(deny_all()), own_nodes_only),
             Step("and n2 on TCP 80", put(from_n2),
                  lambda truth: own_nodes_only(truth).allow("n2", protocols="tcp", ports=80)),
             area=scope("n1 n2 n3", "x/a x/b x/c", protocols="tcp udp", via="service"))]


def _to_nodes() -> list[Case]:
    area = scope("x/a x/b", "n1 n2 out", protocols=EVERY_PROTOCOL)

    def other_addresses(allowed: dict[str, bool]) -> Custom:
        def questions(_: World, family: int) -> Iterator[Ask]:
            for node in ("n1", "n2"):
                for protocol in ("tcp", "udp", "sctp", "icmp"):
                    yield Ask(f"x/a -> {node} at its address on the pods' network, {protocol}",
                              Probe("x/a", _gateway(node, family), protocol, 80, family), allowed[node])
        return asking(questions)

    to_n1 = egress("to-n1", {"to": _node_blocks("n1"), "ports": [{"port": 80}]}, of=A)
    any_port = egress("to-n2", {"to": _node_blocks("n2")}, of=A)
    return [
        case("pod-to-own-node", "egress policy holds towards the own node, too, at each of its addresses",
             "3.5 case-47",
             Step("no policies", custom=other_addresses({"n1": True, "n2": True})),
             Step("x/a sends nothing", put(egress("none", of=A)), lambda truth: truth.deny_from("x/a"),
                  custom=other_addresses({"n1": False, "n2": False})),
             Step("and TCP 80 to n1's address", put(to_n1),
                  lambda truth: truth.deny_from("x/a").allow("x/a", "n1", protocols="tcp", ports=80),
                  custom=other_addresses({"n1": False, "n2": False})),
             Step("and everything to n2's address", put(any_port),
                  lambda truth: truth.deny_from("x/a").allow("x/a", "n1", protocols="tcp", ports=80).allow("x/a", "n2"),
                  custom=other_addresses({"n1": False, "n2": False})), area=area, short=True),
        case("pod-to-node-by-selector", "selectors never match a node: not the own one, not another one", "1.1 3.5",
             Step("to all pods of all namespaces", put(egress("pods", {"to": [{"namespaceSelector": {}}]}, of=A)),
                  lambda truth: truth.deny("x/a", ["n1", "n2", "out"])),
             area=scope("x/a x/b", "n1 n2 out x/b y/a z/a", protocols=EVERY_PROTOCOL, ports=(80,))),
        case("pod-to-own-node-exempt",
             "--host-egress=allow exempts the own node and no other one, and nothing of ingress",
             "3.5", Step("deny-all for x/a", put(deny_all(A)),
                         lambda truth: truth.deny_from("x/a").deny(["out", "n2"], "x/a").allow("x/a", "n1"),
                         scope=scope("x/a n1 n2 out", "x/a n1 n2 out", protocols=EVERY_PROTOCOL, ports=(80,)),
                         # netpolctl check judges with the default.
                         check=False, custom=other_addresses({"n1": True, "n2": False})),
             netpold=("--host-egress=allow",))]


def _host_network(facts: Facts) -> list[Case]:
    on_n2 = Pod("x", "host", "n2", 2, {"pod": "host", "component": "kube-apiserver"},
                (Port("http", 80), Port("https", 443)), host_network=True, families=facts.families)
    host = match_labels(pod="host")
    from_host: Object = {"from": [{"podSelector": host}]}
    area = scope("n1 n2 out x/b", "x/a", protocols=EVERY_PROTOCOL, ports=(80, 443))
    to_host = scope("x/a", "n1 n2 out", protocols="tcp icmp", ports=(80, 443))
    return [
        case("host-network-peer-ingress", "a hostNetwork pod is no peer of a selector; its node's prefix matches it",
             "2.7 case-39 case-12",
             Step("from the hostNetwork pod of n2", put(on_n2, ingress("from-host", from_host, to=A)),
                  lambda truth: truth.deny().allow("n1")),
             Step("from its node's prefix", put(ingress("from-host", {"from": _node_blocks("n2")}, to=A)),
                  lambda truth: truth.deny().allow(["n1", "n2"])),
             Step("from all pods", put(ingress("from-host", {"from": [{"namespaceSelector": {}}]}, to=A)),
                  lambda truth: truth.deny().allow(["n1", "x/b"])), area=area),
        case("host-network-peer-egress", "towards a hostNetwork pod only its node's prefix helps, with the real port",
             "2.7 3.18 case-49", Step("to the hostNetwork pod", put(on_n2, egress("to-host", {"to": [
                 {"podSelector": match_labels(component="kube-apiserver")}], "ports": [{"port": 443}]}, of=A)),
                 lambda truth: truth.deny()),
             Step("to its node on 443", put(egress("to-host", {"to": _node_blocks("n2"), "ports": [{"port": 443}]},
                                                   of=A)),
                  lambda truth: truth.deny().allow("x/a", "n2", protocols="tcp", ports=443)), area=to_host),
        case("host-network-subject", "a hostNetwork pod is never isolated: its node stays reachable and can send",
             "2.7 case-40", Step("deny-all for all of x, the hostNetwork pod too", put(on_n2, deny_all()),
                                 lambda truth: truth.deny("*", "x/a").deny("x/a")),
             Step("deny-all for the hostNetwork pod alone", (*delete_policies("x", "deny-all"), *put(
                 ingress("host", to=host), egress("host-egress", of=host))), lambda truth: None),
             area=scope("x/a y/a n2 n3 out", "x/a y/a n2 n3 out", protocols=EVERY_PROTOCOL, ports=(80,))),
        case("host-network-port-names", "the port names of hostNetwork pods open nothing", "4.7 4.5 case-35",
             Step("egress to http and https, no peers", put(on_n2, egress("names", {"ports": [
                 {"port": "http"}, {"port": "https"}]}, of=A)), lambda truth: truth.deny()), area=to_host)]


def _neither_end() -> list[Case]:
    def transit(world: World) -> list[Outcome]:
        """n2 asks the outside host at an address that it has routed by n1."""
        for family in world.facts.families:
            route = (f"-{family}", "route", "replace", OUT_EXTRA[family][1], "via", node_address("n1", family))
            world.run("n2", "ip", *route)
            gone = (f"-{family}", "route", "del", OUT_EXTRA[family][1])
            world.at_end(partial(world.run, "n2", "ip", *gone))

        def questions(_: World, family: int) -> Iterator[Ask]:
            for protocol in ("tcp", "udp", "sctp", "icmp"):
                yield Ask(f"n2 -> outside by n1 {protocol}", Probe("n2", OUT_EXTRA[family][1], protocol, 80, family),
                          True)
        return asking(questions)(world)

    return [
        case("neither-end-is-a-pod", "nodes and outside hosts among themselves, and through a node: untouched",
             "3.21 case-74",
             Step("deny-all in x, y and z", put(*(deny_all(namespace=name) for name in ("x", "y", "z"))),
                  lambda truth: None,
                  custom=transit),
             area=scope("n1 n2 n3 out", "n1 n2 n3 out", protocols=EVERY_PROTOCOL, ports=(80,)))]
