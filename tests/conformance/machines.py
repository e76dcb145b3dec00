# SPDX-License-Identifier: Apache-2.0
"""Machines as network namespaces: nodes that forward, pods behind a bridge or a routed veth, a host outside, Services.

The wiring is that of the kernel tests (tests/kernel/lib/topology.sh); Services are translated by the chains that
kube-proxy writes. Everything lives in the sandbox that this process was started in, and ends with it.
"""
from __future__ import annotations

import base64
import ctypes
import hashlib
import ipaddress
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from model import NODES, OUT, OUT_ADDRESS, OUT_EXTRA, PROTOCOLS, SERVED_PORTS, Facts, block, node_address, \
    pod_address, service_address

SERVICE_PORTS = (53, 80, 81)
CLUSTER_CIDR = {4: "10.244.0.0/16", 6: "fd00:10:244::/48"}
CLONE_NEWNET = 0x40000000
# No flow may be met again while conntrack still knows it: probes go round the source ports within a minute.
CONNTRACK_SECONDS = 5


class Broken(Exception):
    """The world itself does not work; nothing can be said about policies."""


def command(*words: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise Broken(f"{' '.join(words)}: exit {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done


def background(netns: str, *words: str) -> None:
    """A command that goes on in the background once it is ready. It keeps its standard error, which thus is no pipe."""
    with tempfile.TemporaryFile() as errors:
        code = subprocess.run(("ip", "netns", "exec", netns, *words), stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=errors, check=False).returncode
        errors.seek(0)
        if code != 0:
            raise Broken(f"{netns}: {' '.join(words)}: exit {code}: {errors.read().decode().strip()}")


def ip_batch(netns: str, lines: Iterable[str]) -> None:
    command("ip", "-n", netns, "-batch", "-", stdin="\n".join(lines) + "\n")


@contextmanager
def inside(netns: str) -> Iterator[None]:
    """This thread in another network namespace; sockets that it opens belong there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{netns}", "rb") as there:
        if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
            raise Broken(f"cannot enter {netns}: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            if libc.setns(home.fileno(), CLONE_NEWNET) != 0:
                raise Broken("cannot leave " + netns)


def write_sysctls(netns: str, settings: Iterable[tuple[str, str]]) -> None:
    # A network namespace shows its own values to whoever opens the files from inside.
    with inside(netns):
        for name, value in settings:
            Path("/proc/sys/net", name).write_text(value + "\n", encoding="ascii")


def read_sysctl(netns: str, name: str) -> str:
    with inside(netns):
        return Path("/proc/sys/net", name).read_text(encoding="ascii").strip()


@dataclass(frozen=True)
class PodMachine:
    """A running pod: its namespace, its node, its addresses, and the node's side of its link."""

    netns: str
    node: str
    addresses: dict[int, str]
    interface: str

    @property
    def host(self) -> int:
        """The last number of the address."""
        return int(ipaddress.ip_address(next(iter(self.addresses.values())))) & 0xff


class Machines:
    """All machines of one world."""

    def __init__(self, facts: Facts, work: Path, netprobe: Path) -> None:
        self.facts = facts
        self.work = work
        self.netprobe = netprobe
        self._chains: set[str] = set()
        self._fabric()
        for node in NODES:
            self._node(node)
        self._outside()
        self._routes()

    # -- machines

    def _start(self, netns: str, settings: Iterable[tuple[str, str]] = ()) -> None:
        """A namespace with its settings and its servers."""
        command("ip", "netns", "add", netns)
        write_sysctls(netns, [
            ("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/dad_transmits", "0"), ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"), *settings])
        background(netns, str(self.netprobe), "serve", "--tcp", SERVED_PORTS, "--udp", SERVED_PORTS, "--sctp",
                   SERVED_PORTS, "--background", str(self._pidfile(netns)))

    def _pidfile(self, netns: str) -> Path:
        return self.work / f"serve.{netns}"

    def _stop(self, netns: str) -> None:
        with suppress(ProcessLookupError):
            os.kill(int(self._pidfile(netns).read_text(encoding="ascii")), signal.SIGKILL)
        command("ip", "netns", "del", netns)

    def _fabric(self) -> None:
        command("ip", "netns", "add", "fabric")
        ip_batch("fabric", ["link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0", "link set br0 up",
                            "link set lo up"])
        # The wire between machines filters nothing.
        write_sysctls("fabric", [("bridge/bridge-nf-call-iptables", "0"), ("bridge/bridge-nf-call-ip6tables", "0")])

    def _plug(self, netns: str, addresses: dict[int, str]) -> None:
        command("ip", "-n", "fabric", "link", "add", f"p-{netns}", "type", "veth", "peer", "name", "eth0", "netns",
                netns)
        command("ip", "-n", "fabric", "link", "set", f"p-{netns}", "master", "br0", "up")
        ip_batch(netns, ["link set lo up",
                         *(f"addr add {addresses[family]}/{_split(_LENGTH[family], 'dev eth0')}"
                           for family in self.facts.families), "link set eth0 up"])

    def _node(self, node: str) -> None:
        timeouts = [(f"netfilter/nf_conntrack_{name}_timeout{suffix}", str(CONNTRACK_SECONDS))
                    for name, suffix in (("udp", ""), ("udp", "_stream"), ("icmp", ""), ("icmpv6", ""),
                                         ("sctp", "_cookie_wait"), ("sctp", "_cookie_echoed"), ("sctp", "_closed"),
                                         ("tcp", "_close"))]
        self._start(node, [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1"),
                           ("bridge/bridge-nf-call-iptables", "1"), ("bridge/bridge-nf-call-ip6tables", "1"),
                           ("bridge/bridge-nf-filter-vlan-tagged", "1"), *timeouts])
        self._plug(node, {family: node_address(node, family) for family in self.facts.families})
        if self.facts.kind == "bridged":
            # An address of its own, as CNI gives it: else the bridge takes the lowest of its ports, and a new pod would
            # make the others lose their gateway for seconds.
            ip_batch(node, ["link add cni0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                            f"link set cni0 address 0a:58:0a:f4:{NODES.index(node) + 1:02x}:01",
                            *(f"addr add {pod_address(node, 1, family)}/{_split(_LENGTH[family], 'dev cni0')}"
                              for family in self.facts.families), "link set cni0 up"])

    def _outside(self) -> None:
        self._start(OUT, [("ipv4/ip_forward", "0")])
        self._plug(OUT, OUT_ADDRESS)
        ip_batch(OUT, [f"addr add {address}/{_split(_HOST_LENGTH[family], 'dev lo')}"
                       for family in self.facts.families for address in OUT_EXTRA[family]])

    def _routes(self) -> None:
        for machine in (*NODES, OUT):
            for family in self.facts.families:
                lines = [f"route add {block(pod_address(other, 0, family), 8 if family == 4 else 64)} "
                         f"via {node_address(other, family)}" for other in NODES if other != machine]
                if machine != OUT:
                    lines.append(f"route add default via {OUT_ADDRESS[family]}")
                for line in lines:
                    command("ip", f"-{family}", "-n", machine, *line.split())

    def start_pod(self, name: str, node: str, addresses: dict[int, str]) -> PodMachine:
        """A pod as the bridge CNI (hairpin on) or the ptp CNI wires it."""
        host = int(ipaddress.ip_address(next(iter(addresses.values())))) & 0xff
        machine = PodMachine(f"pod-{name}", node, dict(addresses), f"veth{host}")
        self._start(machine.netns)
        command("ip", "-n", node, "link", "add", machine.interface, "type", "veth", "peer", "name", "eth0",
                "address", _hardware_address(node, host), "netns", machine.netns)
        if self.facts.kind == "bridged":
            self._wire_bridged(machine)
        else:
            self._wire_routed(machine)
        return machine

    def _wire_bridged(self, machine: PodMachine) -> None:
        ip_batch(machine.node, [f"link set {machine.interface} master cni0 up",
                                f"link set {machine.interface} type bridge_slave hairpin on"])
        ip_batch(machine.netns, [
            "link set lo up",
            *(f"addr add {address}/{_split(_LENGTH[family], 'dev eth0')}"
              for family, address in machine.addresses.items()),
            "link set eth0 up",
            *(f"route add default via {pod_address(machine.node, 1, family)}" for family in machine.addresses)])

    def _wire_routed(self, machine: PodMachine) -> None:
        gateways = {family: pod_address(machine.node, 1, family) for family in machine.addresses}
        dev = f"dev {machine.interface}"
        ip_batch(machine.node, [
            *(f"addr add {gateway}/{_split(_HOST_LENGTH[family], dev)}" for family, gateway in gateways.items()),
            f"link set {machine.interface} up",
            *(f"route add {address}/{_HOST_LENGTH[family].split()[0]} {dev}"
              for family, address in machine.addresses.items())])
        ip_batch(machine.netns, [
            "link set lo up",
            *(f"addr add {address}/{_split(_HOST_LENGTH[family], 'dev eth0')}"
              for family, address in machine.addresses.items()),
            "link set eth0 up",
            *(f"route add {gateway}/{'32 dev eth0 scope link' if family == 4 else '128 dev eth0'}"
              for family, gateway in gateways.items()),
            *(f"route add default via {gateway}" for gateway in gateways.values())])

    def stop_pod(self, machine: PodMachine) -> None:
        # The far end of the veth goes with the namespace, later; the node's side goes now, so that its name is free.
        command("ip", "-n", machine.node, "link", "del", machine.interface)
        self._stop(machine.netns)

    # -- services

    def services(self, pods: dict[str, PodMachine]) -> None:
        """On every node, one Service for each pod, as kube-proxy translates it. Replaces what was there."""
        old = self._chains
        for family in self.facts.families:
            text, chains = _service_rules(pods, family, old)
            tool = "iptables-legacy-restore" if family == 4 else "ip6tables-legacy-restore"
            for node in NODES:
                command("ip", "netns", "exec", node, tool, "--wait", "5", "--noflush", stdin=text)
            self._chains = chains

    def hook_services(self) -> None:
        """The jumps into the chains of services(), once."""
        for node in NODES:
            for family in self.facts.families:
                tool = "iptables-legacy-restore" if family == 4 else "ip6tables-legacy-restore"
                command("ip", "netns", "exec", node, tool, "--noflush", stdin=_HOOKS)


_LENGTH = {4: "24", 6: "64 nodad"}
_HOST_LENGTH = {4: "32", 6: "128 nodad"}

_HOOKS = """*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE
COMMIT
"""


def _hardware_address(node: str, host: int) -> str:
    """From the address, as CNI plugins make it: who knows the last owner of an address knows the next one, too."""
    return "0a:58:" + ipaddress.ip_address(pod_address(node, host, 4)).packed.hex(":")


def _split(length: str, device: str) -> str:
    """"64 nodad" and "dev eth0" as "64 dev eth0 nodad"."""
    prefix, _, flags = length.partition(" ")
    return f"{prefix} {device} {flags}".rstrip()


def _chain(kind: str, pod: str, protocol: str, port: int) -> str:
    digest = hashlib.sha256(f"{pod}:{protocol}:{port}".encode()).digest()
    return f"KUBE-{kind}-{base64.b32encode(digest).decode()[:16]}"


def _service_rules(pods: dict[str, PodMachine], family: int, old: set[str]) -> tuple[str, set[str]]:
    """Text for iptables-restore --noflush, and the names of the chains."""
    services: list[str] = []
    rules: list[str] = []
    chains: set[str] = set()
    for pod, machine in pods.items():
        vip = service_address(machine.node, machine.host, family)
        address = machine.addresses.get(family)
        for protocol in PROTOCOLS:
            for port in SERVICE_PORTS:
                svc, sep = _chain("SVC", pod, protocol, port), _chain("SEP", pod, protocol, port)
                chains |= {svc, sep}
                if address is None:
                    continue
                match = f"-d {vip} -p {protocol} -m {protocol} --dport {port}"
                target = f"{address}:{port}" if family == 4 else f"[{address}]:{port}"
                services.append(f"-A KUBE-SERVICES {match} -j {svc}")
                rules += [f"-A {svc} ! -s {CLUSTER_CIDR[family]} {match} -j KUBE-MARK-MASQ",
                          f"-A {svc} -j {sep}", f"-A {sep} -s {address} -j KUBE-MARK-MASQ",
                          f"-A {sep} -p {protocol} -m {protocol} -j DNAT --to-destination {target}"]
    gone = sorted(old - chains)
    head = [f":{chain} - [0:0]" for chain in ["KUBE-SERVICES", *sorted(chains), *gone]]
    return "\n".join(["*nat", *head, *services, *rules, *(f"-X {chain}" for chain in gone), "COMMIT", ""]), chains
