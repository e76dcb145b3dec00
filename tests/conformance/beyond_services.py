# SPDX-License-Identifier: Apache-2.0
"""Services: what policy sees when an address was translated on the way: the pod and its own port, nothing virtual."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from beyond_common import Ask, Custom, asking, case, deny_all, egress, host_block, ingress, open_to_all, scope
from model import OUT_ADDRESS, Case, Facts, Object, Outcome, Pod, Probe, Step, match_labels, node_address, policy, \
    put, service_address
from world import World

A = match_labels(pod="a")
TO_Y: Object = {"to": [{"namespaceSelector": match_labels(ns="y")}]}
PROTOCOLS = ("tcp", "udp", "sctp")
NODE_PORT = 30080
# Virtual addresses of this module's own; the pods' Services stand in 10.96.1.0/24 to 10.96.3.0/24.
VIP = {4: "10.96.200.1", 6: "fd00:10:96:200::1"}
LOAD_BALANCER = {4: "198.51.100.200", 6: "2001:db8:99:200::1"}
NODE_DNS = {4: "169.254.20.10", 6: "fd00:169:254:20::10"}


def cases(facts: Facts) -> list[Case]:
    return [*_node_ports(), *_load_balancers(), *_host_ports(), *_cluster_ips(facts), *_hairpins(facts),
            *_on_nodes(facts)]


# ---- what kube-proxy and the portmap plugin write --------------------------------------------------------------------

def translate(world: World, node: str, family: int, address: str, port: int, target: str, target_port: int, *,
              masquerade: bool = False) -> None:
    """DNAT on a node until the case ends, for what comes to it and what it sends; masqueraded by kube-proxy's mark."""
    to = f"{target}:{target_port}" if family == 4 else f"[{target}]:{target_port}"
    for protocol in PROTOCOLS:
        match = ("-d", address, "-p", protocol, "-m", protocol, "--dport", str(port))
        for chain in ("PREROUTING", "OUTPUT"):
            world.nat(node, family, chain, *match, "-j", "DNAT", "--to-destination", to)
            if masquerade:
                world.nat(node, family, chain, *match, "-j", "KUBE-MARK-MASQ")


def _blocks(addresses: dict[int, str]) -> list[Object]:
    return [host_block(address) for address in addresses.values()]


def _node(node: str) -> dict[int, str]:
    return {family: node_address(node, family) for family in (4, 6)}


def _in(*peers: Object, port: int = 80) -> Object:
    """Ingress of x/a from these on one port of every protocol."""
    ports = [{"protocol": protocol.upper(), "port": port} for protocol in PROTOCOLS]
    return ingress("in", {"from": list(peers), "ports": ports}, to=A)


CLIENT = _blocks(OUT_ADDRESS)


def _dials(address: Callable[[str, int], str], port: int, what: str) -> Callable[..., Custom]:
    """Questions: from an endpoint to an address that is named by a word, in each protocol."""
    def rows(*wanted: tuple[str, str, bool]) -> Custom:
        def questions(_: World, family: int) -> Iterator[Ask]:
            for source, place, allowed in wanted:
                for protocol in PROTOCOLS:
                    yield Ask(f"{source} -> {what} {place} {protocol}",
                              Probe(source, address(place, family), protocol, port, family), allowed)
        return asking(questions)
    return rows


def _first(setup: Callable[[World, int], None], custom: Custom) -> Custom:
    """A custom that sets the world up in each family before it asks."""
    def both(world: World) -> list[Outcome]:
        for family in world.facts.families:
            setup(world, family)
        return custom(world)
    return both


# ---- NodePorts -------------------------------------------------------------------------------------------------------

_node_port = _dials(node_address, NODE_PORT, "NodePort of")


def _ports_on(pod: str, *nodes: str, masquerade: bool) -> Callable[[World, int], None]:
    def setup(world: World, family: int) -> None:
        for node in nodes:
            translate(world, node, family, node_address(node, family), NODE_PORT, world.address(pod, family), 80,
                      masquerade=masquerade)
    return setup


