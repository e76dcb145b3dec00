# SPDX-License-Identifier: Apache-2.0
"""The data-path cases of Kubernetes' own end-to-end suite (test/e2e/network/netpol), under their titles.

Namespaces x, y, z with pods a, b, c, one Service a pod; every pod asks every ClusterIP on ports 80 and 81. Each case
begins with the check that everything is reachable. What must then be possible is written out by hand from what the
title says; upstream ignores what a pod says to itself, and so do these tables.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from model import Case, Facts, Object, Scope, Step, Truth, block, delete_policies, expression, match_labels, policy, put

Rule = Object
Want = Callable[[Truth], Any]

TCP = Scope(protocols=("tcp",), diagonal="ignored")
TCP_UDP = replace(TCP, protocols=("tcp", "udp"))
UDP = replace(TCP, protocols=("udp",))
SCTP = replace(TCP, protocols=("sctp",))

A = match_labels(pod="a")
B = match_labels(pod="b")
NAME = "kubernetes.io/metadata.name"
NOT_X = ("y/*", "z/*")


def everything(_: Truth) -> None:
    """All true."""


def namespaces(*names: str) -> Object:
    return expression(NAME, "In", *names)


def outside_of(*names: str) -> Object:
    return expression(NAME, "NotIn", *names)


def pods_of(namespace_selector: Object, pod_selector: Object) -> Object:
    """One peer with both selectors."""
    return {"namespaceSelector": namespace_selector, "podSelector": pod_selector}


def only_to(target: str, *sources: str, **ports: Any) -> Want:
    """Of all that go to a target, only these sources; everything else stays as it is."""
    return lambda truth: truth.deny_to(target).allow(sources, target, **ports)


def before(scope: Scope) -> Step:
    return Step("no policies: everything is reachable", want=everything, scope=scope)


class _Suite:
    """Collects cases, numbered in upstream's order."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def add(self, slug: str, title: str, *steps: Step, scope: Scope = TCP, short: bool = False) -> None:
        number = len(self.cases) + 1
        self.cases.append(Case(f"upstream/{number:02d}-{slug}", title, "upstream", (before(scope), *steps), scope=scope,
                               short=short))


def ingress_policy(name: str, *rules: Rule, to: Object | None = None, namespace: str = "x") -> Object:
    return policy(namespace, name, to, ingress=list(rules), types=["Ingress"])


def egress_policy(name: str, *rules: Rule, of: Object | None = None, namespace: str = "x") -> Object:
    return policy(namespace, name, of, egress=list(rules), types=["Egress"])


def cases(facts: Facts) -> list[Case]:
    suite = _Suite()
    _isolation_and_peers(suite)
    _ports_and_stacks(suite)
    _updates(suite, facts)
    _egress(suite)
    _blocks(suite, facts)
    _directions_and_protocols(suite)
    _other_protocols(suite)
    return suite.cases


