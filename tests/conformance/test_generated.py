# SPDX-License-Identifier: Apache-2.0
"""The generator makes what its description says, and netpolctl check agrees with the oracle about every cell of it."""
from __future__ import annotations

import json
import unittest
from collections import Counter

import generated
from model import Cell, Facts, Object, Truth
from program import ask, netpolctl

COUNTS = {  # tag: all, default
    "ingress": (105, 51), "egress": (103, 51), "deny-all": (13, 10), "allow-all": (7, 6), "any-peer": (2, 2),
    "any-port-protocol": (2, 2), "multi-peer": (90, 0), "multi-port/protocol": (14, 14),
    "ip-block-no-except": (20, 2), "ip-block-with-except": (20, 2), "all-pods": (84, 14), "pods-by-label": (54, 6),
    "all-namespaces": (58, 10), "namespaces-by-label": (54, 6), "policy-namespace": (38, 4), "any-port": (14, 14),
    "numbered-port": (40, 28), "named-port": (25, 24), "end-port": (12, 0), "tcp": (20, 16), "udp": (20, 16),
    "sctp": (14, 10), "pathological": (6, 6), "conflict": (17, 16), "target": (6, 6), "action": (7, 6),
}
CATEGORIES = {"target": 6, "rule": 4, "peer": 22, "peers": 90, "port": 70, "conflict": 16, "action": 6, "namespace": 2,
              "example": 1, "upstream": 13}


class Structure(unittest.TestCase):
    def setUp(self) -> None:
        self.cases = generated.cases(Facts())

    def test_numbers(self) -> None:
        self.assertEqual(len(self.cases), 230)
        self.assertEqual(len({case.name for case in self.cases}), 230)
        self.assertEqual(Counter(case.name.split("/")[1].split("-")[0] for case in self.cases), CATEGORIES)
        default = [case for case in self.cases if not case.tags & generated.EXCLUDED_BY_DEFAULT]
        self.assertEqual(len(default), 112)
        for tag, (every, some) in COUNTS.items():
            with self.subTest(tag):
                self.assertEqual(sum(tag in case.tags for case in self.cases), every)
                self.assertEqual(sum(tag in case.tags for case in default), some)

    def test_names_are_those_of_every_world(self) -> None:
        names = [case.name for case in self.cases]
        for kind in ("routed", "bridged"):
            for families in ((4,), (6,), (4, 6)):
                self.assertEqual([case.name for case in generated.cases(Facts(kind, families))], names)

    def test_each_short_case_exists(self) -> None:
        self.assertEqual({case.name for case in self.cases if case.short}, generated.SHORT)

    def test_policies_differ(self) -> None:
        """No two cases but those that are meant to ask the same thing twice."""
        seen: dict[str, str] = {}
        same = []
        for case in self.cases:
            if len(case.steps) == 1:
                text = json.dumps([change.object for change in case.steps[0].change], sort_keys=True)
                if text in seen:
                    same.append({seen[text], case.name})
                seen[text] = case.name
        base = {"generated/target-namespace-x", "generated/target-pods-label"}
        for pair in same:
            # What is the base policy by two names: x, pod=a, TCP 80; a protocol given is the default.
            self.assertTrue(pair <= base or any("tcp-80" in name or name in base for name in pair), pair)


class SecondOpinion(unittest.TestCase):
    def test_check_agrees(self) -> None:
        """Every cell of every step, both families, asked of netpolctl check."""
        program, facts, asked, denied = netpolctl(), Facts(), 0, 0
        for case in generated.cases(facts):
            cluster = facts.cluster()
            for step in case.steps:
                cluster.apply(step.change)
                cells: list[tuple[int, Cell, bool]] = []
                for family in (4, 6):
                    keys = list(cluster.pods())
                    truth = Truth(family, cluster, keys, keys, case.scope)
                    generated.judge(truth)
                    self.assertGreaterEqual(len(truth.cells), 486)
                    cells += [(family, cell, allowed) for cell, allowed in truth.cells.items()]
                objects = [item for kind in ("Namespace", "Node", "Pod", "NetworkPolicy")
                           for item in cluster.objects(kind)]
                wrong = [(cell, family, allowed, answer) for (family, cell, allowed), answer
                         in zip(cells, ask(program, objects, [query(family, cell) for family, cell, _ in cells]))
                         if answer.get("verdict") != ("allow" if allowed else "deny")]
                self.assertEqual(wrong[:3], [], f"{case.name}: {step.title}: {len(wrong)} of {len(cells)}")
                asked += len(cells)
                denied += sum(not allowed for _, _, allowed in cells)
        print(f"{asked} questions, {denied} of them denied, 0 differences")
        self.assertGreater(denied, asked // 20)


def query(family: int, cell: Cell) -> Object:
    return {"from": cell.source, "to": cell.target, "protocol": cell.protocol.upper(), "port": cell.port,
            "family": family}


if __name__ == "__main__":
    unittest.main()