def _node_ports() -> list[Case]:
    # The backend is x/a, on n1.
    cluster = _ports_on("x/a", "n1", "n2", masquerade=True)
    local = _ports_on("x/a", "n1", masquerade=False)
    for_pods = _ports_on("y/a", "n1", "n3", masquerade=True)
    return [
        case("node-port-of-other-node",
             "NodePort of another node, policy Cluster: the source is that node, and no exemption",
             "3.9 case-48",
             Step("no policies", custom=_first(cluster, _node_port(("out", "n2", True), ("n2", "n2", True)))),
             Step("from the client", put(_in(*CLIENT)), custom=_node_port(("out", "n2", False), ("n2", "n2", False))),
             Step("from n2", put(_in(*_blocks(_node("n2")))),
                  custom=_node_port(("out", "n2", True), ("n2", "n2", True))),
             Step("from nowhere", put(ingress("in", to=A)),
                  custom=_node_port(("out", "n2", False), ("n2", "n2", False))),
             short=True),
        case("node-port-of-own-node",
             "NodePort of the pod's own node, policy Cluster: the source is the client, no node traffic; "
             "a process of that node is node traffic", "3.9 3.4 case-48",
             Step("no policies", custom=_first(
                 cluster, _node_port(("out", "n1", True), ("n3", "n1", True), ("n1", "n1", True)))),
             Step("deny-all", put(deny_all(A)),
                  custom=_node_port(("out", "n1", False), ("n3", "n1", False), ("n1", "n1", True))),
             Step("and from the client", put(_in(*CLIENT)),
                  custom=_node_port(("out", "n1", True), ("n3", "n1", False), ("n1", "n1", True))),
             Step("and from n1's address instead", put(_in(*_blocks(_node("n1")))),
                  custom=_node_port(("out", "n1", False), ("n3", "n1", False), ("n1", "n1", True)))),
        case("node-port-local", "NodePort with policy Local: the client's address, and the container's port", "3.9",
             Step("no policies", custom=_first(
                 local, _node_port(("out", "n1", True), ("n3", "n1", True), ("n1", "n1", True)))),
             Step("from the client on 80", put(_in(*CLIENT)),
                  custom=_node_port(("out", "n1", True), ("n3", "n1", False), ("n1", "n1", True))),
             Step("from the client on the NodePort's number", put(_in(*CLIENT, port=NODE_PORT)),
                  custom=_node_port(("out", "n1", False), ("n1", "n1", True)))),
        case("node-port-from-pod",
             "a pod at a NodePort: of its own node it is judged by the backend; of another node by that node's address",
             "3.9 3.5",
             Step("no policies", custom=_first(for_pods, _node_port(("x/a", "n1", True), ("x/a", "n3", True)))),
             Step("to namespace y", put(egress("out", TO_Y, of=A)),
                  custom=_node_port(("x/a", "n1", True), ("x/a", "n3", False))),
             Step("to n3", put(egress("out", {"to": _blocks(_node("n3"))}, of=A)),
                  custom=_node_port(("x/a", "n1", False), ("x/a", "n3", True))),
             Step("to n1", put(egress("out", {"to": _blocks(_node("n1"))}, of=A)),
                  custom=_node_port(("x/a", "n1", False), ("x/a", "n3", False))))]


# ---- load balancers and hostPorts ------------------------------------------------------------------------------------