# 1 to 13
def _isolation_and_peers(suite: _Suite) -> None:
    suite.add("default-deny-ingress", "should support a 'default-deny-ingress' policy",
              Step("nobody reaches x; x still reaches y and z",
                   put(ingress_policy("deny-ingress")), lambda truth: truth.deny_to("x/*")), short=True)
    suite.add("default-deny-all", "should support a 'default-deny-all' policy",
              Step("nothing into or out of x",
                   put(policy("x", "deny-all", types=["Ingress", "Egress"])),
                   lambda truth: truth.deny_to("x/*").deny_from("x/*")), short=True)
    suite.add("ingress-from-pod-selector",
              "should enforce policy to allow traffic from pods within server namespace based on PodSelector",
              Step("of all, x/b reaches x/a", put(ingress_policy("allow-b", {"from": [{"podSelector": B}]}, to=A)),
                   only_to("x/a", "x/b")))
    suite.add("ingress-for-a-target", "should enforce policy to allow ingress traffic for a target",
              Step("x is closed, and x/a open to every pod",
                   put(ingress_policy("deny-ingress"),
                       ingress_policy("allow-to-a", {"from": [{"podSelector": {}, "namespaceSelector": {}}]}, to=A)),
                   lambda truth: truth.deny_to(["x/b", "x/c"])), short=True)
    suite.add("ingress-from-all-namespaces",
              "should enforce policy to allow ingress traffic from pods in all namespaces",
              Step("a namespaceSelector with empty matchLabels is every namespace",
                   put(ingress_policy("allow-all", {"from": [{"namespaceSelector": {"matchLabels": {}}}]}, to=A)),
                   everything))
    suite.add("ingress-from-namespace-selector",
              "should enforce policy to allow traffic only from a different namespace, based on NamespaceSelector",
              Step("only y reaches x/a",
                   put(ingress_policy("allow-y", {"from": [{"namespaceSelector": match_labels(ns="y")}]}, to=A)),
                   only_to("x/a", "y/*")))
    suite.add("ingress-pod-expressions", "should enforce policy based on PodSelector with MatchExpressions",
              Step("only x/b reaches x/a; y/b is in another namespace",
                   put(ingress_policy("allow-b", {"from": [{"podSelector": expression("pod", "In", "b")}]}, to=A)),
                   only_to("x/a", "x/b")))
    suite.add("ingress-namespace-expressions", "should enforce policy based on NamespaceSelector with MatchExpressions",
              Step("only y reaches x/a",
                   put(ingress_policy("allow-y", {"from": [{"namespaceSelector": namespaces("y")}]}, to=A)),
                   only_to("x/a", "y/*")))
    suite.add("ingress-pod-or-namespace", "should enforce policy based on PodSelector or NamespaceSelector",
              Step("two peers: any pod of y and z, or pod b of x; thus not x/c",
                   put(ingress_policy("allow-either",
                                      {"from": [{"namespaceSelector": outside_of("x")}, {"podSelector": B}]}, to=A)),
                   only_to("x/a", "y/*", "z/*", "x/b")))
    suite.add("ingress-pod-and-namespace", "should enforce policy based on PodSelector and NamespaceSelector",
              Step("one peer: pod b of y and z; thus not x/b, not y/a",
                   put(ingress_policy("allow-both", {"from": [pods_of(outside_of("x"), B)]}, to=A)),
                   only_to("x/a", "y/b", "z/b")), short=True)
    suite.add("ingress-pods-and-namespaces",
              "should enforce policy based on Multiple PodSelectors and NamespaceSelectors",
              Step("pods b and c of y and z; thus none of x, not y/a",
                   put(ingress_policy(
                       "allow-both", {"from": [pods_of(outside_of("x"), expression("pod", "In", "b", "c"))]}, to=A)),
                   only_to("x/a", "y/b", "y/c", "z/b", "z/c")))
    suite.add("ingress-any-pod-selectors", "should enforce policy based on any PodSelectors",
              Step("pod b and pod c of x, as two peers",
                   put(ingress_policy("allow-b-c",
                                      {"from": [{"podSelector": B}, {"podSelector": match_labels(pod="c")}]}, to=A)),
                   only_to("x/a", "x/b", "x/c")))
    suite.add("ingress-one-foreign-pod",
              "should enforce policy to allow traffic only from a pod in a different namespace based on PodSelector "
              "and NamespaceSelector",
              Step("only y/a reaches x/a",
                   put(ingress_policy("allow-y-a", {"from": [pods_of(namespaces("y"), A)]}, to=A)),
                   only_to("x/a", "y/a")))


