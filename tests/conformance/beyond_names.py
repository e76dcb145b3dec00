# SPDX-License-Identifier: Apache-2.0
"""Named ports: whose they are, which containers give them, and what a name that nobody has opens (nothing)."""
from __future__ import annotations

from dataclasses import replace

from beyond_common import Want, case, egress, host_block, ingress, ip_block, scope
from model import OUT_ADDRESS, Case, Change, Delete, Facts, Object, Port, Put, Step, Truth, match_labels, pod_address, \
    put

A = match_labels(pod="a")
FROM_B: Object = {"podSelector": match_labels(pod="b")}
EVERY_POD: Object = {"namespaceSelector": {}}
PORTS = (80, 81, 8080, 9090, 9091)
HTTP, HTTP_ELSEWHERE = Port("http", 80), Port("http", 8080)


def cases(facts: Facts) -> list[Case]:
    return [*_ingress(facts), *_egress(facts), *_containers(facts), *_no_such_name(facts)]


def _declares(facts: Facts, key: str, *ports: Port) -> Object:
    """The pod with these ports. Ports of a pod never change, so it is another pod than the one before."""
    names = "-".join(f"{port.name}-{port.number}-{port.protocol}" for port in ports)
    return replace(facts.pod(key), ports=ports, uid=f"uid-{key.replace('/', '-')}-{names}".lower()).object()


def _named(*names: str, protocol: str = "") -> list[Object]:
    return [{"port": name, **({"protocol": protocol} if protocol else {})} for name in names]


def _ingress(facts: Facts) -> list[Case]:
    two = put(_declares(facts, "x/a", HTTP), _declares(facts, "x/b", HTTP_ELSEWHERE))
    area = scope("x/c y/a z/a out", "x/a x/b", protocols="tcp udp", ports=PORTS)

    def each_its_own(*sources: str) -> Want:
        return lambda truth: truth.deny().allow(sources, "x/a", protocols="tcp", ports=80).allow(
            sources, "x/b", protocols="tcp", ports=8080)

    # What the source declares must not matter: it has the name for yet another number.
    source = put(_declares(facts, "x/c", Port("http", 9090)))
    client = [host_block(address) for address in OUT_ADDRESS.values()]
    return [
        case("name-per-pod-ingress", "a name opens on each selected pod that pod's own number", "4.4 case-30",
             Step("http from anywhere", (*two, *put(ingress("in", {"ports": _named("http")}))), each_its_own("*"),
                  scope=area),
             area=area, short=True),
        case("name-not-of-source", "the ports of the source play no part", "4.4",
             Step("http from pod c", (*two, *source, *put(ingress(
                 "in", {"from": [{"podSelector": match_labels(pod="c")}], "ports": _named("http")}))),
                 each_its_own("x/c")), area=area),
        case("name-from-prefix", "a name with an ipBlock, ingress: resolved on the selected pods", "4.4 case-37",
             Step("http from outside", (*two, *put(ingress("in", {"from": client, "ports": _named("http")}))),
                  each_its_own("out")), area=area),
        case("name-and-number", "a name beside numbers and a range in one list", "4.7 0",
             Step("http, 81 and 9090 to 9091", (*two, *put(ingress("in", {"ports": [
                 *_named("http"), {"port": 81}, {"port": 9090, "endPort": 9091}]}))),
                 lambda truth: truth.deny().allow(protocols="tcp", ports=(81, 9090, 9091)).allow(
                     "*", "x/a", protocols="tcp", ports=80).allow("*", "x/b", protocols="tcp", ports=8080)), area=area)]