def _load_balancers() -> list[Case]:
    def balancer(node: str, masquerade: bool) -> Callable[[World, int], None]:
        """The virtual address is routed to a node, as by BGP or a cloud's balancer that keeps addresses."""
        def setup(world: World, family: int) -> None:
            length = 32 if family == 4 else 128
            route = (f"{LOAD_BALANCER[family]}/{length}", "via", node_address(node, family))
            world.run("out", "ip", f"-{family}", "route", "add", *route)
            world.at_end(lambda: world.run("out", "ip", f"-{family}", "route", "del", *route))
            translate(world, node, family, LOAD_BALANCER[family], 80, world.address("x/a", family), 80,
                      masquerade=masquerade)
        return setup

    dial = _dials(lambda _, family: LOAD_BALANCER[family], 80, "LoadBalancer by")
    return [
        case("load-balancer-cluster", "LoadBalancer by another node, policy Cluster: the source is that node",
             "3.9 case-48",
             Step("no policies", custom=_first(balancer("n2", True), dial(("out", "n2", True)))),
             Step("from the client", put(_in(*CLIENT)), custom=dial(("out", "n2", False))),
             Step("from n2", put(_in(*_blocks(_node("n2")))), custom=dial(("out", "n2", True))),
             Step("from the virtual address", put(_in(*_blocks(LOAD_BALANCER))), custom=dial(("out", "n2", False)))),
        case("load-balancer-local", "LoadBalancer by the pod's node, policy Local: the source is the client", "3.9",
             Step("no policies", custom=_first(balancer("n1", False), dial(("out", "n1", True)))),
             Step("deny-all", put(deny_all(A)), custom=dial(("out", "n1", False))),
             Step("and from the client", put(_in(*CLIENT)), custom=dial(("out", "n1", True))),
             Step("and from n1 instead", put(_in(*_blocks(_node("n1")))), custom=dial(("out", "n1", False))))]


def _host_ports() -> list[Case]:
    dial = _dials(node_address, 443, "hostPort of")

    def setup(world: World, family: int) -> None:
        translate(world, "n1", family, node_address("n1", family), 443, world.address("x/a", family), 8080)
    return [
        case("host-port", "a hostPort is the container's port, whatever the number in front", "3.9 4.8",
             Step("no policies", custom=_first(setup, dial(("out", "n1", True), ("n2", "n1", True)))),
             Step("deny-all", put(deny_all(A)),
                  custom=dial(("out", "n1", False), ("n2", "n1", False), ("n1", "n1", True))),
             Step("and from the client on 8080", put(_in(*CLIENT, port=8080)),
                  custom=dial(("out", "n1", True), ("n2", "n1", False))),
             Step("and from the client on 443 instead", put(_in(*CLIENT, port=443)),
                  custom=dial(("out", "n1", False))))]


# ---- ClusterIPs ------------------------------------------------------------------------------------------------------

def _cluster_ips(facts: Facts) -> list[Case]:
    backend = facts.pod("y/a")
    virtual = {family: service_address(backend.node, backend.host, family) for family in (4, 6)}
    real = {family: backend.address(family) for family in (4, 6)}
    area = scope("x/a x/b", "y/a", protocols="tcp udp sctp", via="service")
    services: list[Object] = [{"ipBlock": {"cidr": "10.96.0.0/16"}}, {"ipBlock": {"cidr": "fd00:10:96::/48"}}]

    def moved(world: World, family: int) -> None:
        for node in ("n1", "n2"):
            translate(world, node, family, VIP[family], 80, world.address("y/a", family), 8080)

    dial = _dials(lambda _, family: VIP[family], 80, "Service 80 to 8080 of")

    def on(port: int) -> Object:
        ports = [{"protocol": protocol.upper(), "port": port} for protocol in PROTOCOLS]
        return egress("out", {**TO_Y, "ports": ports}, of=A)
    return [
        case("cluster-ip-by-prefix", "a prefix with the ClusterIP matches nothing, one with the backend's address does",
             "3.8 case-28", Step("to the ClusterIP", put(egress("out", {"to": _blocks(virtual)}, of=A)),
                                 lambda truth: truth.deny("x/a")),
             Step("to all ClusterIPs", put(egress("out", {"to": services}, of=A)), lambda truth: truth.deny("x/a")),
             Step("to the backend", put(egress("out", {"to": _blocks(real)}, of=A)), open_to_all), area=area),
        case("cluster-ip-target-port", "policy sees the port of the container, not that of the Service", "3.8 case-29",
             Step("no policies", custom=_first(moved, dial(("x/a", "y/a", True), ("x/c", "y/a", True)))),
             Step("egress on 80", put(on(80)), custom=dial(("x/a", "y/a", False), ("x/c", "y/a", True))),
             Step("egress on 8080", put(on(8080)), custom=dial(("x/a", "y/a", True))),
             Step("ingress on 80", put(ingress("in", {"ports": [{"port": 80}]}, namespace="y")),
                  custom=dial(("x/a", "y/a", False), ("x/c", "y/a", False))),
             Step("ingress on 8080", put(ingress("in", {"ports": [
                 {"protocol": protocol.upper(), "port": 8080} for protocol in PROTOCOLS]}, namespace="y")),
                 custom=dial(("x/a", "y/a", True), ("x/c", "y/a", True)))),
        case("cluster-ip-keeps-client", "the source behind a ClusterIP is the client pod, on one node and across",
             "3.8", Step("from x/b alone", put(ingress("in", {"from": [{
                 "podSelector": match_labels(pod="b"), "namespaceSelector": match_labels(ns="x")}]}, namespace="y"),
                 ingress("in", {"from": [{"podSelector": match_labels(pod="b")}]}, to=A)),
                 lambda truth: truth.deny().allow("x/b")),
             area=scope("x/b x/c z/a", "x/a y/a y/c", protocols="tcp udp sctp", via="service"))]


