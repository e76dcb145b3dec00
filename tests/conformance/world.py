# SPDX-License-Identifier: Apache-2.0
"""The world of the conformance suite: three nodes, pods, a host outside, Services, and a real netpold on each node."""
from __future__ import annotations

import ipaddress
import itertools
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from daemons import Daemons, check_queries
from machines import SERVICE_PORTS, Broken, Machines, PodMachine, background, command, read_sysctl, write_sysctls
from model import NODES, OUT, OUT_ADDRESS, Cell, Change, Cluster, Delete, Facts, Object, Probe, Put, \
    node_address, service_address

PROBE_MS = 400
PATIENT_MS = 1500
ALLOWED, DENIED = "ok", "timeout"


class World:
    """One cluster. `facts` is how it begins, `cluster` the objects as they are now."""

    def __init__(self, facts: Facts, work: Path, build: Path, *, enforce: bool = True) -> None:
        self.facts = facts
        self.work = work
        self.enforce = enforce
        self.netprobe_path = build / "tests/tools/netprobe"
        self.netpolctl = build / "netpolctl"
        self.machines = Machines(facts, work, self.netprobe_path)
        self.machines.hook_services()
        self.daemons = Daemons(build / "netpold", work)
        self.cluster = Cluster()
        self._pods: dict[str, PodMachine] = {}
        self._undo: list[Callable[[], Any]] = []
        self._tags = itertools.count(1)
        self._base = facts.cluster()
        self.apply(_changes(self.cluster, self._base))
        if enforce:
            self.daemons.start()
            self.settle()

    # -- objects

    def apply(self, changes: Sequence[Change]) -> None:
        """Change objects and machines, and write the state directory (files renamed into place). Does not wait."""
        for change in changes:
            self.cluster.apply([change])
        if self._match_machines():
            self.machines.services(self._pods)
        self.daemons.write("cluster.json", [item for kind in ("Namespace", "Node", "Pod")
                                            for item in self.cluster.objects(kind)])
        self.daemons.write("policies.json", self.cluster.policies())

    def _match_machines(self) -> bool:
        """Start and stop machines so that they are those of the Pod objects; whether any was."""
        before, self._pods = self._pods, {}
        own = {key: pod for key, pod in self.cluster.pods().items() if not pod["spec"].get("hostNetwork")}
        for key, pod in own.items():
            addresses, known = _addresses(pod), before.get(key)
            if known and addresses in ({}, known.addresses):
                self._pods[key] = known
            elif addresses:
                owners = (machine for machine in before.values() if machine.addresses == addresses)
                self._pods.update((key, machine) for machine in itertools.islice(owners, 1))
        kept = {machine.netns for machine in self._pods.values()}
        for netns, machine in {machine.netns: machine for machine in before.values()}.items():
            if netns not in kept:
                self.machines.stop_pod(machine)
        for key, pod in own.items():
            addresses = _addresses(pod)
            if key not in self._pods and addresses:
                twin = next((machine for machine in self._pods.values() if machine.addresses == addresses), None)
                self._pods[key] = twin or self.machines.start_pod(key.replace("/", "-"), pod["spec"]["nodeName"],
                                                                  addresses)
        return self._pods != before

    def settle(self) -> None:
        """Wait until every node's kernel holds what the state directory asks for."""
        if self.enforce:
            self.daemons.settle()

    def reset(self) -> None:
        """Undo what at_end registered; then the base again: no policies, the nine pods, the labels they had."""
        while self._undo:
            self._undo.pop()()
        self.apply(_changes(self.cluster, self._base))

    def at_end(self, undo: Callable[[], Any]) -> None:
        """Call `undo` when the case is over, last registered first."""
        self._undo.append(undo)

    # -- names

    def endpoints(self) -> list[str]:
        """Live pods of the pod network, then nodes, then "out"."""
        live = [key for key, pod in self.cluster.pods().items()
                if key in self._pods and not pod["spec"].get("hostNetwork")
                and pod["status"].get("phase") not in ("Succeeded", "Failed") and pod["status"].get("podIPs")]
        return [*live, *NODES, OUT]

    def netns(self, endpoint: str) -> str:
        """The network namespace an endpoint's processes run in (a hostNetwork pod: its node's)."""
        if endpoint in NODES or endpoint == OUT:
            return endpoint
        if endpoint in self._pods:
            return self._pods[endpoint].netns
        return self.node_of(endpoint)

    def node_of(self, pod: str) -> str:
        """The node of a pod."""
        return self.cluster.get("Pod", *pod.split("/"))["spec"]["nodeName"]

    def address(self, endpoint: str, family: int) -> str:
        """Its own address ("" when it has none in that family)."""
        if endpoint == OUT:
            return OUT_ADDRESS[family] if family in self.facts.families else ""
        if endpoint in self._pods:
            return self._pods[endpoint].addresses.get(family, "")
        node = endpoint if endpoint in NODES else self.node_of(endpoint)
        return node_address(node, family) if family in self.facts.families else ""

    def service(self, pod: str, family: int) -> str:
        """The ClusterIP of a pod's Service: ports 53, 80 and 81 in TCP, UDP and SCTP, to the same port of the pod. ""
        when the pod has no address in that family."""
        machine = self._pods[pod]
        return service_address(machine.node, machine.host, family) if family in machine.addresses else ""

    def interface(self, pod: str) -> str:
        """The node's side of a pod's link (a port of cni0 for a bridged pod)."""
        return self._pods[pod].interface

    def link_local(self, endpoint: str, interface: str = "eth0") -> str:
        """The IPv6 link-local address of an interface ("cni0" or interface(pod) on a node)."""
        shown = command("ip", "-n", self.netns(endpoint), "-6", "-o", "addr", "show", "dev", interface, "scope", "link")
        words = shown.stdout.split()
        if "inet6" not in words:
            raise Broken(f"{endpoint} has no link-local address on {interface}")
        return words[words.index("inet6") + 1].split("/")[0]

    # -- packets

    def _target(self, probe: Probe) -> str:
        if probe.target in NODES or probe.target == OUT:
            return self.address(probe.target, probe.family)
        if "/" not in probe.target:
            return probe.target
        # A Service translates its ports; nothing else that is sent to a ClusterIP finds a pod.
        if probe.via == "service" and probe.protocol != "icmp" and probe.target in self._pods:
            if probe.port not in SERVICE_PORTS:
                raise Broken(f"{probe}: Services have no such port: ask by way of the pod's address")
            return self.service(probe.target, probe.family)
        if probe.via == "node":
            return node_address(self.node_of(probe.target), probe.family)
        return self.address(probe.target, probe.family)

    def ask(self, probes: Sequence[Probe], wanted: Sequence[bool] | None = None) -> list[str]:
        """All at once: "ok", "timeout", "refused", "unreachable" or "error" for each. Where `wanted` says that an
        answer must come, silence is asked once more, with patience; what is denied never gets a second look."""
        lines = []
        for index, probe in enumerate(probes):
            source = probe.source_address or self.address(probe.source, probe.family)
            target = self._target(probe)
            if not source or not target:
                raise Broken(f"{probe}: an end has no address in this family")
            lines.append(f"{index} {self.netns(probe.source)} {probe.protocol} {target} {probe.port} {source}")
        got = self._matrix(lines, PROBE_MS, 1)
        slow = [index for index, outcome in enumerate(got) if outcome == DENIED and wanted and wanted[index]]
        for index, outcome in zip(slow, self._matrix([lines[index] for index in slow], PATIENT_MS, 2)):
            got[index] = outcome
        return got

    def _matrix(self, lines: list[str], timeout_ms: int, attempts: int) -> list[str]:
        if not lines:
            return []
        done = command(str(self.netprobe_path), "matrix", "--sequence", str(self.work / "sequence"), "--timeout-ms",
                       str(timeout_ms), "--attempts", str(attempts), stdin="\n".join(lines) + "\n")
        outcomes = [line.split()[1] for line in done.stdout.splitlines()]
        if len(outcomes) != len(lines):
            raise Broken(f"netprobe answered {len(outcomes)} of {len(lines)} probes")
        return outcomes

    def reached(self, probe: Probe) -> str:
        """One probe, as "allow" or "deny"; another word when it was neither answered nor met with silence."""
        return _verdict(self.ask([probe])[0])

    def connect(self, endpoint: str, protocol: str, to: str, port: int = 0, *, source: str = "", size: int = 0,
                unprivileged: bool = False) -> str:
        """netprobe connect; `to` may be "fe80::1%eth0"; unprivileged drops every capability (TCP and UDP only). As
        reached()."""
        words = ["connect", "--proto", protocol, "--to", to, "--timeout-ms", str(PROBE_MS), "--sequence",
                 str(self.work / "sequence")]
        words += ["--port", str(port)] if port else []
        words += ["--from", source] if source else []
        words += ["--size", str(size)] if size else []
        words += ["--unprivileged"] if unprivileged else []
        return _verdict(self.netprobe(endpoint, *words, check=False).stdout.strip())

    def run(self, endpoint: str, *words: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """A command in an endpoint's namespace, output captured as text."""
        return command("ip", "netns", "exec", self.netns(endpoint), *words, check=check, stdin=stdin)

    def netprobe(self, endpoint: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """netprobe in an endpoint's namespace (send, connect …)."""
        return self.run(endpoint, str(self.netprobe_path), *words, check=check)

    def arrivals(self, endpoint: str, send: Callable[[str], Any], *, interface: str = "eth0",
                 wanted: bool = False) -> int:
        """How many frames with a fresh tag reach an endpoint's interface when send(tag) is called. `wanted`: wait for
        the first, 2 s at most; else only until what was sent must have come or been dropped."""
        tag = f"conformance{next(self._tags)}."
        counts = self.work / f"sniff.{tag}"
        pidfile = self.work / f"sniff.{tag}pid"
        background(self.netns(endpoint), str(self.netprobe_path), "sniff", "--tag", tag, "--iface", interface, "--file",
                   str(counts), "--background", str(pidfile))
        try:
            send(tag)
            until = time.monotonic() + (2.0 if wanted else 0.15)
            while time.monotonic() < until and not _count(counts):
                time.sleep(0.01)
        finally:
            command("kill", pidfile.read_text(encoding="ascii").strip())
        return _count(counts)

    # -- nodes

    def nat(self, node: str, family: int, chain: str, *rule: str) -> None:
        """Insert a rule at the top of a chain of a node's nat table until the end of the case."""
        tool = "iptables-legacy" if family == 4 else "ip6tables-legacy"
        self.run(node, tool, "-w", "-t", "nat", "-I", chain, *rule)
        self.at_end(lambda: self.run(node, tool, "-w", "-t", "nat", "-D", chain, *rule))

    def sysctl(self, endpoint: str, name: str, value: str) -> None:
        """Set net.<name> ("ipv4/conf/all/rp_filter") in an endpoint's namespace until the end of the case."""
        netns = self.netns(endpoint)
        before = read_sysctl(netns, name)
        write_sysctls(netns, [(name, value)])
        self.at_end(lambda: write_sysctls(netns, [(name, before)]))

    def restart_daemons(self, *options: str) -> None:
        """Stop every netpold, start it with these more options, wait until it is ready and the kernel in step."""
        if self.enforce:
            self.daemons.stop()
            self.daemons.start(*options)
            self.settle()

    def recover(self) -> None:
        """After something broke: end what is left of the daemons and start them again."""
        if self.enforce:
            self.daemons.kill()
            self.daemons.start()

    def evaluate(self, cells: Sequence[Cell], family: int) -> list[str]:
        """What `netpolctl check` says to each cell: "allow", "deny", "unknown" or "error: …"."""
        queries = []
        for cell in cells:
            query: dict[str, Any] = {"from": self._label(cell.source, family), "to": self._label(cell.target, family),
                                     "protocol": cell.protocol.upper(), "family": family}
            if cell.protocol != "icmp":
                query["port"] = cell.port
            queries.append(query)
        return check_queries(self.netpolctl, self.daemons.state, queries)

    def _label(self, endpoint: str, family: int) -> str:
        if endpoint == OUT:
            return OUT_ADDRESS[family]
        return f"node:{endpoint}" if endpoint in NODES else endpoint

    def close(self) -> list[str]:
        """Stop the daemons, remove what they programmed; what a sanitizer build complained about."""
        if not self.enforce:
            return []
        self.daemons.stop()
        self.daemons.cleanup()
        return self.daemons.complaints()


def _addresses(pod: Object) -> dict[int, str]:
    return {ipaddress.ip_address(entry["ip"]).version: entry["ip"] for entry in pod.get("status", {}).get("podIPs", [])}


def _verdict(outcome: str) -> str:
    return {ALLOWED: "allow", DENIED: "deny"}.get(outcome, outcome or "error")


def _count(path: Path) -> int:
    return int(path.read_text(encoding="ascii").split()[1])


def _changes(now: Cluster, wanted: Cluster) -> list[Change]:
    """What makes one cluster into another: policies go first and pods before their namespaces."""
    changes: list[Change] = []
    for kind in ("NetworkPolicy", "Pod", "Node", "Namespace"):
        have, want = ({(item["metadata"].get("namespace", ""), item["metadata"]["name"]): item
                       for item in cluster.objects(kind)} for cluster in (now, wanted))
        changes += [Delete(kind, *key) for key in have if key not in want]
        changes += [Put(item) for key, item in want.items() if have.get(key) != item]
    return changes
