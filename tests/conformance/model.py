# SPDX-License-Identifier: Apache-2.0
"""Plain data of the conformance suite: the cluster, cases and their steps, and truth tables. No I/O, no packets.

A case module gives `cases(facts) -> list[Case]`. A case is a list of steps; a step changes Kubernetes objects, and says
which connections must then be possible (`want`). The engine asks the kernel the whole table of a step at once.

    Case("beyond/end-port", "a range of ports", "beyond", steps=(
        Step("53 to 80 from y", change=(Put(policy("x", "range", ingress=[{...}])),),
             want=lambda truth: (truth.deny_to("x/*"), truth.allow("y/*", "x/*", ports=range(53, 81)))),
    ))

Endpoints are names: a pod is "x/a", a node is "n1", the host outside of the cluster is "out".
"""
from __future__ import annotations

import copy
import fnmatch
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from world import World

Object = dict[str, Any]
Names = str | Iterable[str]

NODES = ("n1", "n2", "n3")
OUT = "out"
PROTOCOLS = ("tcp", "udp", "sctp")
# Every machine serves these, in each of the three protocols; 82 is served and has no name in any pod.
SERVED_PORTS = "52-54,79-86,443,7981,8080-8081,9090-9091"


# ---- objects -------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Port:
    """A port that a container declares."""

    name: str
    number: int
    protocol: str = "TCP"


# What upstream's and cyclonus' pods declare: one container port for each port and protocol.
SERVE_PORTS = tuple(Port(f"serve-{number}-{protocol}", number, protocol.upper())
                    for number in (80, 81) for protocol in PROTOCOLS)


@dataclass(frozen=True)
class Pod:
    """A pod of the cluster. `host` is the last number of both of its addresses, 2 to 250, and must be free on its node.

    The default pods use 10 to 18; take 30 and above for pods of your own.
    """

    namespace: str
    name: str
    node: str
    host: int
    labels: dict[str, str]
    ports: tuple[Port, ...] = SERVE_PORTS
    phase: str = "Running"
    host_network: bool = False
    families: tuple[int, ...] = (4, 6)
    uid: str = ""
    deleting: bool = False

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    def address(self, family: int) -> str:
        """The address in a family, whether or not the pod has that family."""
        if self.host_network:
            return node_address(self.node, family)
        return pod_address(self.node, self.host, family)

    def relabelled(self, **labels: str | None) -> Pod:
        """The same pod with labels set, or removed by None. Keys that are no Python names: labelled()."""
        return self.labelled(labels)

    def labelled(self, change: dict[str, str | None]) -> Pod:
        merged = {**self.labels, **change}
        return replace(self, labels={key: value for key, value in merged.items() if value is not None})

    def object(self) -> Object:
        """The pod as the API server shows it."""
        metadata: Object = {"namespace": self.namespace, "name": self.name, "labels": dict(self.labels),
                            "uid": self.uid or f"uid-{self.namespace}-{self.name}"}
        if self.deleting:
            metadata["deletionTimestamp"] = "2030-01-01T00:00:00Z"
            metadata["deletionGracePeriodSeconds"] = 30
        ports = [{"name": port.name, "containerPort": port.number, "protocol": port.protocol} for port in self.ports]
        spec: Object = {"nodeName": self.node, "containers": [{"name": "main", "ports": ports}]}
        if self.host_network:
            spec["hostNetwork"] = True
        ips = [self.address(family) for family in self.families]
        status: Object = {"phase": self.phase, "podIPs": [{"ip": ip} for ip in ips]}
        if ips:
            status["podIP"] = ips[0]
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