# 14 to 19
def _ports_and_stacks(suite: _Suite) -> None:
    from_y = [{"namespaceSelector": namespaces("y")}]
    only_81 = ingress_policy("allow-81", {"from": from_y, "ports": [{"protocol": "TCP", "port": 81}]}, to=A)
    suite.add("ports", "should enforce policy based on Ports",
              Step("y reaches x/a on 81, and that is all", put(only_81), only_to("x/a", "y/*", ports=81)), short=True)
    suite.add("stacked", "should enforce multiple, stacked policies with overlapping podSelectors",
              Step("81 is allowed, 80 is not", put(only_81), only_to("x/a", "y/*", ports=81)),
              Step("a second policy adds 80",
                   put(ingress_policy("allow-80", {"from": from_y, "ports": [{"protocol": "TCP", "port": 80}]}, to=A)),
                   only_to("x/a", "y/*")))
    suite.add("allow-all", "should support allow-all policy",
              Step("one empty rule: 80 and 81 are open", put(ingress_policy("allow-all", {})), everything))
    suite.add("ingress-named-port", "should allow ingress access on one named port",
              Step("81 from everybody, 80 from nobody",
                   put(ingress_policy("allow-serve-81", {"ports": [{"port": "serve-81-tcp"}]})),
                   lambda truth: truth.deny_to("x/*", ports=80)))
    suite.add("ingress-named-port-from", "should allow ingress access from namespace on one named port",
              Step("80 from y; 81 is closed for all",
                   put(ingress_policy("allow-serve-80", {"from": from_y, "ports": [{"port": "serve-80-tcp"}]}, to=A)),
                   only_to("x/a", "y/*", ports=80)))
    suite.add("egress-named-port", "should allow egress access on one named port",
              Step("x reaches 80 everywhere, in other namespaces too, and 81 nowhere",
                   put(egress_policy("allow-serve-80", {"ports": [{"port": "serve-80-tcp"}]})),
                   lambda truth: truth.deny_from("x/*", ports=81)), short=True)


# 20 to 24
def _updates(suite: _Suite, facts: Facts) -> None:
    suite.add("updated-policy", "should enforce updated policy",
              Step("allow-all", put(ingress_policy("mutate", {})), everything),
              Step("the same name now denies all", put(ingress_policy("mutate")), lambda truth: truth.deny_to("x/*")),
              short=True)
    y = facts.namespaces()["y"]
    suite.add("updated-namespace", "should allow ingress access from updated namespace",
              Step("no namespace has the label", put(ingress_policy(
                  "allow-label", {"from": [{"namespaceSelector": match_labels(ns2="updated")}]}, to=A)),
                   lambda truth: truth.deny_to("x/a")),
              Step("y gains it", put(y.labelled({"ns2": "updated"})), only_to("x/a", "y/*")), short=True)
    suite.add("updated-pod", "should allow ingress access from updated pod",
              Step("no pod has the label", put(ingress_policy(
                  "allow-label", {"from": [{"podSelector": match_labels(pod2="updated")}]}, to=A)),
                   lambda truth: truth.deny_to("x/a")),
              Step("x/b gains it", put(facts.pod("x/b").relabelled(pod2="updated")), only_to("x/a", "x/b")))
    suite.add("pods-on-other-namespaces", "should deny ingress from pods on other namespaces",
              Step("an empty podSelector is every pod of x, and none of y and z",
                   put(ingress_policy("allow-own", {"from": [{"podSelector": {}}]})),
                   lambda truth: truth.deny(NOT_X, "x/*")))
    suite.add("pod-becomes-isolated", "should deny ingress access to updated pod",
              Step("the policy selects no pod", put(ingress_policy("isolate", to=match_labels(target="isolated"))),
                   everything),
              Step("x/a gains the label", put(facts.pod("x/a").relabelled(target="isolated")),
                   lambda truth: truth.deny_to("x/a")))


