# SPDX-License-Identifier: Apache-2.0
"""The oracle itself, clause by clause; among them what the description warns of in another oracle."""
from __future__ import annotations

import unittest
from typing import Any

from oracle import Attempt, Object, Oracle, Sides, effective_types, named_ports, parse_address, parse_cidr, \
    selector_matches

NAMESPACES = {name: {"ns": name, "kubernetes.io/metadata.name": name} for name in ("x", "y", "z")}


def pod(key: str, ip: str, labels: dict[str, str] | None = None, ports: list[Object] | None = None,
        phase: str = "Running", **options: Any) -> Object:
    namespace, name = key.split("/")
    spec: Object = {"nodeName": options.get("node", "n1"), "containers": [{"ports": ports or []}],
                    "initContainers": options.get("init", [])}
    if options.get("host"):
        spec["hostNetwork"] = True
    metadata: Object = {"namespace": namespace, "name": name, "labels": {"pod": name} if labels is None else labels}
    metadata.update(options.get("metadata", {}))
    return {"metadata": metadata, "spec": spec, "status": {"phase": phase, "podIPs": [{"ip": ip}]}}


PODS = [pod(f"{namespace}/{name}", f"10.0.{i}.{j}", ports=[{"name": "http", "containerPort": 80},
                                                          {"name": "dns", "containerPort": 53, "protocol": "UDP"}])
        for i, namespace in enumerate("xyz", 1) for j, name in enumerate("abc", 1)]
IP = {f"{item['metadata']['namespace']}/{item['metadata']['name']}": item["status"]["podIPs"][0]["ip"]
      for item in PODS}


def policy(spec: Object, namespace: str = "x", name: str = "p") -> Object:
    return {"metadata": {"namespace": namespace, "name": name}, "spec": spec}


