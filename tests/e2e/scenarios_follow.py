# SPDX-License-Identifier: Apache-2.0
"""What users and kubelets change all day is followed, and by watch alone."""
from __future__ import annotations

import json

from cluster import Cluster, Failed
from model import Namespace, expression, match_labels, policy
from scenario import scenario


def from_namespace(**labels: str) -> list[dict]:
    return [{"from": [{"namespaceSelector": match_labels(**labels)}]}]


@scenario("policies", "policies are created, changed, deleted; pods and namespaces change their labels", kind="bridged")
def policies(c: Cluster) -> None:
    mark = c.server.log.mark()
    c.expect("no policy", allow=[("y/a", "x/a"), ("z/a", "y/c")])
    c.budget("start", c.start_mark, 1, failed=4)

    c.put(policy("x", "web", ingress=[]))
    c.expect("a policy that lets nobody in", deny=[("y/a", "x/a"), ("x/b", "x/a")], allow=[("x/a", "y/a")])
    c.put(policy("x", "web", match_labels(pod="a"), ingress=from_namespace(ns="y")))
    c.expect("its selector and its rule change", allow=[("y/a", "x/a"), ("x/a", "x/b")], deny=[("z/a", "x/a")])
    c.put(policy("x", "web", match_labels(pod="a"), ingress=[
        {"from": [{"namespaceSelector": match_labels(ns="y"), "podSelector": match_labels(role="friend")}],
         "ports": [{"protocol": "TCP", "port": 80}, {"protocol": "UDP", "port": "serve-81-udp"}]}]))
    c.expect("a peer that no pod is", deny=[("y/a", "x/a"), ("y/b", "x/a")])

    c.label("Pod", "y", "b", role="friend")
    c.expect("a pod gets the label", allow=[("y/b", "x/a")], deny=[("y/a", "x/a")])
    c.label("Pod", "y", "b", role=None)
    c.expect("and loses it", deny=[("y/b", "x/a")])
    c.label("Pod", "z", "c", role="friend")
    c.label("Namespace", "", "z", ns="y")
    c.expect("a namespace gets the label", allow=[("z/c", "x/a")], deny=[("z/b", "x/a")])
    c.label("Namespace", "", "z", ns="z")
    c.expect("and loses it", deny=[("z/c", "x/a")])

    c.put(policy("y", "out", egress=[{"to": [{"namespaceSelector": {"matchExpressions": [
        {"key": "ns", "operator": "In", "values": ["x", "z"]}]}}]}], types=["Egress"]))
    c.expect("egress", deny=[("y/a", "y/b"), ("y/a", "x/a")], allow=[("y/a", "x/b"), ("y/a", "z/a")])
    c.label("Pod", "x", "a", pod="renamed")
    c.expect("the subject of a policy is no longer one", allow=[("y/a", "x/a"), ("z/a", "x/a")])
    c.label("Pod", "x", "a", pod="a")
    c.expect("and is again", deny=[("z/a", "x/a")])

    c.delete("NetworkPolicy", "x", "web")
    c.expect("a policy is deleted", allow=[("z/a", "x/a")], deny=[("y/a", "y/b")])
    c.put(Namespace("w", {"ns": "w"}), c.facts.new_pod("w/a", "n2", 40), policy("w", "deny"))
    c.expect("a namespace, a pod and a policy at once", deny=[("x/a", "w/a")], allow=[("w/a", "x/a")])
    c.delete("NetworkPolicy", "w", "deny")
    c.delete("NetworkPolicy", "y", "out")
    c.expect("none is left", allow=[("y/a", "y/b"), ("x/a", "w/a")])

    seen = c.budget("all of it by watch", mark, 0)
    if len(seen.initial()):
        raise Failed(f"collections were read again:\n{seen.initial().lines()}")
    c.note(f"{len(c.requests(0))} requests in all, {len(seen)} for the changes")