# 25 to 33
def _egress(suite: _Suite) -> None:
    suite.add("egress-deny-pod", "should deny egress from pods based on PodSelector",
              Step("x/a opens nothing; it can be reached", put(egress_policy("deny-egress", of=A)),
                   lambda truth: truth.deny_from("x/a")))
    suite.add("egress-deny-namespace", "should deny egress from all pods in a namespace",
              Step("x opens nothing; it can be reached", put(egress_policy("deny-egress")),
                   lambda truth: truth.deny_from("x/*")))
    suite.add("ingress-and-egress", "should work with Ingress, Egress specified together",
              Step("x/b reaches x/a on any port, nobody else does; x/a reaches 80 of all, 81 of none",
                   put(policy("x", "both", A, types=["Ingress", "Egress"], ingress=[{"from": [{"podSelector": B}]}],
                              egress=[{"ports": [{"protocol": "TCP", "port": 80}]}])),
                   lambda truth: truth.deny_to("x/a").allow("x/b", "x/a").deny_from("x/a", ports=81)), short=True)
    suite.add("both-ends-must-allow",
              "should support denying of egress traffic on the client side (even if the server explicitly allows this "
              "traffic)",
              Step("x/a may only reach y/a, though y/b lets it in; y/a and y/b let in only x/a",
                   put(egress_policy("allow-to-y-a", {"to": [pods_of(namespaces("y"), A)]}, of=A),
                       ingress_policy("allow-from-x-a", {"from": [pods_of(namespaces("x"), A)]},
                                      to=expression("pod", "In", "a", "b"), namespace="y")),
                   lambda truth: truth.deny_from("x/a").deny_to(["y/a", "y/b"]).allow("x/a", "y/a")), short=True)
    suite.add("egress-to-one-foreign-pod",
              "should enforce egress policy allowing traffic to a server in a different namespace based on "
              "PodSelector and NamespaceSelector",
              Step("x/a reaches y/a only",
                   put(egress_policy("allow-to-y-a", {"to": [pods_of(namespaces("y"), A)]}, of=A)),
                   lambda truth: truth.deny_from("x/a").allow("x/a", "y/a")))
    suite.add("ingress-any-port-of-a-protocol",
              "should enforce ingress policy allowing any port traffic to a server on a specific protocol",
              Step("TCP is open on every port, UDP is closed",
                   put(ingress_policy("allow-tcp", {"ports": [{"protocol": "TCP"}]}, to=A)),
                   lambda truth: truth.deny_to("x/a", protocols="udp")), scope=TCP_UDP)
    port_80 = {"ports": [{"protocol": "TCP", "port": 80}]}
    suite.add("ingress-allow-all-wins",
              "should enforce multiple ingress policies with ingress allow-all policy taking precedence",
              Step("only 80", put(ingress_policy("allow-80", port_80)), lambda truth: truth.deny_to("x/*", ports=81)),
              Step("policies add up: with allow-all, everything", put(ingress_policy("allow-all", {})), everything))
    suite.add("egress-allow-all-wins",
              "should enforce multiple egress policies with egress allow-all policy taking precedence",
              Step("only 80", put(egress_policy("allow-80", port_80)), lambda truth: truth.deny_from("x/*", ports=81)),
              Step("policies add up: with allow-all, everything", put(egress_policy("allow-all", {})), everything))
    suite.add("deleted-policies", "should stop enforcing policies after they are deleted",
              Step("nothing into or out of x", put(policy("x", "deny-all", types=["Ingress", "Egress"])),
                   lambda truth: truth.deny_to("x/*").deny_from("x/*")),
              Step("deleted: everything is open again", delete_policies("x", "deny-all"), everything))


# 34 to 36. Upstream asks in the primary family; here a policy names the blocks of both, and both are asked.
def _blocks(suite: _Suite, facts: Facts) -> None:
    y_b, x_b = facts.pod("y/b"), facts.pod("x/b")
    families = facts.families

    def host(pod: Any) -> list[Object]:
        return [{"ipBlock": {"cidr": block(pod.address(family), 0)}} for family in families]

    # Upstream takes the /4 around b; here the /4 of each family.
    around = [{"ipBlock": {"cidr": block(x_b.address(family), 28 if family == 4 else 124),
                           "except": [block(x_b.address(family), 0)]}} for family in families]
    suite.add("egress-block", "should allow egress access to server in CIDR block",
              Step("x/a reaches y/b, by its address, and nothing else",
                   put(egress_policy("allow-y-b", {"to": host(y_b)}, of=A)),
                   lambda truth: truth.deny_from("x/a").allow("x/a", "y/b")), short=True)
    suite.add("egress-block-except", "should enforce except clause while egress access to server in CIDR block",
              Step("x/a reaches everything around x/b, and not x/b",
                   put(egress_policy("allow-around-b", {"to": around}, of=A)), lambda truth: truth.deny("x/a", "x/b")))
    suite.add("block-and-except", "should ensure an IP overlapping both IPBlock.CIDR and IPBlock.Except is allowed",
              Step("x/b is excepted", put(egress_policy("allow-b", {"to": around}, of=A)),
                   lambda truth: truth.deny("x/a", "x/b")),
              Step("updated to x/b alone", put(egress_policy("allow-b", {"to": host(x_b)}, of=A)),
                   lambda truth: truth.deny_from("x/a").allow("x/a", "x/b")),
              # The suite that went before had the stronger form.
              Step("two policies side by side: an except takes nothing from another policy",
                   put(egress_policy("allow-around-b", {"to": around}, of=A)), everything),
              Step("the same when the first is deleted", delete_policies("x", "allow-b"),
                   lambda truth: truth.deny("x/a", "x/b")),
              Step("and made again", put(egress_policy("allow-b", {"to": host(x_b)}, of=A)), everything), short=True)


