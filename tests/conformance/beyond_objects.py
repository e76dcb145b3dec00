# SPDX-License-Identifier: Apache-2.0
"""Objects that change, are not there yet, or say more than we know: labels, namespaces, unknown keys, names."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from beyond_common import Ask, Want, asking, case, egress, ingress, ip_block, open_to_all, scope
from model import Case, Change, Delete, Facts, Namespace, Object, Outcome, Probe, Put, Step, Truth, delete_policies, \
    expression, match_labels, policy, put
from world import World

A = match_labels(pod="a")
B = match_labels(pod="b")
FROM_B: Object = {"podSelector": B}
EVERY = "tcp udp icmp"
# A rule that is always beside the one in question: a construct that matches nothing takes nothing from its neighbours.
ALSO_81: Object = {"from": [{"namespaceSelector": match_labels(ns="y")}], "ports": [{"port": 81}]}


def cases(facts: Facts) -> list[Case]:
    return [*_unseen(facts), *_relabelled(facts), *_unknown(), *_names_of_policies(), *_selectors(facts), *_restart()]


def _from_namespace(selector: Object) -> tuple[Change, ...]:
    return put(ingress("in", {"from": [{"namespaceSelector": selector}]}, to=A))


def _unseen(facts: Facts) -> list[Case]:
    pod = facts.new_pod("w/p", "n3", 34)
    mate = facts.new_pod("w/q", "n1", 35)
    area = scope("w/p y/a x/b", "x/a", protocols=EVERY, ports=(80,))
    in_w = scope("w/p w/q x/b", "w/p w/q", protocols=EVERY, ports=(80,))

    def allowed(*sources: str) -> Want:
        return lambda truth: truth.deny().allow(sources)
    arrives = put(Namespace("w"))
    goes = (Delete("Namespace", "", "w"),)
    return [
        case("namespace-unseen", "a namespace that is not known yet: only the empty selector holds its pods",
             "2.9 case-61",
             Step("no policies", put(pod), open_to_all),
             Step("ns NotIn [x], w unseen", _from_namespace(expression("ns", "NotIn", "x")), allowed("y/a")),
             Step("ns DoesNotExist, w unseen", _from_namespace(expression("ns", "DoesNotExist")), allowed()),
             Step("empty selector, w unseen", _from_namespace({}), allowed("w/p", "y/a", "x/b")),
             Step("ns NotIn [x] again", _from_namespace(expression("ns", "NotIn", "x")), allowed("y/a")),
             Step("w arrives, without labels", arrives, allowed("w/p", "y/a")),
             Step("w is relabelled ns=x", put(Namespace("w", {"ns": "x"})), allowed("y/a")), area=area, control=False,
             short=True),
        case("namespace-unseen-subject",
             "policies of a namespace that is not known yet hold, by their own namespace's peers",
             "2.9 2.10", Step("no policies", put(pod, mate), open_to_all),
             Step("w takes from its own pods, w unseen",
                  put(ingress("own", {"from": [{"podSelector": {}}]}, namespace="w")),
                  lambda truth: truth.deny("x/b")),
             Step("w arrives", arrives, lambda truth: truth.deny("x/b")), area=in_w, control=False),
        case("namespace-gone", "pods and policies go with their namespace, and come again with it", "2.10",
             Step("w's pod reaches x/a", (*arrives, *put(pod), *_from_namespace(expression("ns", "DoesNotExist"))),
                  allowed("w/p"), scope=area),
             Step("w has gone", goes, allowed(), scope=scope("y/a x/b", "x/a", protocols=EVERY, ports=(80,))),
             Step("w has come again", (*arrives, *put(pod)), allowed("w/p"), scope=area), control=False)]


def _relabelled(facts: Facts) -> list[Case]:
    every = scope("x/a x/b x/c y/a z/a", "x/a x/b", protocols=EVERY, ports=(80,))
    y, b = facts.namespaces()["y"], facts.pod("x/b")
    team = {"namespaceSelector": match_labels(team="red")}
    front = match_labels(tier="front")

    def into_a(*sources: str) -> Want:
        return lambda truth: truth.deny_to("x/a").allow(sources, "x/a")
    return [
        case("relabel-namespace", "a namespace's labels change: its pods come and go as peers", "2.9 5.4 case-62",
             Step("team red, nobody is", put(ingress("in", {"from": [team]}, to=A)), into_a()),
             Step("y becomes red", put(y.labelled({"team": "red"})), into_a("y/a")),
             Step("y becomes blue", put(y.labelled({"team": "blue"})), into_a()),
             Step("y is red again", put(y.labelled({"team": "red"})), into_a("y/a")), area=every),
        case("relabel-peer", "a pod's labels change: it comes and goes as a peer", "5.4",
             Step("tier front, nobody is", put(ingress("in", {"from": [{"podSelector": front}]}, to=A)), into_a()),
             Step("x/b gets it", put(b.relabelled(tier="front")), into_a("x/b")),
             Step("x/b gets another one", put(b.relabelled(tier="back")), into_a()),
             Step("x/b loses its labels", put(replace(b, labels={})), into_a()), area=every),
        case("relabel-subject", "a pod's labels change: it comes and goes as a subject", "5.4 case-63",
             Step("tier front, nobody is", put(ingress("in", to=front), egress("out", of=front)), open_to_all),
             Step("x/b gets it", put(b.relabelled(tier="front")),
                  lambda truth: truth.deny_to("x/b").deny_from("x/b")),
             Step("x/b loses it", put(b), open_to_all), area=every, control=False),
        case("relabel-exchange", "two pods exchange their labels in one change: subject and peer change places",
             "5.4 2.9",
             Step("a takes from b only", put(ingress("in", {"from": [FROM_B]}, to=A), egress("out", of=B)),
                  lambda truth: truth.deny_to("x/a").deny_from("x/b")),
             Step("and b sends to a", put(egress("out", {"to": [{"podSelector": A}]}, of=B)),
                  lambda truth: truth.deny_to("x/a").deny_from("x/b").allow("x/b", "x/a")),
             Step("exchanged", put(facts.pod("x/a").relabelled(pod="b"), b.relabelled(pod="a")),
                  lambda truth: truth.deny_to("x/b").deny_from("x/a").allow("x/a", "x/b")), area=every)]


def _unknown() -> list[Case]:
    area = scope("x/b y/a out", "x/a", protocols=EVERY)

    def fails_closed(name: str, title: str, clauses: str, *rules: Object, want: Want | None = None) -> Case:
        """The construct grants nothing; TCP 81 from y, by a rule of its own, stays."""
        return case(f"unknown-{name}", title, clauses,
                    Step("in force", put(ingress("in", *rules, ALSO_81, to=A)), want or only_81), area=area)

    def only_81(truth: Truth) -> None:
        truth.deny().allow("y/a", protocols="tcp", ports=81)

    def from_b_too(truth: Truth) -> None:
        truth.deny().allow("y/a", protocols="tcp", ports=81).allow("x/b")
    future = {"futureKey": {"narrows": True}}
    fine = ingress("in", {"from": [FROM_B]}, to=A)
    subject = policy("x", "future", {**A, **future}, ingress=[{}], types=["Ingress"])
    operator = policy("x", "future", {"matchLabels": {"pod": "a"}, "matchExpressions": [
        {"key": "pod", "operator": "Gt", "values": ["1"]}]}, ingress=[{}], types=["Ingress"])
    return [
        fails_closed("peer-key", "an unknown key beside a selector: the peer matches nothing, its neighbour does",
                     "1.5 case-14", {"from": [{**{"namespaceSelector": {}}, **future}, FROM_B]}, want=from_b_too),
        fails_closed("peer-alone", "a peer without any known key is nobody, not everybody", "1.5 case-13",
                     {"from": [future]}, {"from": [{}]}),
        fails_closed("selector-key", "an unknown key in a selector: the peer matches nothing", "1.5",
                     {"from": [{"podSelector": {**B, **future}}, {"namespaceSelector": {**future}}]}),
        fails_closed("block-key", "an unknown key in an ipBlock: the peer matches nothing", "1.5",
                     {"from": [{"ipBlock": {**ip_block("0.0.0.0/0")["ipBlock"], **future}},
                               {"ipBlock": {**ip_block("::/0")["ipBlock"], **future}}]}),
        fails_closed("block-and-selector", "an ipBlock beside a selector in one peer: nothing", "1.1 1.5",
                     {"from": [{**ip_block("0.0.0.0/0"), "podSelector": {}},
                               {**ip_block("::/0"), "namespaceSelector": {}}]}),
        fails_closed("port-key", "an unknown key in a port entry: that entry opens nothing", "1.5",
                     {"ports": [{"port": 80, **future}, {**future}]}),
        fails_closed("protocol", "an unknown protocol: that entry opens nothing, the others do", "1.5 case-16",
                     {"ports": [{"protocol": "ICMP", "port": 80}, {"protocol": "tcp", "port": 80}]}),
        fails_closed("rule-key", "an unknown key in a rule: the rule grants nothing", "1.5", {**future},
                     {"from": [FROM_B], **future}),
        fails_closed("operator", "an unknown operator in a peer: nobody", "1.3 1.5",
                     {"from": [{"podSelector": expression("pod", "Gt", "0")},
                               {"namespaceSelector": expression("ns", "Lt", "9")}]}),
        fails_closed("empty-selection", "a selector that holds no pod is nobody, not everybody", "1.5 case-15",
                     {"from": [{"podSelector": match_labels(pod="nobody")}]},
                     {"from": [{"podSelector": {"matchExpressions": [
                         {"key": "pod", "operator": "In", "values": [name]} for name in ("a", "b")]}}]}),
        case("unknown-spec-key", "an unknown key in spec, metadata or status is ignored", "1.5",
             Step("in force", (Put({**fine, "metadata": {**fine["metadata"], **future},
                                    "spec": {**fine["spec"], **future}, "status": future}),),
                  lambda truth: truth.deny().allow("x/b")), area=area),
        case("unknown-policy-type", "an unknown policyTypes value is ignored, the others hold", "1.5 case-73 case-72",
             Step("Future alone", put(policy("x", "future", A, types=["Future"])), open_to_all),
             Step("Future and Ingress", put(policy("x", "future", A, types=["Future", "Ingress"])),
                  lambda truth: truth.deny()),
             Step("Ingress twice", put(policy("x", "future", A, types=["Ingress", "Ingress"],
                                              ingress=[{"from": [FROM_B]}])),
                  lambda truth: truth.deny().allow("x/b")), area=area),
        case("unknown-in-subject",
             "an unknown key or operator in podSelector isolates what the known part holds, grants nothing",
             "1.5 case-73", Step("a key", put(subject), lambda truth: truth.deny_to("x/a"), scope=replace(
                 area, targets=("x/a", "x/c"))),
             Step("an operator", put(operator), lambda truth: truth.deny_to("x/a"),
                  scope=replace(area, targets=("x/a", "x/c"))),
             Step("and another policy that grants", put(fine), lambda truth: truth.deny_to("x/a").allow("x/b", "x/a"),
                  scope=replace(area, targets=("x/a", "x/c"))))]


def _names_of_policies() -> list[Case]:
    long = "n" * 120 + "." + "n" * 120
    on = [{"ports": [{"port": port}]} for port in (80, 81, 443)]
    return [case("policy-names", "names that differ by one sign, or are as long as they may be, stay apart",
                 "1.4 case-70",
                 Step("a.b, a-b and two of 241", put(
                     ingress("a.b", on[0], to=A), ingress("a-b", on[1], to=B), ingress(f"{long}a", on[2], to=A),
                     ingress(f"{long}b", on[2], to=B)),
                     lambda truth: truth.deny().allow("*", "x/a", ports=(80, 443)).allow("*", "x/b", ports=(81, 443))),
                 Step("one of each is deleted", delete_policies("x", "a.b", f"{long}b"),
                      lambda truth: truth.deny().allow("*", "x/a", ports=443).allow("*", "x/b", ports=81)),
                 area=scope("x/c y/a out", "x/a x/b", ports=(80, 81, 443)))]


def _selectors(facts: Facts) -> list[Case]:
    b, c = facts.pod("x/b"), facts.pod("x/c")
    labelled = put(b.relabelled(env=""), c.relabelled(env="prod"))
    area = scope("x/b x/c z/c", "x/a", protocols=EVERY, ports=(80,))

    def peers(selector: Object, *allowed: str) -> Step:
        return Step(str(selector), put(ingress("in", {"from": [{"podSelector": selector, "namespaceSelector": {}}]},
                                               to=A)),
                    lambda truth: truth.deny().allow(allowed))
    return [case("selector-absent-and-empty", "an absent key and an empty value are not the same",
                 "1.3 case-17 case-18 case-19",
                 Step("env: x/b has it empty, x/c prod, z/c not at all", labelled, open_to_all),
                 peers(match_labels(env=""), "x/b"), peers(expression("env", "NotIn", "prod"), "x/b", "z/c"),
                 peers(expression("env", "DoesNotExist"), "z/c"), peers(expression("env", "Exists"), "x/b", "x/c"),
                 peers(expression("env", "In", ""), "x/b"), peers(expression("env", "In", "Prod")),
                 peers({"matchExpressions": [*expression("env", "In", "prod")["matchExpressions"],
                                             *expression("env", "In", "", "dev")["matchExpressions"]]}),
                 area=area, control=False)]


def _restart() -> list[Case]:
    def started_again(world: World) -> list[Outcome]:
        """No node's kernel is empty or open while its agent is away, nor when it is back."""
        def look(_: World, family: int) -> Iterator[Ask]:
            for source, port, wanted in (("x/b", 80, True), ("x/b", 81, False), ("y/a", 80, False), ("out", 80, False)):
                yield Ask(f"{source} -> x/a tcp/{port}", Probe(source, "x/a", "tcp", port, family), wanted)
        if world.enforce:
            world.daemons.stop()
        away = asking(look)(world)
        world.restart_daemons()
        return [*away, *asking(look)(world)]
    return [case("agent-restart", "rules stay while the agent is away, and mean the same when it is back",
                 "5.8 case-66",
                 Step("x/b on 80", put(ingress("in", {"from": [FROM_B], "ports": [{"port": 80}]}, to=A)),
                      lambda truth: truth.deny().allow("x/b", protocols="tcp", ports=80), custom=started_again),
                 area=scope("x/b y/a out", "x/a", protocols=EVERY))]