@dataclass(frozen=True)
class Namespace:
    """A namespace; kubernetes.io/metadata.name is added as the API server does."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)

    def labelled(self, change: dict[str, str | None]) -> Namespace:
        merged = {**self.labels, **change}
        return replace(self, labels={key: value for key, value in merged.items() if value is not None})

    def object(self) -> Object:
        return {"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": self.name, "labels": {"kubernetes.io/metadata.name": self.name, **self.labels}}}


def policy(namespace: str, name: str, pod_selector: Object | None = None, *, ingress: list[Object] | None = None,
           egress: list[Object] | None = None, types: list[str] | None = None) -> Object:
    """A NetworkPolicy. Arguments left at None do not stand in the object, except for podSelector ({})."""
    spec: Object = {"podSelector": pod_selector if pod_selector is not None else {}}
    for key, value in (("policyTypes", types), ("ingress", ingress), ("egress", egress)):
        if value is not None:
            spec[key] = copy.deepcopy(value)
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": namespace, "name": name}, "spec": spec}


def match_labels(**labels: str) -> Object:
    return {"matchLabels": labels}


def expression(key: str, operator: str, *values: str) -> Object:
    """A selector of one matchExpressions entry."""
    requirement: Object = {"key": key, "operator": operator}
    if values:
        requirement["values"] = list(values)
    return {"matchExpressions": [requirement]}


# ---- changes -------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Put:
    """Create or replace an object. A Pod with addresses that no machine has yet starts a machine with its servers and
    its Service, on the node that spec.nodeName names; a Pod whose addresses a machine has already is that machine."""

    object: Object


@dataclass(frozen=True)
class Delete:
    """Remove an object; a pod's machine ends with the last Pod that has its address. Deleting a Namespace removes what
    is in it."""

    kind: str
    namespace: str
    name: str


Change = Put | Delete


def put(*things: Pod | Namespace | Object) -> tuple[Change, ...]:
    return tuple(Put(thing if isinstance(thing, dict) else thing.object()) for thing in things)


def delete_policies(namespace: str, *names: str) -> tuple[Change, ...]:
    return tuple(Delete("NetworkPolicy", namespace, name) for name in names)


class Cluster:
    """The Kubernetes objects as they are now: a copy of the base, then changes."""

    def __init__(self, objects: Iterable[Object] = ()) -> None:
        self._objects: dict[tuple[str, str, str], Object] = {}
        for item in objects:
            self._put(item)

    def _put(self, item: Object) -> None:
        metadata = item["metadata"]
        self._objects[(item["kind"], metadata.get("namespace", ""), metadata["name"])] = copy.deepcopy(item)

    def apply(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change, Put):
                self._put(change.object)
                continue
            key = (change.kind, "" if change.kind == "Namespace" else change.namespace, change.name)
            if key not in self._objects:
                raise KeyError(f"{change.kind} {change.namespace}/{change.name}: there is none to delete")
            del self._objects[key]
            if change.kind == "Namespace":
                self._objects = {k: v for k, v in self._objects.items() if k[1] != change.name}

    def copy(self) -> Cluster:
        return Cluster(self._objects.values())

    def objects(self, kind: str) -> list[Object]:
        return [item for key, item in self._objects.items() if key[0] == kind]

    def get(self, kind: str, namespace: str, name: str) -> Object:
        return self._objects[(kind, namespace, name)]

    def policies(self) -> list[Object]:
        return self.objects("NetworkPolicy")

    def pods(self) -> dict[str, Object]:
        """Pods by "namespace/name", in the order of creation."""
        return {f"{key[1]}/{key[2]}": item for key, item in self._objects.items() if key[0] == "Pod"}

    def namespaces(self) -> dict[str, dict[str, str]]:
        """Labels by name."""
        return {key[2]: item["metadata"].get("labels", {}) for key, item in self._objects.items()
                if key[0] == "Namespace"}


# ---- facts: what every case may count on ---------------------------------------------------------------------------

def node_address(node: str, family: int) -> str:
    number = NODES.index(node) + 1
    return f"192.168.50.{number}" if family == 4 else f"fd00:50::{number}"


def pod_address(node: str, host: int, family: int) -> str:
    """Last parts are the same number in both families, so that prefixes of equal host bits hold the same pods."""
    number = NODES.index(node) + 1
    return f"10.244.{number}.{host}" if family == 4 else f"fd00:10:244:{number}::{host:x}"


def service_address(node: str, host: int, family: int) -> str:
    """The ClusterIP of the pod that has this place."""
    number = NODES.index(node) + 1
    return f"10.96.{number}.{host}" if family == 4 else f"fd00:10:96:{number}::{host:x}"


def block(address: str, host_bits: int) -> str:
    """The prefix around an address: block("10.244.1.18", 8) is 10.244.1.0/24."""
    parsed = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((parsed, parsed.max_prefixlen - host_bits), strict=False))


OUT_ADDRESS = {4: "192.168.50.100", 6: "fd00:50::100"}
# More addresses of the outside host, for ipBlock cases.
OUT_EXTRA = {4: ("203.0.113.10", "203.0.113.20", "198.51.100.7"),
             6: ("2001:db8:99::10", "2001:db8:99::20", "fc00:99::10")}

# Every namespace has a pair on one node (a, b) and pairs across; every node has pods of two namespaces.
SPREAD = {"x/a": ("n1", 10), "x/b": ("n1", 11), "x/c": ("n2", 12),
          "y/a": ("n2", 13), "y/b": ("n2", 14), "y/c": ("n3", 15),
          "z/a": ("n3", 16), "z/b": ("n3", 17), "z/c": ("n1", 18)}


@dataclass(frozen=True)
class Facts:
    """The world before a case changes it. Known without making it, so that cases can be listed and judged offline."""

    kind: str = "routed"  # of the pods: "routed" or "bridged"
    families: tuple[int, ...] = (4, 6)

    def namespaces(self) -> dict[str, Namespace]:
        """x, y and z, labelled ns=<name>."""
        return {name: Namespace(name, {"ns": name}) for name in ("x", "y", "z")}

    def pods(self) -> dict[str, Pod]:
        """The nine, labelled pod=<name>."""
        return {key: Pod(*key.split("/"), node, host, {"pod": key[2:]}, families=self.families)
                for key, (node, host) in SPREAD.items()}

    def pod(self, key: str) -> Pod:
        return self.pods()[key]

    def new_pod(self, key: str, node: str, host: int, **options: Any) -> Pod:
        """A pod of a case's own, labelled pod=<name> unless options say other labels."""
        namespace, name = key.split("/")
        options.setdefault("labels", {"pod": name})
        options.setdefault("families", self.families)
        return Pod(namespace, name, node, host, **options)

    def node_objects(self) -> list[Object]:
        return [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": node},
                 "spec": {"podCIDRs": [block(pod_address(node, 0, family), 8 if family == 4 else 64)
                                       for family in self.families]},
                 "status": {"addresses": [{"type": "InternalIP", "address": node_address(node, family)}
                                          for family in self.families]}} for node in NODES]

    def cluster(self) -> Cluster:
        return Cluster([*(item.object() for item in self.namespaces().values()), *self.node_objects(),
                        *(pod.object() for pod in self.pods().values())])


