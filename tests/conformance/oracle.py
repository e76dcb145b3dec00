# SPDX-License-Identifier: Apache-2.0
"""An independent judge of NetworkPolicy, written from the specification's reference alone (its sections 0 to 5).

It shares nothing with netpold but the objects: dicts as the API server shows them. Clause numbers are those of the
reference. Slow and plain on purpose: a judge is read more often than it is run.
"""
from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

Object = dict[str, Any]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

INGRESS, EGRESS = "Ingress", "Egress"
PROTOCOLS = ("TCP", "UDP", "SCTP")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
SELECTOR_KEYS = {"matchLabels", "matchExpressions"}
REQUIREMENT_KEYS = {"key", "operator", "values"}


class Sides(NamedTuple):
    """What each end says; the connection is possible when both do."""

    egress: bool
    ingress: bool

    @property
    def allowed(self) -> bool:
        return self.egress and self.ingress


@dataclass(frozen=True)
class Attempt:
    """One connection attempt, after Service translation. `node`: it was made on this node itself, not by a pod of the
    pod network; an address alone does not say so, and exempts nobody (3.4)."""

    source: str
    destination: str
    protocol: str  # TCP, UDP, SCTP, or another word: such has no ports
    port: int = 0
    node: str = ""


def parse_address(text: str) -> Address:
    """Leading zeros are decimal and ::ffff:a.b.c.d is IPv4 (1.4)."""
    address = _as_written(text)
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped or address


def _as_written(text: str) -> Address:
    head, colon, tail = text.rpartition(":")
    if "." in tail:
        tail = ".".join(str(int(part, 10)) for part in tail.split("."))
    if "%" in text:
        raise ValueError(f"{text}: zones have no place in policies")
    return ipaddress.ip_address(head + colon + tail)


def parse_cidr(text: str) -> Network | None:
    """Host bits are masked off, and IPv4 in IPv6 is IPv4 where all of the prefix is (1.4). None when it is no CIDR."""
    try:
        head, length = text.split("/")
        bits, written = int(length), _as_written(head)
        mapped = written.ipv4_mapped if isinstance(written, ipaddress.IPv6Address) and bits >= 96 else None
        return ipaddress.ip_network((mapped, bits - 96) if mapped else (written, bits), strict=False)
    except ValueError:
        return None


def requirement_matches(requirement: Object, labels: dict[str, str]) -> bool:
    """One matchExpressions entry (1.3); an operator that is not known matches nothing."""
    value = labels.get(requirement.get("key", ""))
    listed = requirement.get("values") or []
    operator = requirement.get("operator")
    if operator == "In":
        return value is not None and value in listed
    if operator == "NotIn":
        return value is None or value not in listed
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    return False


def selector_matches(selector: Object, labels: dict[str, str] | None, subject: bool = False) -> bool:
    """Of a peer, where unknown parts match nothing; of a subject, where what is known selects (1.5). labels None: those
    of a namespace that has not been seen, which only the empty selector matches (2.9)."""
    expressions = selector.get("matchExpressions") or []
    pairs = selector.get("matchLabels") or {}
    if not subject and (set(selector) - SELECTOR_KEYS or any(set(e) - REQUIREMENT_KEYS for e in expressions)):
        return False
    if labels is None:
        return not pairs and not expressions
    if any(labels.get(key) != value for key, value in pairs.items()):
        return False
    return all(requirement_matches(entry, labels) for entry in expressions if not subject or _is_known(entry))


def _is_known(requirement: Object) -> bool:
    return not set(requirement) - REQUIREMENT_KEYS and requirement.get("operator") in OPERATORS


def subject_is_partial(selector: Object) -> bool:
    """Something in spec.podSelector is not understood: such a policy isolates and grants nothing (1.5)."""
    return bool(set(selector) - SELECTOR_KEYS) or not all(
        _is_known(entry) for entry in selector.get("matchExpressions") or [])


def effective_types(spec: Object) -> set[str]:
    """policyTypes, or their default: Ingress, and Egress when there is an egress rule (1.2)."""
    types = spec.get("policyTypes") or []
    if types:
        return set(types) & {INGRESS, EGRESS}
    return {INGRESS, EGRESS} if spec.get("egress") else {INGRESS}