@scenario("pods", "pods are born, are replaced under their names, finish and give up their addresses", kind="routed")
def pods(c: Cluster) -> None:
    mark = c.server.log.mark()
    c.put(policy("x", "web", ingress=[{"from": [{"namespaceSelector": match_labels(ns="y"),
                                                 "podSelector": match_labels(pod="c")}]}]))
    c.expect("one pod is let in", allow=[("y/c", "x/a")], deny=[("y/a", "x/a"), ("z/a", "x/a")])

    # As in a cluster: first there is no address, then the kubelet reports one.
    young = c.facts.new_pod("x/young", "n1", 30)
    c.apply_raw([_bare(young.object())])
    c.status(young)
    c.expect("a new pod is enforced", allow=[("y/c", "x/young")], deny=[("z/a", "x/young")])

    for node, host in (("n1", 31), ("n3", 32)):
        c.delete("Pod", "x", "a")
        c.put(c.facts.new_pod("x/a", node, host))
        c.expect(f"the pod is replaced under its name, on {node}", allow=[("y/c", "x/a")], deny=[("z/b", "x/a")])

    c.delete("Pod", "y", "c")
    c.put(c.facts.new_pod("y/c", "n2", 33))
    c.expect("the peer is replaced under its name", allow=[("y/c", "x/a"), ("y/c", "x/young")])

    # A finished pod keeps its labels and its podIPs, and somebody else gets the address.
    gone = c.facts.new_pod("y/c", "n2", 33, phase="Succeeded")
    c.status(gone)
    c.put(c.facts.new_pod("z/heir", "n2", 33, labels={"pod": "c"}))
    c.expect("a finished pod's address is another pod's", deny=[("z/heir", "x/a"), ("z/heir", "x/young")])
    c.put(c.facts.new_pod("y/next", "n3", 34, labels={"pod": "c"}))
    c.expect("a pod with its labels comes", allow=[("y/next", "x/a")], deny=[("z/heir", "x/a")])

    # Termination with a grace period: the pod stays what it is until it is gone.
    c.server.kubectl("delete", "pod", "next", "-n", "y", "--grace-period=30", "--wait=false")
    shown = json.loads(c.server.kubectl("get", "pod", "next", "-n", "y", "-o", "json").stdout)
    if "deletionTimestamp" not in shown["metadata"]:
        raise Failed("the API server does not terminate pods gracefully")
    c.hold("a terminating pod is still a peer", 1.0)
    c.delete("Pod", "y", "next")
    c.put(c.facts.new_pod("z/other", "n3", 34, labels={"pod": "c"}))
    c.expect("it is gone, and its address is another pod's", deny=[("z/other", "x/a")])

    # Of one family only, and then of both.
    c.put(c.facts.new_pod("x/single", "n2", 35, families=(6,)), policy("x", "six", match_labels(pod="single"), ingress=[
        {"from": [{"namespaceSelector": {"matchExpressions": [expression("ns", "In", "z")["matchExpressions"][0]]}}]}]))
    c.expect("a pod of one family", allow=[("z/a", "x/single")], deny=[("y/a", "x/single")])
    c.put(c.facts.new_pod("x/single", "n2", 35))
    c.expect("it gets its other address", allow=[("z/a", "x/single")], deny=[("y/a", "x/single")])
    seen = c.budget("all of it by watch", mark, 0)
    c.note(f"{len(seen)} requests for the changes")


def _bare(pod: dict) -> dict:
    item = {key: value for key, value in pod.items() if key != "status"}
    item["metadata"] = {key: value for key, value in pod["metadata"].items() if key != "uid"}
    item["spec"] = {**pod["spec"], "containers": [{**entry, "image": "registry.test/e2e:1"}
                                                  for entry in pod["spec"]["containers"]]}
    return item


@scenario("crds", "custom resources appear and disappear; nobody is disturbed", seconds=15)
def crds(c: Cluster) -> None:
    c.put(policy("x", "web", ingress=from_namespace(ns="y")))
    c.expect("before", allow=[("y/a", "x/a")], deny=[("z/a", "x/a")])
    mark = c.server.log.mark()
    group = "e2e.netpold.test"
    crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
           "metadata": {"name": f"networkpolicies.{group}"},
           "spec": {"group": group, "scope": "Namespaced",
                    "names": {"plural": "networkpolicies", "singular": "networkpolicy", "kind": "NetworkPolicy",
                              "listKind": "NetworkPolicyList"},
                    "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]}}
    for _ in range(2):
        c.apply_raw([crd])
        # One of the same kind and name as a real policy, in another group.
        foreign = {"apiVersion": f"{group}/v1", "kind": "NetworkPolicy", "metadata": {"namespace": "x", "name": "web"},
                   "spec": {"podSelector": {}, "ingress": []}}
        c.until("the new kind is served", lambda: c.server.kubectl("apply", "-f", "-", stdin=json.dumps(foreign),
                                                                   check=False).returncode == 0, 30)
        c.label("Pod", "z", "a", moved="yes")
        c.hold("a foreign kind is there", 0.5)
        c.server.kubectl("delete", "crd", f"networkpolicies.{group}", "--wait=false")
        c.put(policy("x", "web", ingress=from_namespace(ns="z")))
        c.expect("it is gone", allow=[("z/a", "x/a")], deny=[("y/a", "x/a")])
        c.put(policy("x", "web", ingress=from_namespace(ns="y")))
        c.expect("and policies are followed", allow=[("y/a", "x/a")])
    seen = c.budget("nobody asks again", mark, 0)
    c.note(f"{len(seen)} requests")
