#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A cluster of a given size as a directory of state files, for measurements.

cluster.py DIR --pods 10000 --policies 1000 --local 110 [--format json|yaml] [--full]
Node n0 hosts --local pods; --full writes pods as large as an API server gives them (about 6 KB).
"""
import argparse
import json
import os
import random


def pod(i, ns, node, local, full):
    app = f"app-{i % 200}"
    if local:
        address = f"10.244.0.{i + 2}" if i < 250 else f"10.244.1.{i - 248}"
    else:
        address = f"10.{64 + i // 60000}.{i // 250 % 240}.{i % 250 + 1}"
    meta = {"name": f"pod-{i}", "namespace": ns, "uid": f"00000000-0000-0000-0000-{i:012d}",
            "labels": {"app": app, "tier": ["front", "back", "db"][i % 3], "version": f"v{i % 7}",
                       "pod-template-hash": f"{i * 2654435761 % 2**32:08x}"}}
    container = {"name": "main", "ports": [{"name": "http", "containerPort": 8080 + i % 3},
                                           {"name": "metrics", "containerPort": 9090}]}
    if full:
        meta["managedFields"] = [{"manager": f"m{k}", "operation": "Update", "fieldsV1":
                                  {f"f:k{j}": {"f:x": {}} for j in range(40)}} for k in range(3)]
        meta["annotations"] = {f"example.com/annotation-{k}": "x" * 60 for k in range(8)}
        container["env"] = [{"name": f"VARIABLE_{k}", "value": "v" * 20} for k in range(20)]
        container["image"] = "registry.example.com/team/application:1.2.3"
        container["resources"] = {"limits": {"cpu": "1", "memory": "1Gi"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta,
            "spec": {"nodeName": node, "containers": [container]},
            "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}


def policy(i, ns, rng):
    peers = [{"podSelector": {"matchLabels": {"app": f"app-{rng.randrange(200)}"}}},
             {"namespaceSelector": {"matchLabels": {"team": f"t{rng.randrange(10)}"}},
              "podSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}]}},
             {"ipBlock": {"cidr": f"192.168.{rng.randrange(256)}.0/24", "except": ["192.168.0.0/28"]}}]
    rules = [{"from": rng.sample(peers, 2), "ports": [{"port": rng.choice([80, 443, 8080, "http"])}]}
             for _ in range(rng.randrange(1, 3))]
    for rule in rules:
        rule["from"] = [dict(p) for p in rule["from"]]
        for p in rule["from"]:
            if "ipBlock" in p:
                p["ipBlock"] = {"cidr": p["ipBlock"]["cidr"]}
    spec = {"podSelector": {"matchLabels": {"app": f"app-{i % 200}"}}, "policyTypes": ["Ingress"], "ingress": rules}
    if i % 3 == 0:
        spec["policyTypes"].append("Egress")
        spec["egress"] = [{"to": rules[0]["from"], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 443}]}]
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": f"policy-{i}", "namespace": ns}, "spec": spec}


def main():
    args = argparse.ArgumentParser(description=__doc__)
    args.add_argument("dir")
    args.add_argument("--pods", type=int, default=10000)
    args.add_argument("--policies", type=int, default=1000)
    args.add_argument("--local", type=int, default=110)
    args.add_argument("--namespaces", type=int, default=20)
    args.add_argument("--format", choices=["json", "yaml"], default="json")
    args.add_argument("--full", action="store_true")
    args.add_argument("--seed", type=int, default=1)
    a = args.parse_args()
    rng = random.Random(a.seed)
    os.makedirs(a.dir, exist_ok=True)
    groups = {
        "namespaces": [{"apiVersion": "v1", "kind": "Namespace", "metadata":
                        {"name": f"ns-{i}", "labels": {"team": f"t{i % 10}"}}} for i in range(a.namespaces)],
        "nodes": [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"n{i}"},
                   "status": {"addresses": [{"type": "InternalIP", "address": f"172.16.{i // 250}.{i % 250 + 1}"}]}}
                  for i in range(max(2, a.pods // 110))],
        "pods": [pod(i, f"ns-{i % a.namespaces}", "n0" if i < a.local else f"n{1 + i % max(1, a.pods // 110)}",
                     i < a.local, a.full) for i in range(a.pods)],
        "policies": [policy(i, f"ns-{i % a.namespaces}", rng) for i in range(a.policies)],
    }
    for name, items in groups.items():
        with open(os.path.join(a.dir, f"{name}.{a.format}"), "w", encoding="utf-8") as out:
            if a.format == "json":
                json.dump({"apiVersion": "v1", "kind": "List", "items": items}, out)
            else:
                # JSON documents are YAML documents; block style is what people write, so write that.
                for item in items:
                    out.write("---\n")
                    block(out, item, 0)


def block(out, value, depth):
    for key, item in value.items():
        pad = "  " * depth
        if isinstance(item, dict) and item:
            out.write(f"{pad}{key}:\n")
            block(out, item, depth + 1)
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            out.write(f"{pad}{key}:\n")
            for element in item:
                out.write(f"{pad}- ")
                text = Writer()
                block(text, element, depth + 1)
                out.write(text.text[len(pad) + 2:])
        else:
            out.write(f"{pad}{key}: {json.dumps(item)}\n")


class Writer:
    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text


if __name__ == "__main__":
    main()