# ---- truth ---------------------------------------------------------------------------------------------------------

class Cell(NamedTuple):
    """One question: may `source` open a connection to `target`?"""

    source: str
    target: str
    protocol: str  # tcp, udp, sctp, icmp
    port: int      # 0 for icmp


@dataclass(frozen=True)
class Scope:
    """Which cells a step asks: every source × every target × every protocol × every port. Names may be globs; None:
    the live pods of the moment (pod network, not finished). ICMP has one cell, whatever the ports."""

    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    protocols: tuple[str, ...] = ("tcp",)
    ports: tuple[int, ...] = (80, 81)
    # How a pod is addressed: "service" (its ClusterIP, which translates ports 53, 80 and 81), "pod" (its own address),
    # "node" (the node's address: you will have made a NodePort first). ICMP, and endpoints that are no pods, are always
    # asked at their own address.
    via: str = "service"
    # "allowed": a pod reaches itself, whatever the policies. "ignored": not asked.
    diagonal: str = "allowed"
    families: tuple[int, ...] = (4, 6)


def matches(name: str, patterns: Names) -> bool:
    if isinstance(patterns, str):
        return fnmatch.fnmatchcase(name, patterns)
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class Truth:
    """What must be possible in one family: a table of cells, all true at first. Names are globs or lists of globs.

    `cluster` holds the objects as they are in this step: labels, namespaces and policies, for whoever computes a table.
    The diagonal (an endpoint to itself) stays true: policy cannot cut a pod off from itself.
    """

    def __init__(self, family: int, cluster: Cluster, sources: list[str], targets: list[str], scope: Scope) -> None:
        self.family = family
        self.cluster = cluster
        self.sources = sources
        self.targets = targets
        self.scope = scope
        self.cells: dict[Cell, bool] = {}
        for source in sources:
            for target in targets:
                if source == target and scope.diagonal == "ignored":
                    continue
                for protocol in scope.protocols:
                    for port in (0,) if protocol == "icmp" else scope.ports:
                        self.cells[Cell(source, target, protocol, port)] = True

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def set(self, allowed: bool, source: Names = "*", target: Names = "*", *, protocols: Names = "*",
            ports: Iterable[int] | int | None = None) -> Truth:
        """Set every cell that matches; `ports` None: every port, and ICMP."""
        if isinstance(ports, int):
            ports = (ports,)
        wanted = None if ports is None else set(ports)
        for cell in self.cells:
            if (cell.source != cell.target and matches(cell.source, source) and matches(cell.target, target)
                    and matches(cell.protocol, protocols) and (wanted is None or cell.port in wanted)):
                self.cells[cell] = allowed
        return self

    def deny(self, source: Names = "*", target: Names = "*", **which: Any) -> Truth:
        return self.set(False, source, target, **which)

    def allow(self, source: Names = "*", target: Names = "*", **which: Any) -> Truth:
        return self.set(True, source, target, **which)

    def deny_to(self, target: Names, **which: Any) -> Truth:
        return self.deny("*", target, **which)

    def deny_from(self, source: Names, **which: Any) -> Truth:
        return self.deny(source, "*", **which)

    def deny_within(self, names: Names, **which: Any) -> Truth:
        return self.deny(names, names, **which)

    def fill(self, judge: Callable[[Cell], bool]) -> Truth:
        """Every cell but the diagonal by a function."""
        for cell in self.cells:
            if cell.source != cell.target:
                self.cells[cell] = judge(cell)
        return self

    def drop(self, source: Names = "*", target: Names = "*") -> Truth:
        """Do not ask these at all."""
        self.cells = {cell: allowed for cell, allowed in self.cells.items()
                      if not (matches(cell.source, source) and matches(cell.target, target))}
        return self