def _egress(facts: Facts) -> list[Case]:
    two = put(_declares(facts, "x/b", HTTP), _declares(facts, "y/a", HTTP_ELSEWHERE))
    area = scope("x/a", "x/b x/c y/a z/a n1 n2 out", protocols="tcp udp icmp", ports=PORTS)

    def out(**rule: list[Object]) -> tuple[Change, ...]:
        return (*two, *put(egress("out", rule, of=A)))

    def reaches(**ports: tuple[int, ...]) -> Want:
        def want(truth: Truth) -> None:
            truth.deny()
            for pod, open_ports in ports.items():
                truth.allow("x/a", pod.replace("_", "/"), protocols="tcp", ports=open_ports)
        return want

    blocks = [ip_block("10.244.0.0/16"), ip_block("fd00:10:244::/48"), *(host_block(it) for it in OUT_ADDRESS.values())]
    only_n1 = [ip_block("10.244.1.0/24"), ip_block("fd00:10:244:1::/64")]
    return [
        case("name-per-pod-egress", "a name for egress is each destination pod's own number", "4.5 case-36",
             Step("http to all pods", out(to=[EVERY_POD], ports=_named("http")), reaches(x_b=(80,), y_a=(8080,))),
             area=area, short=True),
        case("name-egress-anywhere",
             "a name for egress without peers: every pod of the cluster that has it, and nothing else",
             "4.5 case-35", Step("http", out(ports=_named("http")), reaches(x_b=(80,), y_a=(8080,))), area=area),
        case("name-egress-prefix",
             "a name for egress with an ipBlock: pods in the block that have it, and nothing else",
             "4.6 case-38", Step("http to pods and outside by prefix", out(to=blocks, ports=_named("http")),
                                 reaches(x_b=(80,), y_a=(8080,))),
             Step("http to the pods of n1 by prefix", out(to=only_n1, ports=_named("http")), reaches(x_b=(80,))),
             Step("http and 81 to the pods of n1 by prefix", out(to=only_n1, ports=[*_named("http"), {"port": 81}]),
                  lambda truth: truth.deny().allow("x/a", "x/b", protocols="tcp", ports=(80, 81))), area=area),
        case("name-egress-except", "an except takes a pod out of a block for names, too", "4.6 3.16",
             Step("http to pods by prefix, without y/a", out(to=[
                 ip_block("10.244.0.0/16", f"{pod_address('n2', 13, 4)}/32"),
                 ip_block("fd00:10:244::/48", f"{pod_address('n2', 13, 6)}/128")], ports=_named("http")),
                  reaches(x_b=(80,))),
             area=area),
        case("name-egress-pod-changes", "the number follows the pod: replaced, gone, come", "4.8 4.5",
             Step("http", out(ports=_named("http")), reaches(x_b=(80,), y_a=(8080,))),
             Step("x/b is replaced by one with another number", put(_declares(facts, "x/b", Port("http", 9090))),
                  reaches(x_b=(9090,), y_a=(8080,))),
             Step("x/b has it no more", put(_declares(facts, "x/b")), reaches(y_a=(8080,))),
             Step("y/a has finished its life, x/c has it now", (*put(_declares(facts, "x/c", Port("http", 81))), Delete(
                 "Pod", "y", "a")), reaches(x_c=(81,)), scope=scope("x/a", "x/b x/c z/a n1 n2 out", protocols="tcp udp",
                                                                    ports=PORTS)), area=area)]


