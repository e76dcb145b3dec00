# SPDX-License-Identifier: Apache-2.0
"""A cluster: API server, three nodes with netpold, pods with real packets. Objects are written with kubectl, as users and
kubelets write them; a mirror of them is given to the conformance suite's oracle, which says who may reach whom."""
from __future__ import annotations

import copy
import ipaddress
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pki
import provider as providers
from agents import Agents
from machines import Broken, Machines, PodMachine, command
from model import NODES, Cell, Delete, Facts, Namespace, Object, Pod, Put, node_address
from model import Cluster as Mirror
from oracle import Attempt, Oracle
from request_log import KINDS, Requests

CONTROL = "control"
CONTROL_ADDRESS = {4: "192.168.50.10", 6: "fd00:50::10"}
SETTLE_SECONDS = 15.0
PROBE_MS = 400
PATIENT_MS = 1500
PORTS = (("tcp", 80), ("udp", 81))
# A client may begin this many requests within a second, and within ten: a start asks for the version, the size of the
# cluster and four kinds, some of them twice.
BURST, SUSTAINED = 16, 40


class Failed(Exception):
    """The product did not do what it must."""


class Fabric(Machines):
    """The machines of the conformance suite, and one for the control plane on the same wire."""

    def __init__(self, facts: Facts, work: Path, netprobe: Path) -> None:
        super().__init__(facts, work, netprobe)
        self._start(CONTROL)
        self._plug(CONTROL, {family: CONTROL_ADDRESS[family] for family in facts.families})

        # Counts the connections that are refused to nodes.
        for family in facts.families:
            for node in NODES:
                command(*_iptables(family), "-A", "OUTPUT", "-d", node_address(node, family), "-p", "tcp", "--sport",
                        str(providers.PORT), "--tcp-flags", "RST", "RST")

    def refused(self) -> int:
        """Connections of nodes to the API server that were refused so far, or cut."""
        lines = [line.split() for family in self.facts.families
                 for line in command(*_iptables(family), "-L", "OUTPUT", "-nvx").stdout.splitlines()]
        return sum(int(words[0]) for words in lines if words and words[0].isdigit())

    def unplug(self, machine: str) -> None:
        """Pull the cable: packets are lost in silence."""
        command("ip", "-n", "fabric", "link", "set", f"p-{machine}", "nomaster")

    def plug_again(self, machine: str) -> None:
        command("ip", "-n", "fabric", "link", "set", f"p-{machine}", "master", "br0")