# ---- cases ---------------------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Probe:
    """One connection attempt that is no cell of a table; World.ask sends many at once.

    `source` is an endpoint (it sends from its own namespace); `target` an endpoint or an address.
    """

    source: str
    target: str
    protocol: str = "tcp"
    port: int = 80
    family: int = 4
    via: str = "pod"  # as in Scope
    source_address: str = ""  # "" the endpoint's own


@dataclass(frozen=True)
class Outcome:
    """One finding of Step.custom: counted as a probe, and as a mismatch when it is not as wanted."""

    what: str
    wanted: str
    got: str
    family: int = 4

    @property
    def ok(self) -> bool:
        return self.wanted == self.got


@dataclass(frozen=True)
class Step:
    """Change objects, wait until every node has applied them, then compare what is with what must be.

    `want` is given a Truth of each family with everything true and sets what is not; without `want` no table is asked.
    `custom` is for what a table cannot say (forged sources, link-local, NodePorts, unprivileged processes …): it is
    called after the table, in the settled world, and returns one Outcome for everything it tried. Whatever it changes
    in the world beside Kubernetes objects it must undo itself, or leave to World.at_end.
    """

    title: str
    change: tuple[Change, ...] = ()
    want: Callable[[Truth], Any] | None = None
    custom: Callable[[World], list[Outcome]] | None = None
    scope: Scope | None = None  # else the case's
    # Compare the table with `netpolctl check`, too. False where the packet that is judged is not the one that is named
    # (NodePorts with a masqueraded source, for example).
    check: bool = True


@dataclass(frozen=True)
class Case:
    """A named case. `name` is unique, without blanks, and begins with its group: "upstream/01-default-deny-ingress"."""

    name: str
    title: str
    group: str  # upstream, generated, beyond
    steps: tuple[Step, ...] = ()
    tags: frozenset[str] = frozenset()
    # What the world must have, else the case does not run there: "routed", "bridged", "ipv4", "ipv6", "dual".
    needs: frozenset[str] = frozenset()
    scope: Scope = Scope()
    # More options of netpold for this case; the daemons are started again with them, and again without.
    netpold: tuple[str, ...] = ()
    # Part of `--short`.
    short: bool = False