# 37 to 42
def _directions_and_protocols(suite: _Suite) -> None:
    suite.add("directions-are-independent",
              "should enforce policies to check ingress and egress policies can be controlled independently based on "
              "PodSelector",
              Step("x/a opens what it likes, and nobody reaches it",
                   put(egress_policy("allow-egress", {}, of=A), ingress_policy("deny-ingress", to=A)),
                   lambda truth: truth.deny_to("x/a")))
    suite.add("sctp-is-not-tcp",
              "should not mistakenly treat 'protocol: SCTP' as 'protocol: TCP', even if the plugin doesn't support "
              "SCTP",
              Step("nothing into x", put(ingress_policy("deny-all")), lambda truth: truth.deny_to("x/*")),
              Step("a rule for SCTP 81 opens no TCP 81",
                   put(ingress_policy("allow-sctp-81", {"ports": [{"protocol": "SCTP", "port": 81}]})),
                   lambda truth: truth.deny_to("x/*")))
    suite.add("sctp-policy-isolates",
              "should properly isolate pods that are selected by a policy allowing SCTP, even if the plugin doesn't "
              "support SCTP",
              Step("a rule for SCTP 80 alone closes TCP",
                   put(ingress_policy("allow-sctp-80", {"ports": [{"protocol": "SCTP", "port": 80}]}, to=A)),
                   lambda truth: truth.deny_to("x/a")))
    suite.add("udp-only-closes-tcp", "should not allow access by TCP when a policy specifies only UDP",
              Step("a rule for UDP 81 closes TCP",
                   put(ingress_policy("allow-udp-81", {"ports": [{"protocol": "UDP", "port": 81}]}, to=A)),
                   lambda truth: truth.deny_to("x/a")))
    suite.add("default-namespace-label",
              "should enforce policy to allow traffic based on NamespaceSelector with MatchLabels using default ns "
              "label",
              Step("only y reaches x/a, by the label that every namespace has",
                   put(ingress_policy("allow-y", {"from": [{"namespaceSelector": match_labels(**{NAME: "y"})}]}, to=A)),
                   only_to("x/a", "y/*")))
    suite.add("default-namespace-label-expression",
              "should enforce policy based on NamespaceSelector with MatchExpressions using default ns label",
              Step("x/a reaches x and z, not y",
                   put(egress_policy("not-y", {"to": [{"namespaceSelector": outside_of("y")}]}, of=A)),
                   lambda truth: truth.deny("x/a", "y/*")))


# 43 to 48: the three titles that exist for UDP and for SCTP
def _other_protocols(suite: _Suite) -> None:
    for protocol, scope in (("UDP", UDP), ("SCTP", SCTP)):
        slug = protocol.lower()
        suite.add(f"{slug}-default-deny-ingress", f"using {protocol}: should support a 'default-deny-ingress' policy",
                  Step("nobody reaches x", put(ingress_policy("deny-ingress")), lambda truth: truth.deny_to("x/*")),
                  scope=scope)
        suite.add(f"{slug}-ports", f"using {protocol}: should enforce policy based on Ports",
                  Step("y reaches x/a on 81, and that is all", put(ingress_policy(
                      "allow-81", {"from": [{"namespaceSelector": namespaces("y")}],
                                   "ports": [{"protocol": protocol, "port": 81}]}, to=A)),
                       only_to("x/a", "y/*", ports=81)), scope=scope, short=protocol == "SCTP")
        suite.add(f"{slug}-one-foreign-pod",
                  f"using {protocol}: should enforce policy to allow traffic only from a pod in a different "
                  "namespace based on PodSelector and NamespaceSelector",
                  Step("only y/a reaches x/a", put(ingress_policy(
                      "allow-y-a", {"from": [pods_of(namespaces("y"), A)]}, to=A)),
                       only_to("x/a", "y/a")), scope=scope, short=protocol == "UDP")
