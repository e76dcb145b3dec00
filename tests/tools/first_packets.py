#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The first packets of many new pods, for tests/kernel/test_cni_first.sh: as soon as the plugin has answered for one, an allowed
and a denied datagram to it, and from it, in both families.

first_packets.py PLUGIN CONFIG N FIRST
  PLUGIN  netpold-cni, or "-": nobody is told of the pods, and the packets are sent all the same
  CONFIG  the network configuration with ADDRESS4 and ADDRESS6 in it
  N pods from FIRST on: x/many-I with addresses 10.246.A.B and fd00:10:246::I, all on the device of machine x-many
Prints "allowed=SEEN/SENT denied=SEEN/SENT"."""
import ctypes
import os
import socket
import subprocess
import sys
import time

PORT = 7000
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def enter(netns: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{netns}", "rb") as file:
        if libc.setns(file.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), f"setns {netns}")


def sockets(netns: str, bound: bool) -> dict[int, socket.socket]:
    enter(netns)
    made = {}
    for family, domain in FAMILIES.items():
        sock = socket.socket(domain, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if bound:
            sock.bind(("::" if family == 6 else "0.0.0.0", PORT))
        sock.setblocking(False)
        made[family] = sock
    return made


def address(index: int, family: int) -> str:
    return f"10.246.{index // 250}.{index % 250 + 1}" if family == 4 else f"fd00:10:246::{index + 1:x}"


def drain(receivers: list[dict[int, socket.socket]]) -> set[str]:
    got = set()
    for receiver in receivers:
        for sock in receiver.values():
            while True:
                try:
                    got.add(sock.recv(64).decode())
                except BlockingIOError:
                    break
    return got


def add(plugin: str, config: str, index: int) -> None:
    text = config.replace("ADDRESS4", address(index, 4)).replace("ADDRESS6", address(index, 6))
    env = {**os.environ, "CNI_COMMAND": "ADD", "CNI_CONTAINERID": f"many-{index}", "CNI_IFNAME": "eth0",
           "CNI_NETNS": "/run/netns/x-many", "CNI_PATH": "/nowhere",
           "CNI_ARGS": f"K8S_POD_NAMESPACE=x;K8S_POD_NAME=many-{index};K8S_POD_UID=uid-{index}"}
    done = subprocess.run([plugin], input=text.encode(), env=env, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"ADD of x/many-{index}: {done.stdout.decode()} {done.stderr.decode()}")


def main() -> None:
    plugin, config_file, count, first = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with open(config_file, encoding="ascii") as file:
        config = file.read()
    machines = {name: sockets(f"x-{name}", True) for name in ("friend", "other", "many")}
    targets = {name: {4: os.environ[f"{name.upper()}4"], 6: os.environ[f"{name.upper()}6"]} for name in ("friend", "other")}
    enter("n1")
    sent: dict[str, set[str]] = {"allowed": set(), "denied": set()}
    got: set[str] = set()
    sources = []
    # The pod's own sockets are ready before it is told of: nothing is between the answer and the packet.
    for index in range(first, first + count):
        for family in FAMILIES:
            enter("x-many")
            sock = socket.socket(FAMILIES[family], socket.SOCK_DGRAM)
            sock.bind((address(index, family), 0))
            sources.append(sock)
    enter("n1")
    for index in range(first, first + count):
        if plugin != "-":
            add(plugin, config, index)
        for at, family in enumerate(FAMILIES):
            own = sources[(index - first) * len(FAMILIES) + at]
            for name, verdict in (("friend", "allowed"), ("other", "denied")):
                tag = f"{verdict} in {index} {family}"
                machines[name][family].sendto(tag.encode(), (address(index, family), PORT))
                sent[verdict].add(tag)
                tag = f"{verdict} out {index} {family}"
                own.sendto(tag.encode(), (targets[name][family], PORT))
                sent[verdict].add(tag)
        got |= drain(list(machines.values()))
    time.sleep(0.3)
    got |= drain(list(machines.values()))
    print(" ".join(f"{verdict}={len(tags & got)}/{len(tags)}" for verdict, tags in sent.items()))
    for tag in sorted((sent["allowed"] - got) | (sent["denied"] & got))[:10]:
        print("   ", tag, file=sys.stderr)


main()