def _hairpins(facts: Facts) -> list[Case]:
    everyone = scope("x/a x/b x/c", "x/a x/b x/c", protocols="tcp udp sctp", via="service")
    itself = ("127.0.0.1", "::1")

    def loopback(world: World, family: int) -> Iterator[Ask]:
        for pod in ("x/a", "x/b", "x/c"):
            for name, target in (("loopback", itself[family == 6]), ("its own address", world.address(pod, family))):
                for protocol in ("tcp", "udp", "sctp", "icmp"):
                    yield Ask(f"{pod} -> {name} {protocol}",
                              Probe(pod, target, protocol, 80, family, source_address=target), True)
        # 127.0.0.0/8 is more than one address.
        if family == 4:
            yield Ask("x/a -> 127.1.2.3", Probe("x/a", "127.1.2.3", "tcp", 80, 4, source_address="127.0.0.1"), True)

    def two_backends(world: World, family: int) -> None:
        """A Service of x/a and x/b; which of them answers is decided by the port, not by chance."""
        translate(world, "n1", family, VIP[family], 80, world.address("x/a", family), 80)
        translate(world, "n1", family, VIP[family], 81, world.address("x/b", family), 81)
        for pod in ("x/a", "x/b"):
            address = world.address(pod, family)
            world.nat("n1", family, "POSTROUTING", "-s", address, "-d", address, "-j", "MASQUERADE")

    def at(port: int, what: str) -> Callable[..., Custom]:
        return _dials(lambda _, family: VIP[family], port, what)
    to_a, to_b = at(80, "their Service landing on x/a, asked as"), at(81, "their Service landing on x/b, asked as")

    def landing(itself_only: bool) -> Custom:
        def custom(world: World) -> list[Outcome]:
            return [*to_a(("x/a", "self", True), ("x/b", "sibling", not itself_only))(world),
                    *to_b(("x/b", "self", True), ("x/a", "sibling", not itself_only))(world)]
        return custom
    return [
        case("loopback", "nothing of a pod's own: 127.0.0.0/8, ::1, its own address, is ever cut", "3.6 case-43",
             Step("deny-all in x", put(deny_all()), custom=asking(loopback)), short=True),
        case("hairpin-own-service", "under deny-all a pod's own Service works, and that of a sibling does not",
             "3.7 3.6 case-43", Step("deny-all in x", put(deny_all()), lambda truth: truth.deny()), area=everyone,
             short=True),
        case("hairpin-two-backends",
             "a Service of two pods: landing on itself it works, landing on an isolated sibling not",
             "3.7 case-43", Step("no policies", custom=_first(two_backends, landing(False))),
             Step("deny-all in x", put(deny_all()), custom=landing(True)),
             Step("ingress closed alone", put(policy("x", "deny-all", types=["Ingress"])), custom=landing(True)),
             Step("egress closed alone", put(policy("x", "deny-all", types=["Egress"])), custom=landing(True)))]