class Cluster:
    """Started and filled when made: namespaces x, y and z, nine pods on three nodes, no policy."""

    def __init__(self, work: Path, build: Path, *, kind: str = "routed", options: providers.Options | None = None,
                 agents: bool = True, data: Path | None = None) -> None:
        self.work, self.build = work, build
        self.facts = Facts(kind)
        self.netprobe = build / "tests/tools/netprobe"
        self.netpolctl = build / "netpolctl"
        self.mirror = Mirror()
        self.probes = self.tables = 0
        self._pods: dict[str, PodMachine] = {}
        self._notes: list[str] = []
        self.fabric = Fabric(self.facts, work, self.netprobe)
        self.server = providers.make(work / "server", CONTROL, CONTROL_ADDRESS, data)
        self.agents = Agents(build / "netpold", work, {node: self._kubeconfig(node) for node in NODES})
        self.node_clients = {node: {node_address(node, family) for family in self.facts.families} for node in NODES}
        base = self.facts.cluster()
        wired = _Thread(lambda: self._wire(base))
        self.server.start(options)
        self.put(*base.objects("Node"), *base.objects("Namespace"), *base.objects("Pod"), wire=False)
        wired.join()
        self._match_machines()
        self.start_mark = self.server.log.mark()
        if agents:
            self.agents.start()

    def _kubeconfig(self, node: str) -> Path:
        """n1 asks over IPv4, n2 over IPv6, n3 verifies a name instead of the address; the token is in a file."""
        token = self.work / f"token.{node}"
        token.write_text(self.server.agent_token + "\n", encoding="ascii")
        token.chmod(0o600)
        entry = self.server.cluster_entry(6 if node == "n2" else 4)
        if node == "n3":
            entry["tls-server-name"] = providers.SERVER_NAME
        return pki.kubeconfig(self.work / f"{node}.kubeconfig", entry, {"tokenFile": token.name})

    def agent_kubeconfig(self, name: str, user: dict[str, Any], family: int = 4, **cluster: Any) -> Path:
        """A kubeconfig of a test's own."""
        return pki.kubeconfig(self.work / f"{name}.kubeconfig", self.server.cluster_entry(family, **cluster), user)

    def write_token(self, node: str, token: str) -> None:
        """Replace a node's token, as the kubelet does: renamed into place."""
        draft = self.work / f"token.{node}.draft"
        draft.write_text(token + "\n", encoding="ascii")
        draft.chmod(0o600)
        draft.replace(self.work / f"token.{node}")

    # -- objects

    def put(self, *things: Pod | Namespace | Object, wire: bool = True) -> None:
        """Create or change objects; of pods and nodes the status too, as a kubelet would."""
        objects = [thing if isinstance(thing, dict) else thing.object() for thing in things]
        self.apply_raw([_to_server(item) for item in objects])
        pods = [item for item in objects if item["kind"] == "Pod"]
        if len(pods) > 1:
            self.apply_raw([_status(item) for item in pods], "--subresource=status", "--field-manager=kubelet")
            pods = []
        # Two addresses of one type are nothing that can be applied.
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(self._patch_status, [*pods, *(item for item in objects if item["kind"] == "Node")]))
        for item in objects:
            self.mirror.apply([Put(item)])
        if wire:
            self._match_machines()

    def apply_raw(self, objects: list[Object], *options: str) -> None:
        """`kubectl apply` and no more."""
        self.server.kubectl("apply", "--server-side", "--force-conflicts", *options, "-f", "-",
                            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def _patch_status(self, item: Object) -> None:
        where = ["-n", item["metadata"]["namespace"]] if "namespace" in item["metadata"] else []
        self.server.kubectl("patch", item["kind"].lower(), item["metadata"]["name"], *where, "--subresource=status",
                            "--type=merge", "-p", json.dumps({"status": item["status"]}))

    def status(self, pod: Pod) -> None:
        """Only the status, as a kubelet reports it."""
        self._patch_status(pod.object())
        self.mirror.apply([Put(pod.object())])
        self._match_machines()

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """`kubectl delete`, at once."""
        where = ["-n", namespace] if namespace else []
        now = ["--force", "--grace-period=0"] if kind == "Pod" else []
        self.server.kubectl("delete", kind.lower(), name, *where, *now, "--wait=false")
        self.mirror.apply([Delete(kind, namespace, name)])
        self._match_machines()

    def label(self, kind: str, namespace: str, name: str, **labels: str | None) -> None:
        """`kubectl label`; None removes."""
        where = ["-n", namespace] if namespace else []
        words = [f"{key}-" if value is None else f"{key}={value}" for key, value in labels.items()]
        self.server.kubectl("label", kind.lower(), name, *where, "--overwrite", *words)
        item = copy.deepcopy(self.mirror.get(kind, namespace, name))
        merged = {**item["metadata"].get("labels", {}), **labels}
        item["metadata"]["labels"] = {key: value for key, value in merged.items() if value is not None}
        self.mirror.apply([Put(item)])

    # -- machines

    def _wire(self, base: Mirror) -> None:
        for pod in base.objects("Pod"):
            self._start_machine(pod)

    def _start_machine(self, pod: Object) -> None:
        key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self._pods[key] = self.fabric.start_pod(key.replace("/", "-"), pod["spec"]["nodeName"], _addresses(pod))

    def _match_machines(self) -> None:
        """A machine for each pod of the pod network that has addresses and is not finished."""
        wanted = {key: pod for key, pod in self.mirror.pods().items() if _addresses(pod) and _lives(pod)
                  and not pod["spec"].get("hostNetwork")}
        for key, machine in list(self._pods.items()):
            if key not in wanted or machine.addresses != _addresses(wanted[key]):
                self.fabric.stop_pod(self._pods.pop(key))
        for key, pod in wanted.items():
            if key not in self._pods:
                self._start_machine(pod)

    # -- packets

    def expected(self) -> dict[tuple[Cell, int], bool]:
        """Who may reach whom by the oracle, for every live pod, both protocols, both families."""
        oracle = Oracle(self.mirror.namespaces(), self.mirror.pods().values(), self.mirror.policies())
        pods = list(self._pods)
        table = {}
        for family in self.facts.families:
            address = {key: self._pods[key].addresses.get(family, "") for key in pods}
            for source in pods:
                for target in pods:
                    if source == target or not address[source] or not address[target]:
                        continue
                    for protocol, port in PORTS:
                        attempt = Attempt(address[source], address[target], protocol.upper(), port)
                        table[(Cell(source, target, protocol, port), family)] = oracle.judge(attempt).allowed
        return table

    def ask(self, wanted: dict[tuple[Cell, int], bool]) -> list[str]:
        """Send what the table asks, once more with patience where an answer must come. What is wrong, as sentences."""
        cells = sorted(wanted, key=lambda pair: pair[0].source)
        lines = [f"{index} {self._pods[cell.source].netns} {cell.protocol} {self._pods[cell.target].addresses[family]} "
                 f"{cell.port} {self._pods[cell.source].addresses[family]}"
                 for index, (cell, family) in enumerate(cells)]
        got = self._matrix(lines, PROBE_MS, 1)
        slow = [index for index, word in enumerate(got) if word == "timeout" and wanted[cells[index]]]
        for index, word in zip(slow, self._matrix([lines[index] for index in slow], PATIENT_MS, 2)):
            got[index] = word
        self.probes += len(cells)
        self.tables += 1
        return [f"{cell.source} -> {cell.target} {cell.protocol}/{cell.port} IPv{family}: wanted "
                f"{'allow' if wanted[cell, family] else 'deny'}, got {word}"
                for (cell, family), word in zip(cells, got)
                if word != ("ok" if wanted[cell, family] else "timeout")]

    def _matrix(self, lines: list[str], timeout_ms: int, attempts: int) -> list[str]:
        if not lines:
            return []
        done = command(str(self.netprobe), "matrix", "--sequence", str(self.work / "sequence"), "--timeout-ms",
                       str(timeout_ms), "--attempts", str(attempts), stdin="\n".join(lines) + "\n")
        outcomes = dict(line.split()[:2] for line in done.stdout.splitlines())
        if len(outcomes) != len(lines):
            raise Broken(f"netprobe answered {len(outcomes)} of {len(lines)}")
        return [outcomes[line.split()[0]] for line in lines]

    def allowed(self, source: str, target: str) -> bool:
        """What the oracle says of a pair in all protocols and families; they must agree."""
        words = {allowed for (cell, _), allowed in self.expected().items()
                 if (cell.source, cell.target) == (source, target)}
        if len(words) != 1:
            raise Broken(f"{source} -> {target}: the test's own expectation is not one: {words}")
        return words.pop()

    def expect(self, why: str, *, allow: Iterable[tuple[str, str]] = (), deny: Iterable[tuple[str, str]] = (),
               seconds: float = SETTLE_SECONDS) -> float:
        """Wait until packets go as the oracle says. `allow`, `deny`: what the table must say, so that a step that
        changes nothing is noticed. How long it took."""
        for pairs, wanted in ((allow, True), (deny, False)):
            for source, target in pairs:
                if self.allowed(source, target) != wanted:
                    raise Broken(f"{why}: by the oracle {source} -> {target} is not {'allowed' if wanted else 'denied'}")
        started, pause = time.monotonic(), 0.02
        table = self.expected()
        while True:
            wrong = self.ask(table)
            took = time.monotonic() - started
            if not wrong:
                return took
            self._alive()
            time.sleep(min(pause, 1.0))
            pause *= 1.5
            if took > seconds:
                raise Failed(f"{why}: after {took:.1f} s {len(wrong)} of {len(table)} are wrong:\n  "
                             + "\n  ".join(wrong[:12]))

    def hold(self, why: str, seconds: float = 0.0) -> None:
        """Packets must go as the oracle says, now and all the time."""
        until = time.monotonic() + seconds
        table = self.expected()
        while True:
            wrong = self.ask(table)
            if wrong:
                raise Failed(f"{why}: {len(wrong)} of {len(table)} are wrong:\n  " + "\n  ".join(wrong[:12]))
            self._alive()
            if time.monotonic() >= until:
                return
            time.sleep(0.3)

    def _alive(self) -> None:
        for node in self.agents.running():
            self.agents.alive(node)

    # -- requests

    def requests(self, mark: int, nodes: Iterable[str] = NODES) -> Requests:
        """What the agents of these nodes asked since a mark."""
        return self.server.log.since(mark, {client for node in nodes for client in self.node_clients[node]})

    def budget(self, why: str, mark: int, lists: dict[str, tuple[int, int]] | int, *, failed: int = 0,
               burst: int = BURST, sustained: int = SUSTAINED) -> Requests:
        """Since the mark, each node asked for a whole collection of each kind as often as `lists` says (a number, or
        least and most by kind), for `failed` more in vain at most, and never hurried."""
        wanted = lists if isinstance(lists, dict) else {kind: (lists, lists) for kind in KINDS}
        everything = self.requests(mark)
        for node in self.agents.running():
            mine = self.requests(mark, [node])
            for kind, (least, most) in wanted.items():
                served = len(mine.initial(kind, served=True))
                if not least <= served <= most:
                    raise Failed(f"{why}: {node} read all {kind} {served} times, wanted {least} to {most}\n"
                                 + mine.where(lambda one, kind=kind: one.resource == kind).lines())
            vain = mine.initial(served=False)
            if len(vain) > failed:
                raise Failed(f"{why}: {node} asked for a whole collection {len(vain)} times in vain, at most {failed} "
                             f"times is wanted\n{vain.lines()}")
        for window, most in ((1.0, burst), (10.0, sustained)):
            count, who = everything.busiest(window)
            if count > most:
                raise Failed(f"{why}: {who} sent {count} requests within {window:.0f} s, at most {most} are wanted\n"
                             + everything.where(lambda one: one.client == who).lines())
        return everything

    def watching(self, why: str, mark: int, nodes: Iterable[str] = NODES, seconds: float = SETTLE_SECONDS) -> float:
        """Wait until each node has a watch of each kind that it opened after the mark. How long it took."""
        started = time.monotonic()
        self.until(f"{why}: everything is watched", lambda: all(
            {one.resource for one in self.requests(mark, [node]) if one.verb == "watch" and one.seconds is None
             and one.status in (0, 200)} >= set(KINDS) for node in nodes), seconds)
        return time.monotonic() - started

    def until(self, why: str, check: Callable[[], Any], seconds: float = SETTLE_SECONDS) -> Any:
        """The first true answer; Failed when there is none in time."""
        end = time.monotonic() + seconds
        while True:
            answer = check()
            if answer:
                return answer
            self._alive()
            if time.monotonic() > end:
                raise Failed(f"{why}: not within {seconds:.0f} s")
            time.sleep(0.05)

    def note(self, text: str) -> None:
        """For the line of the scenario."""
        self._notes.append(text)

    def notes(self) -> str:
        return ", ".join(self._notes)

    # -- programs

    def run(self, node: str, *words: str, stdin: str = "", env: dict[str, str] | None = None,
            timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """A program in a node's namespace; whatever its exit code."""
        return subprocess.run(["ip", "netns", "exec", node, *words], input=stdin, capture_output=True, text=True,
                              check=False, env=env, timeout=timeout)

    def ctl(self, *words: str, node: str = "n1", codes: Sequence[int] = (0,), stdin: str = "") -> str:
        """netpolctl in a node's namespace; its standard output."""
        done = self.run(node, str(self.netpolctl), *words, stdin=stdin)
        if done.returncode not in codes:
            raise Failed(f"netpolctl {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()[:1500]}")
        return done.stdout

    def diagnosis(self) -> str:
        """For whoever reads of a failure: ends of the logs, last requests."""
        parts = []
        for node in NODES:
            parts.append(f"-- netpold on {node}\n{self.agents.log(node, 8)}")
        parts.append(f"-- API server ({self.server.name})\n{self.server.tail(lines=8)}")
        parts.append(f"-- last requests of the nodes\n{self.requests(0).lines(16)}")
        return "\n".join(parts)

    def close(self) -> list[str]:
        """Stop the daemons and the server; what a sanitizer build complained about."""
        try:
            self.agents.stop()
            for node in NODES:
                done = self.run(node, str(self.agents.netpold), "--cleanup", env=self.agents._environment(node))
                if done.returncode != 0:
                    raise Failed(f"netpold --cleanup on {node}: exit {done.returncode}: {done.stderr.strip()}")
        finally:
            self.agents.kill()
            self.server.close()
        return self.agents.complaints()


def _iptables(family: int) -> list[str]:
    return ["ip", "netns", "exec", CONTROL, "iptables-legacy" if family == 4 else "ip6tables-legacy", "-w"]


class _Thread(threading.Thread):
    """Runs a function; join() raises what it raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._fault: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as fault:  # handed over to whoever joins
            self._fault = fault

    def join(self, timeout: float | None = None) -> None:
        super().join(timeout)
        if self._fault is not None:
            raise self._fault


def _addresses(pod: Object) -> dict[int, str]:
    return {ipaddress.ip_address(entry["ip"]).version: entry["ip"] for entry in pod["status"].get("podIPs", [])}


def _lives(pod: Object) -> bool:
    return pod["status"].get("phase") not in ("Succeeded", "Failed")


def _to_server(item: Object) -> Object:
    """An object of the model as one writes it: no status, no fields that the server fills in, an image."""
    item = copy.deepcopy(item)
    item.pop("status", None)
    for key in ("uid", "deletionTimestamp", "deletionGracePeriodSeconds"):
        item["metadata"].pop(key, None)
    if item["kind"] == "Pod":
        for container in item["spec"]["containers"]:
            container.setdefault("image", "registry.test/e2e:1")
    if item["kind"] == "Node":
        item["spec"]["podCIDR"] = item["spec"]["podCIDRs"][0]
    return item


def _status(item: Object) -> Object:
    metadata = {key: item["metadata"][key] for key in ("name", "namespace") if key in item["metadata"]}
    return {"apiVersion": item["apiVersion"], "kind": item["kind"], "metadata": metadata, "status": item["status"]}
