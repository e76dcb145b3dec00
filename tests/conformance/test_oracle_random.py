# SPDX-License-Identifier: Apache-2.0
"""Random clusters full of what generated cases do not have, each question asked of netpolctl check and of the oracle.

SEED repeats a run, N says how many clusters. A cluster that differs is printed with the question.
"""
from __future__ import annotations

import json
import os
import random
import unittest
from typing import Any

from oracle import Attempt, Object, Oracle, is_live, pod_addresses
from program import ask, netpolctl

NODES = {"n1": ("192.168.0.1", "fd00:50::1"), "n2": ("192.168.0.2", "fd00:50::2")}
OUTSIDE = ("203.0.113.7", "10.1.9.9", "2001:db8::7", "fd00:1::99")
NAMES, KEYS, VALUES = ("http", "dns", "web", "nobody"), ("app", "env"), ("a", "b", "")
PROTOCOLS = ("TCP", "UDP", "SCTP")
BLOCKS = ("0.0.0.0/0", "::/0", "0.0.0.0/1", "8000::/1", "10.1.0.0/16", "10.1.0.7/29", "010.1.000.2/32", "10.1.0.3/32",
          "::ffff:10.1.0.0/112", "::ffff:010.1.0.4/128", "fd00:1::/64", "fd00:1::3/128", "fd00:1::5/125",
          "192.168.0.2/32", "fd00:50::2/128", "203.0.113.0/24", "2001:db8::/32")
EXCEPTS = {"0.0.0.0/0": ("10.1.0.0/16", "10.1.0.7/29", "0.0.0.0/1"),
           "::/0": ("fd00:1::/64", "8000::/1", "fd00:1::2/128"),
           "10.1.0.0/16": ("10.1.0.2/32", "010.1.0.5/30"), "10.1.0.7/29": ("10.1.0.4/30", "::ffff:10.1.0.1/128"),
           "fd00:1::/64": ("fd00:1::4/126", "fd00:1::1/128")}


class Random(random.Random):
    """With the words of this test."""

    def often(self, share: float) -> bool:
        return self.random() < share

    def some(self, things: list[Any] | tuple[Any, ...], most: int) -> list[Any]:
        return [self.choice(things) for _ in range(self.randint(0, most))]


def labels(rng: Random) -> dict[str, str]:
    return {key: rng.choice(VALUES) for key in KEYS if rng.often(0.7)}


def selector(rng: Random) -> Object:
    made: Object = {}
    if rng.often(0.4):
        made["matchLabels"] = {rng.choice(KEYS): rng.choice(VALUES)}
    if rng.often(0.5):
        made["matchExpressions"] = [requirement(rng) for _ in range(rng.randint(1, 2))]
    if rng.often(0.03):
        made["matchFuture"] = {"app": "a"}
    return made


def requirement(rng: Random) -> Object:
    operator = rng.choice(("In", "NotIn", "Exists", "DoesNotExist"))
    made: Object = {"key": rng.choice(KEYS), "operator": "Gt" if rng.often(0.03) else operator}
    if operator in ("In", "NotIn"):
        made["values"] = [rng.choice(VALUES), *rng.some(VALUES, 1)]
    if rng.often(0.03):
        made["future"] = "x"
    return made


def peer(rng: Random) -> Object:
    made: Object = {}
    if rng.often(0.35):
        cidr = rng.choice(BLOCKS)
        made["ipBlock"] = {"cidr": cidr}
        if cidr in EXCEPTS and rng.often(0.6):
            made["ipBlock"]["except"] = rng.some(EXCEPTS[cidr], 2)
        if rng.often(0.03):
            made["ipBlock"]["future"] = True
    else:
        for key in ("podSelector", "namespaceSelector"):
            if rng.often(0.6):
                made[key] = selector(rng)
            elif rng.often(0.1):
                made[key] = None
    if rng.often(0.03):
        made["serviceSelector"] = {}
    return made


def port(rng: Random) -> Object:
    made: Object = {}
    if rng.often(0.6):
        made["protocol"] = "ICMP" if rng.often(0.15) else rng.choice(PROTOCOLS)
    if rng.often(0.8):
        made["port"] = rng.choice(NAMES) if rng.often(0.4) else rng.choice((53, 80, 81, 8080))
        if isinstance(made["port"], int) and rng.often(0.3):
            made["endPort"] = made["port"] + rng.choice((0, 1, 27, 8000))
    if rng.often(0.03):
        made["portRange"] = "1-2"
    return made


def rule(rng: Random, direction: str) -> Object:
    made: Object = {}
    if rng.often(0.7):
        made["from" if direction == "ingress" else "to"] = [peer(rng) for _ in range(rng.randint(0, 3))]
    if rng.often(0.6):
        made["ports"] = None if rng.often(0.1) else [port(rng) for _ in range(rng.randint(0, 3))]
    if rng.often(0.03):
        made["action"] = "Deny"
    return made


def policy(rng: Random, number: int) -> Object:
    spec: Object = {"podSelector": selector(rng) if rng.often(0.7) else {}}
    if rng.often(0.6):
        spec["policyTypes"] = rng.some(("Ingress", "Egress", "Ingress", "Egress", "Future"), 2)
    for direction in ("ingress", "egress"):
        if rng.often(0.7):
            spec[direction] = [rule(rng, direction) for _ in range(rng.randint(0, 2))]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"namespace": rng.choice("xyz"), "name": f"p{number}"}, "spec": spec}