# ---- what is not a pod behind a Service ------------------------------------------------------------------------------

def _on_nodes(facts: Facts) -> list[Case]:
    # 8080 of n2 stands for the API server's 6443.
    server = Pod("x", "apiserver", "n2", 2, {"component": "kube-apiserver"}, host_network=True, families=facts.families)

    def kubernetes(world: World, family: int) -> None:
        for node in ("n1", "n2"):
            translate(world, node, family, VIP[family], 443, node_address("n2", family), 8080)
    api = _dials(lambda _, family: VIP[family], 443, "Service kubernetes on")

    def on(peer: list[Object], port: int) -> Object:
        ports = [{"protocol": protocol.upper(), "port": port} for protocol in PROTOCOLS]
        return egress("out", {"to": peer, "ports": ports}, of=A)
    n2 = _blocks(_node("n2"))
    its_pod: list[Object] = [{"podSelector": match_labels(component="kube-apiserver")}]

    def local_dns(world: World, family: int) -> None:
        """A cache on the node, with an address of its own and no connection tracking, as NodeLocalDNS has it."""
        address = NODE_DNS[family]
        length = "32" if family == 4 else "128"
        world.run("n1", "ip", "addr", "add", f"{address}/{length}", "dev", "lo", *(("nodad",) if family == 6 else ()))
        world.at_end(lambda: world.run("n1", "ip", "addr", "del", f"{address}/{length}", "dev", "lo"))
        tool = "iptables-legacy" if family == 4 else "ip6tables-legacy"
        for chain, end in (("PREROUTING", "-d"), ("OUTPUT", "-s")):
            rule = (chain, end, address, "-j", "NOTRACK")
            world.run("n1", tool, "-w", "-t", "raw", "-A", *rule)
            world.at_end(partial(world.run, "n1", tool, "-w", "-t", "raw", "-D", *rule))
    dns = _dials(lambda _, family: NODE_DNS[family], 53, "node-local DNS on")
    every_pod: list[Object] = [{"namespaceSelector": {}}]
    return [
        case("service-kubernetes", "the API server is its node's address and real port, whatever its Service says",
             "3.18 case-49",
             Step("no policies", custom=_first(kubernetes, api(("x/a", "n2", True), ("x/b", "n2", True)))),
             Step("to its pod on 443", put(server, on(its_pod, 443)),
                  custom=api(("x/a", "n2", False), ("x/b", "n2", True))),
             Step("to its pod on the real port", put(on(its_pod, 8080)), custom=api(("x/a", "n2", False))),
             Step("to the node on 443", put(on(n2, 443)), custom=api(("x/a", "n2", False))),
             Step("to the node on the real port", put(on(n2, 8080)), custom=api(("x/a", "n2", True)))),
        case("node-local-dns",
             "node-local DNS is an address of the node, without connection tracking: only a prefix opens it, "
             "and its answers arrive", "3.18 3.5 case-75",
             Step("no policies", custom=_first(local_dns, dns(("x/a", "n1", True), ("x/b", "n1", True)))),
             Step("to all pods", put(on(every_pod, 53)), custom=dns(("x/a", "n1", False), ("x/b", "n1", True))),
             Step("to its address on 53", put(on(_blocks(NODE_DNS), 53)), custom=dns(("x/a", "n1", True))),
             Step("to its address on 80", put(on(_blocks(NODE_DNS), 80)), custom=dns(("x/a", "n1", False))))]