def is_live(pod: Object) -> bool:
    """A pod of the pod network that owns its addresses (0, 2.3, 2.7)."""
    return (not pod["spec"].get("hostNetwork")
            and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"))


def pod_addresses(pod: Object) -> list[Address]:
    status = pod.get("status", {})
    texts = [entry["ip"] for entry in status.get("podIPs") or []] or [status.get("podIP")]
    return [parse_address(text) for text in texts if text]


def named_ports(pod: Object, name: str, protocol: str) -> set[int]:
    """The numbers of a name on a pod: containers and restartable init containers, united (4.1 to 4.3)."""
    spec = pod["spec"]
    containers = list(spec.get("containers") or [])
    containers += [c for c in spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    return {port["containerPort"] for container in containers for port in container.get("ports") or []
            if port.get("name") == name and port.get("protocol", "TCP") == protocol}


class Oracle:
    """Judges attempts in one state of the cluster."""

    def __init__(self, namespaces: dict[str, dict[str, str]], pods: Iterable[Object],
                 policies: Iterable[Object]) -> None:
        """Node objects are not needed: a node's address is one like any other."""
        self.namespaces = namespaces
        self.policies = [_without_nulls(policy) for policy in policies]
        self.owners: dict[Address, Object] = {}
        for pod in pods:
            for address in pod_addresses(pod) if is_live(pod) else []:
                if address not in self.owners or _goes_before(pod, self.owners[address]):
                    self.owners[address] = pod

    def judge(self, attempt: Attempt) -> Sides:
        source, destination = parse_address(attempt.source), parse_address(attempt.destination)
        from_pod, to_pod = self.owners.get(source), self.owners.get(destination)
        if from_pod is not None and from_pod is to_pod:  # 3.6, 3.7
            return Sides(True, True)
        egress = from_pod is None or self._side(EGRESS, from_pod, destination, to_pod, to_pod, attempt)
        own_node = to_pod is not None and attempt.node and attempt.node == to_pod["spec"].get("nodeName")  # 3.4
        ingress = to_pod is None or bool(own_node) or self._side(INGRESS, to_pod, source, from_pod, to_pod, attempt)
        return Sides(egress, ingress)

    def _side(self, direction: str, pod: Object, other: Address, other_pod: Object | None, target: Object | None,
              attempt: Attempt) -> bool:
        """One end: open when nothing isolates it, else when some rule of some isolating policy matches (0, 3.1)."""
        isolated = False
        for policy in self.policies:
            spec = policy.get("spec") or {}
            if (policy["metadata"]["namespace"] != pod["metadata"]["namespace"]
                    or direction not in effective_types(spec)):
                continue
            selector = spec.get("podSelector") or {}
            if not selector_matches(selector, pod["metadata"].get("labels") or {}, subject=True):
                continue
            isolated = True
            if subject_is_partial(selector):
                continue
            for rule in spec.get(direction.lower()) or []:
                if self._rule_matches(direction, rule, policy["metadata"]["namespace"], other, other_pod, target,
                                      attempt):
                    return True
        return not isolated

    def _rule_matches(self, direction: str, rule: Object, namespace: str, other: Address, other_pod: Object | None,
                      target: Object | None, attempt: Attempt) -> bool:
        peers_key = "from" if direction == INGRESS else "to"
        if set(rule) - {peers_key, "ports"}:
            return False
        peers, ports = rule.get(peers_key) or [], rule.get("ports") or []
        return ((not peers or any(self._peer_matches(peer, namespace, other, other_pod) for peer in peers))
                and (not ports or any(_port_matches(port, target, attempt) for port in ports)))

    def _peer_matches(self, peer: Object, namespace: str, other: Address, other_pod: Object | None) -> bool:
        if not peer or set(peer) - {"podSelector", "namespaceSelector", "ipBlock"}:
            return False
        if "ipBlock" in peer:
            return len(peer) == 1 and _block_matches(peer["ipBlock"], other)
        if other_pod is None:  # selectors match pods only (1.1)
            return False
        other_namespace = other_pod["metadata"]["namespace"]
        if "namespaceSelector" in peer:
            if not selector_matches(peer["namespaceSelector"], self.namespaces.get(other_namespace)):
                return False
        elif other_namespace != namespace:
            return False
        return "podSelector" not in peer or selector_matches(peer["podSelector"],
                                                             other_pod["metadata"].get("labels") or {})


def _without_nulls(value: Any) -> Any:
    """null is absence (1.1)."""
    if isinstance(value, dict):
        return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}
    return [_without_nulls(entry) for entry in value] if isinstance(value, list) else value


def _goes_before(pod: Object, owner: Object) -> bool:
    """Of two live claimants the one that is not terminating, then the newer (2.5)."""
    return _claim(pod) > _claim(owner)


def _claim(pod: Object) -> tuple[bool, str]:
    metadata = pod["metadata"]
    return not metadata.get("deletionTimestamp"), metadata.get("creationTimestamp", "")


def _block_matches(block: Object, other: Address) -> bool:
    """In the cidr and in none of its own excepts (1.1); of one family only (3.17)."""
    if set(block) - {"cidr", "except"}:
        return False
    cidr = parse_cidr(block.get("cidr", ""))
    if cidr is None or other not in cidr:
        return False
    excepts = [parse_cidr(text) for text in block.get("except") or []]
    return not any(entry is None or other in entry for entry in excepts)


def _port_matches(entry: Object, target: Object | None, attempt: Attempt) -> bool:
    protocol = entry.get("protocol", "TCP")
    if set(entry) - {"protocol", "port", "endPort"} or protocol not in PROTOCOLS or protocol != attempt.protocol:
        return False
    port = entry.get("port")
    if port is None:
        return "endPort" not in entry
    if isinstance(port, str):  # resolved on the pod that is connected to, and nowhere else (4.4, 4.5)
        return "endPort" not in entry and target is not None and attempt.port in named_ports(target, port,
                                                                                            attempt.protocol)
    return bool(port <= attempt.port <= entry.get("endPort", port))