def container(rng: Random, number: int) -> Object:
    return {"name": f"c{number}", "ports": [
        {"name": rng.choice(NAMES[:3]), "containerPort": rng.choice((53, 80, 81, 8080)),
         **({"protocol": rng.choice(PROTOCOLS)} if rng.often(0.6) else {})} for _ in range(rng.randint(0, 2))]}


def pod(rng: Random, number: int) -> Object:
    node = rng.choice(list(NODES))
    spec: Object = {"nodeName": node, "containers": [container(rng, i) for i in range(rng.randint(1, 2))]}
    if rng.often(0.3):
        spec["initContainers"] = [{**container(rng, 9), **({"restartPolicy": "Always"} if rng.often(0.6) else {})}]
    metadata: Object = {"namespace": rng.choice("xyz"), "name": f"pod-{number}", "uid": f"u{number:02}",
                        "labels": labels(rng), "creationTimestamp": f"2026-01-01T00:00:{number:02}Z"}
    if rng.often(0.15):
        metadata["deletionTimestamp"] = "2026-02-01T00:00:00Z"
    # Sometimes two claim one address.
    host = rng.randint(1, 8)
    ips = [ip for ip in (f"10.1.0.{host}", f"fd00:1::{host}") if rng.often(0.85)]
    if rng.often(0.1):
        spec["hostNetwork"], ips = True, list(NODES[node])
    status: Object = {"phase": rng.choices(("Running", "Pending", "Unknown", "Succeeded", "Failed"),
                                           (70, 10, 5, 8, 7))[0]}
    if ips:
        status["podIP"] = ips[0]
        if len(ips) > 1 or rng.often(0.5):
            status["podIPs"] = [{"ip": ip} for ip in ips]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def cluster(rng: Random) -> list[Object]:
    nodes = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {
        "addresses": [{"type": "InternalIP", "address": ip} for ip in ips]}} for name, ips in NODES.items()]
    # One that was not seen has no object; the others have the label that the API server adds.
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name, "labels": {"kubernetes.io/metadata.name": name, **labels(rng)}}}
        for name in "xyz" if rng.often(0.8)]
    return [*nodes, *namespaces, *(pod(rng, i) for i in range(rng.randint(2, 9))),
            *(policy(rng, i) for i in range(rng.randint(1, 5)))]


def attempts(rng: Random, pods: list[Object], count: int) -> list[tuple[Object, Attempt]]:
    """Questions as netpolctl writes them, and as the oracle does. Ends are addresses, or nodes."""
    owned = [str(address) for item in pods if is_live(item) for address in pod_addresses(item)]
    made: list[tuple[Object, Attempt]] = []
    while len(made) < count:
        family = rng.choice((4, 6))
        ends = []
        for _ in range(2):
            node = rng.choice(list(NODES)) if rng.often(0.15) else ""
            known = [ip for ip in (owned if rng.often(0.85) and owned else OUTSIDE) if (":" in ip) == (family == 6)]
            if not node and not known:
                break
            ends.append((f"node:{node}", NODES[node][family == 6], node) if node else (*[rng.choice(known)] * 2, ""))
        if len(ends) < 2:
            continue
        (source, source_ip, source_node), (target, target_ip, _) = ends
        protocol, number = rng.choice((*PROTOCOLS * 2, "ICMP")), rng.choice((52, 53, 54, 80, 81, 82, 8080, 8081))
        query: Object = {"from": source, "to": target, "protocol": protocol, "family": family}
        if protocol == "ICMP":
            number = 0
        else:
            query["port"] = number
        made.append((query, Attempt(source_ip, target_ip, protocol, number, source_node)))
    return made


class Differential(unittest.TestCase):
    def test_check_agrees(self) -> None:
        seed, rounds = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 31)), int(
            os.environ.get("N") or 200)
        program, denied, asked = netpolctl(), 0, 0
        for number in range(rounds):
            rng = Random(seed + number)
            objects = cluster(rng)
            by_kind = {kind: [item for item in objects if item["kind"] == kind]
                       for kind in ("Namespace", "Pod", "NetworkPolicy")}
            oracle = Oracle({item["metadata"]["name"]: item["metadata"]["labels"] for item in by_kind["Namespace"]},
                            by_kind["Pod"], by_kind["NetworkPolicy"])
            questions = attempts(rng, by_kind["Pod"], 60)
            for (query, attempt), answer in zip(questions, ask(program, objects, [query for query, _ in questions])):
                sides = oracle.judge(attempt)
                said = {end: answer[end]["verdict"] for end in ("egress", "ingress")} if "egress" in answer else answer
                wanted = {"egress": _word(sides.egress), "ingress": _word(sides.ingress)}
                self.assertEqual(said, wanted, f"SEED={seed + number} N=1: {json.dumps(query)} in "
                                 f"{json.dumps({'apiVersion': 'v1', 'kind': 'List', 'items': objects})}")
                asked, denied = asked + 1, denied + (not sides.allowed)
        print(f"SEED={seed}: {rounds} clusters, {asked} questions, {denied} of them denied, 0 differences")
        self.assertTrue(rounds < 50 or asked // 10 < denied < asked * 9 // 10, f"{denied} of {asked} denied: too plain")


def _word(allowed: bool) -> str:
    return "allow" if allowed else "deny"


if __name__ == "__main__":
    unittest.main()