class Verdicts(unittest.TestCase):
    def judge(self, specs: list[Object], source: str, destination: str, protocol: str = "TCP", port: int = 80,
              pods: list[Object] | None = None, node: str = "", namespaces: Any = None) -> Sides:
        oracle = Oracle(NAMESPACES if namespaces is None else namespaces, PODS + (pods or []),
                        [policy(spec, name=f"p{i}") for i, spec in enumerate(specs)])
        return oracle.judge(Attempt(IP.get(source, source), IP.get(destination, destination), protocol, port, node))

    def allowed(self, *words: Any, **options: Any) -> None:
        self.assertTrue(self.judge(*words, **options).allowed, words)

    def denied(self, *words: Any, **options: Any) -> None:
        self.assertFalse(self.judge(*words, **options).allowed, words)

    def test_defaults(self) -> None:
        self.denied([{"podSelector": {}}], "y/a", "x/a")
        self.allowed([{"podSelector": {}}], "x/a", "y/a")
        self.denied([{"podSelector": {}, "egress": [{}]}], "y/a", "x/a")
        self.allowed([{"podSelector": {}, "egress": []}], "x/a", "y/a")
        self.assertEqual(effective_types({"policyTypes": ["Future"]}), set())
        self.assertEqual(effective_types({"egress": [{}]}), {"Ingress", "Egress"})
        self.allowed([{"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]}], "y/a", "x/a")

    def test_emptiness(self) -> None:
        self.allowed([{"podSelector": {}, "ingress": [{"from": [], "ports": []}]}], "8.8.8.8", "x/a", "ICMP", 0)
        self.denied([{"podSelector": {}, "ingress": [{"from": [{}]}]}], "x/b", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"no": "one"}}}]}]}],
                    "x/b", "x/a")
        self.allowed([{"podSelector": {}, "ingress": [{"ports": [{}]}]}], "x/b", "x/a", "TCP", 9)
        self.denied([{"podSelector": {}, "ingress": [{"ports": [{}]}]}], "x/b", "x/a", "UDP", 9)

    def test_null_is_absence(self) -> None:
        self.denied([{"podSelector": None, "policyTypes": None, "egress": None}], "y/a", "x/a")
        self.allowed([{"podSelector": None, "policyTypes": None, "egress": None}], "x/a", "y/a")
        self.allowed([{"ingress": [{"from": None, "ports": None}]}], "8.8.8.8", "x/a", "UDP", 9)
        self.denied([{"ingress": [{"from": [{"podSelector": None}]}]}], "x/b", "x/a")
        self.allowed([{"ingress": [{"ports": [{"protocol": None, "port": None}]}]}], "x/b", "x/a", "TCP", 9)

    def test_selectors(self) -> None:
        not_in = {"matchExpressions": [{"key": "env", "operator": "NotIn", "values": ["prod"]}]}
        self.assertTrue(selector_matches(not_in, {}))
        self.assertFalse(selector_matches({"matchLabels": {"k": ""}}, {}))
        self.assertTrue(selector_matches({"matchLabels": {"k": ""}}, {"k": ""}))
        self.assertFalse(selector_matches({"matchExpressions": [{"key": "k", "operator": "DoesNotExist"}]}, {"k": ""}))
        self.assertFalse(selector_matches({"matchExpressions": [{"key": "k", "operator": "Gt", "values": ["1"]}]},
                                          {"k": "2"}))
        self.assertFalse(selector_matches(not_in, None))
        self.assertTrue(selector_matches({}, None))
        self.assertFalse(selector_matches({"matchFields": {}}, {}))

    def test_peers(self) -> None:
        both = {"namespaceSelector": {"matchLabels": {"ns": "y"}}, "podSelector": {"matchLabels": {"pod": "b"}}}
        self.allowed([{"podSelector": {}, "ingress": [{"from": [both]}]}], "y/b", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"from": [both]}]}], "x/b", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"from": [both]}]}], "y/a", "x/a")
        either = [{key: value} for key, value in both.items()]
        self.allowed([{"podSelector": {}, "ingress": [{"from": either}]}], "x/b", "x/a")
        everyone = [{"namespaceSelector": {}}]
        self.allowed([{"podSelector": {}, "ingress": [{"from": everyone}]}], "z/c", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"from": everyone}]}], "8.8.8.8", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"from": [{**both, "future": 1}]}]}], "y/b", "x/a")

    def test_blocks(self) -> None:
        block = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.2.0/24"]}}
        self.denied([{"podSelector": {}, "ingress": [{"from": [block]}]}], "y/a", "x/a")
        self.allowed([{"podSelector": {}, "ingress": [{"from": [block]}]}], "z/a", "x/a")
        again = [block, {"ipBlock": {"cidr": "10.0.2.0/24"}}]
        self.allowed([{"podSelector": {}, "ingress": [{"from": again}]}], "y/a", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "::/0"}}]}]}], "8.8.8.8", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"},
                                                               "podSelector": {}}]}]}], "y/a", "x/a")
        self.assertEqual(str(parse_cidr("10.0.0.5/24")), "10.0.0.0/24")
        self.assertEqual(str(parse_cidr("010.0.0.0/8")), "10.0.0.0/8")
        self.assertEqual(str(parse_cidr("::ffff:10.0.0.0/104")), "10.0.0.0/8")
        self.assertIsNone(parse_cidr("10.0.0.0"))
        self.assertEqual(str(parse_address("::ffff:10.1.2.3")), "10.1.2.3")
        self.assertEqual(str(parse_cidr("::ffff:010.0.0.0/104")), "10.0.0.0/8")
        self.assertEqual(str(parse_cidr("::ffff:0:0/90")), "::ffc0:0:0/90")
        self.assertEqual(str(parse_cidr("::ffff:0:0/96")), "0.0.0.0/0")
        self.assertIsNone(parse_cidr("fe80::1%eth0/64"))
        self.assertIsNone(parse_cidr("10.0.0.256/24"))
        unreadable = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.2.0"]}}
        self.denied([{"podSelector": {}, "ingress": [{"from": [unreadable]}]}], "z/a", "x/a")

    def test_ports(self) -> None:
        between = [{"podSelector": {}, "ingress": [{"ports": [{"port": 53, "endPort": 80}]}]}]
        for number, allowed in ((52, False), (53, True), (80, True), (81, False)):
            self.assertEqual(self.judge(between, "y/a", "x/a", "TCP", number).allowed, allowed)
        self.denied(between, "y/a", "x/a", "UDP", 60)
        self.denied(between, "y/a", "x/a", "ICMP", 0)
        self.denied([{"podSelector": {}, "ingress": [{"ports": [{"protocol": "ICMP", "port": 80}]}]}], "y/a", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"ports": [{"protocol": "ICMP"}]}]}], "y/a", "x/a", "ICMP", 0)
        self.denied([{"podSelector": {}, "ingress": [{"ports": [{"port": 80, "future": 1}]}]}], "y/a", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"ports": [{"endPort": 80}]}]}], "y/a", "x/a")

    def test_names(self) -> None:
        by_name = {"ports": [{"port": "http"}]}
        self.allowed([{"podSelector": {}, "ingress": [by_name]}], "8.8.8.8", "x/a")
        self.denied([{"podSelector": {}, "ingress": [{"ports": [{"port": "dns"}]}]}], "y/a", "x/a", "TCP", 53)
        egress = [{"podSelector": {}, "policyTypes": ["Egress"], "egress": [by_name]}]
        self.allowed(egress, "x/a", "y/a")
        self.denied(egress, "x/a", "8.8.8.8")
        blocks = [{"podSelector": {}, "policyTypes": ["Egress"],
                   "egress": [{"to": [{"ipBlock": {"cidr": "10.0.2.0/24"}}], **by_name}]}]
        self.allowed(blocks, "x/a", "y/a")
        self.denied(blocks, "x/a", "10.0.2.99")
        sidecar = [{"restartPolicy": "Always", "ports": [{"name": "m", "containerPort": 1}]},
                   {"ports": [{"name": "m", "containerPort": 2}]}]
        many = pod("x/m", "10.9.9.9", ports=[{"name": "m", "containerPort": 3}], init=sidecar)
        self.assertEqual(named_ports(many, "m", "TCP"), {1, 3})

    def test_pods(self) -> None:
        from_b = [{"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"pod": "b"}}}]}]}]
        labels = {"pod": "b"}
        self.allowed(from_b, "x/b", "x/a")
        self.denied(from_b, "y/b", "x/a")
        for phase, alive in (("Running", True), ("Pending", True), ("Unknown", True), ("Succeeded", False),
                             ("Failed", False)):
            one = [pod("x/job", "10.9.0.1", labels, phase=phase)]
            self.assertEqual(self.judge(from_b, "10.9.0.1", "x/a", pods=one).allowed, alive, phase)
            self.assertEqual(self.judge(from_b, "y/a", "10.9.0.1", pods=one).allowed, not alive, phase)
        self.denied(from_b, "10.9.0.1", "x/a", pods=[pod("x/host", "10.9.0.1", labels, host=True)])
        self.allowed(from_b, "10.9.0.1", "x/a", pods=[pod("x/old", "10.9.0.1", labels, metadata={
            "deletionTimestamp": "2030-01-01T00:00:00Z"})])
        reused = [pod("x/old", "10.9.0.1", labels, metadata={"creationTimestamp": "2020-01-01T00:00:00Z"}),
                  pod("x/new", "10.9.0.1", {}, metadata={"creationTimestamp": "2021-01-01T00:00:00Z"})]
        self.denied(from_b, "10.9.0.1", "x/a", pods=reused)
        self.denied(from_b, "10.9.0.1", "x/a", pods=reused[::-1])
        reused[1]["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
        self.allowed(from_b, "10.9.0.1", "x/a", pods=reused)
        self.allowed(from_b, "10.9.0.1", "x/a", pods=reused[::-1])

    def test_own_node_self_and_both_ends(self) -> None:
        nothing = [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]
        self.allowed(nothing, "192.168.0.1", "x/a", node="n1")
        self.denied(nothing, "192.168.0.2", "x/a", node="n2")
        self.allowed(nothing, "x/a", "x/a")
        self.assertEqual(self.judge(nothing, "x/a", "x/b"), Sides(False, False))
        self.assertEqual(self.judge(nothing, "x/a", "y/b"), Sides(False, True))

    def test_subject_that_is_not_understood(self) -> None:
        partial = {"podSelector": {"matchLabels": {"pod": "a"}, "matchExpressions": [
            {"key": "pod", "operator": "Gt", "values": ["1"]}]}, "ingress": [{}]}
        self.denied([partial], "y/a", "x/a")
        self.allowed([partial], "y/a", "x/b")
        # An entry with a key that is not known may not narrow whom a policy isolates.
        for unknown in ({"key": "pod", "operator": "In", "values": ["b"], "future": 1}, {"key": "pod"}):
            self.denied([{"podSelector": {"matchExpressions": [unknown]}, "ingress": [{}]}], "y/a", "x/a")
        self.denied([{"podSelector": {"future": 1}, "ingress": [{}]}], "y/a", "x/a")

    def test_unknown_keys_match_nothing(self) -> None:
        for rule in ({"future": 1}, {"from": [{"podSelector": {"future": 1}}]},
                     {"from": [{"podSelector": {"matchExpressions": [{"key": "no", "operator": "NotIn", "values": ["v"],
                                                                     "future": 1}]}}]},
                     {"from": [{"namespaceSelector": {"future": 1}}]}, {"from": [{"future": 1}]},
                     {"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "future": 1}}]}, {"to": [{"podSelector": {}}]}):
            self.denied([{"podSelector": {}, "ingress": [rule]}], "x/b", "x/a")

    def test_node_addresses_are_addresses(self) -> None:
        nothing = [{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}]
        self.assertEqual(self.judge(nothing, "192.168.0.1", "x/a"), Sides(True, False))
        self.assertEqual(self.judge(nothing, "x/a", "192.168.0.1"), Sides(False, True))

    def test_families(self) -> None:
        dual = [{"metadata": {"namespace": "x", "name": name, "labels": {"pod": name}}, "spec": {"nodeName": "n1"},
                 "status": {"phase": "Pending", "podIP": "10.9.0.1",
                            "podIPs": [{"ip": f"10.9.0.{i}"}, {"ip": f"fd00::{i}"}]}}
                for i, name in enumerate("de", 1)]
        from_d = [{"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"pod": "d"}}}]}]}]
        self.allowed(from_d, "fd00::1", "fd00::2", pods=dual)
        self.allowed(from_d, "10.9.0.1", "10.9.0.2", pods=dual)
        self.denied(from_d, "fd00::3", "fd00::2", pods=dual)
        one = [{"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.9.0.1/32"}}]}]}]
        self.allowed(one, "10.9.0.1", "10.9.0.2", pods=dual)
        self.denied(one, "fd00::1", "fd00::2", pods=dual)
        only = {**dual[0], "status": {"phase": "Running", "podIP": "10.9.0.3"}}
        self.allowed(from_d, "10.9.0.3", "x/a", pods=[only])

    def test_namespace_not_seen(self) -> None:
        not_x = {"namespaceSelector": {"matchExpressions": [{"key": "ns", "operator": "NotIn", "values": ["x"]}]}}
        spec = [{"podSelector": {}, "ingress": [{"from": [not_x]}]}]
        self.denied(spec, "y/a", "x/a", namespaces={"x": NAMESPACES["x"]})
        self.allowed(spec, "y/a", "x/a")


if __name__ == "__main__":
    unittest.main()