def _containers(facts: Facts) -> list[Case]:
    area = scope("x/b y/a out", "x/a", protocols="tcp udp", ports=PORTS)

    def with_containers(uid: str, containers: list[Object], init: list[Object]) -> Put:
        pod = replace(facts.pod("x/a"), uid=f"uid-x-a-{uid}").object()
        pod["spec"]["containers"] = [{"name": f"c{index}", **it} for index, it in enumerate(containers)]
        pod["spec"]["initContainers"] = [{"name": f"i{index}", **it} for index, it in enumerate(init)]
        return Put(pod)

    def port(name: str, number: int, protocol: str = "") -> Object:
        return {"ports": [{"name": name, "containerPort": number, **({"protocol": protocol} if protocol else {})}]}

    rule = put(ingress("in", {"ports": _named("metrics")}, to=A))

    def only(*ports: int) -> Want:
        return lambda truth: truth.deny().allow(protocols="tcp", ports=ports)
    return [
        case("name-twice", "two containers with one name: both numbers", "4.3 case-33",
             Step("metrics", (with_containers("twice", [port("metrics", 9090), port("metrics", 9091)], []), *rule),
                  only(9090, 9091)), area=area),
        case("name-of-init-container", "a restartable init container's name counts, a plain one's does not",
             "4.1 4.2 case-34",
             Step("restartable", (with_containers("sidecar", [{}], [
                 {**port("metrics", 9090), "restartPolicy": "Always"}]), *rule), only(9090)),
             Step("plain", (with_containers("plain", [{}], [port("metrics", 9090)]),), only()),
             Step("both, and a container", (with_containers("three", [port("metrics", 80)], [
                 port("metrics", 81), {**port("metrics", 9090), "restartPolicy": "Always"}]),), only(80, 9090)),
             area=area),
        case("name-host-port", "hostPort plays no part", "4.1",
             Step("metrics", (with_containers("host-port", [
                 {"ports": [{"name": "metrics", "containerPort": 9090, "hostPort": 9091}]}], []), *rule), only(9090)),
             area=area),
        case("name-default-protocol", "a container's port without a protocol is TCP, as an entry without one is",
             "4.1 1.1",
             Step("metrics", (with_containers("default", [port("metrics", 9090)], []), *rule), only(9090)),
             Step("metrics of UDP", put(ingress("in", {"ports": _named("metrics", protocol="UDP")}, to=A)), only()),
             area=area)]


def _no_such_name(facts: Facts) -> list[Case]:
    dns = put(_declares(facts, "x/a", Port("dns", 53, "UDP"), HTTP))
    area = scope("x/b y/a out", "x/a", protocols="tcp udp sctp icmp", ports=(53, 80, 81))
    both = put(_declares(facts, "x/a", Port("same", 80, "TCP"), Port("same", 81, "UDP")))
    return [
        case("name-wrong-protocol", "a name of another protocol opens nothing, in neither", "4.7 case-31",
             Step("dns as TCP", (*dns, *put(ingress("in", {"ports": _named("dns")}, to=A))),
                  lambda truth: truth.deny()),
             Step("dns as UDP", put(ingress("in", {"ports": _named("dns", protocol="UDP")}, to=A)),
                  lambda truth: truth.deny().allow(protocols="udp", ports=53)), area=area),
        case("name-in-two-protocols", "one name for two protocols: each entry in its own", "4.1 4.3",
             Step("same as TCP", (*both, *put(ingress("in", {"ports": _named("same")}, to=A))),
                  lambda truth: truth.deny().allow(protocols="tcp", ports=80)),
             Step("same as TCP and UDP", put(ingress(
                 "in", {"ports": [*_named("same"), *_named("same", protocol="UDP")]}, to=A)),
                  lambda truth: truth.deny().allow(protocols="tcp", ports=80).allow(protocols="udp", ports=81)),
             area=area),
        case("name-unknown", "a name that no pod has opens nothing, and the rest of its list stays", "4.7 case-32",
             Step("nope", put(ingress("in", {"ports": _named("nope")}, to=A)), lambda truth: truth.deny()),
             Step("nope and 81", put(ingress("in", {"ports": [*_named("nope"), {"port": 81}]}, to=A)),
                  lambda truth: truth.deny().allow(protocols="tcp", ports=81)),
             Step("nope from x/b beside everything from y", put(ingress(
                 "in", {"from": [FROM_B], "ports": _named("nope")},
                 {"from": [{"namespaceSelector": match_labels(ns="y")}]},
                 to=A)), lambda truth: truth.deny().allow("y/a")), area=area, short=True),
        case("name-unknown-egress", "the same for egress", "4.7",
             Step("nope", put(egress("out", {"ports": _named("nope")}, of=A)), lambda truth: truth.deny()),
             Step("nope and 81", put(egress("out", {"ports": [*_named("nope"), {"port": 81}]}, of=A)),
                  lambda truth: truth.deny().allow(protocols="tcp", ports=81)),
             area=scope("x/a", "x/b y/a out n2", protocols="tcp udp icmp"))]
