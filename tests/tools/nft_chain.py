#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Base chains of nf_tables by bare netlink, where there is no nft: one rule that drops or accepts, or none.

nft_chain.py add FAMILY TABLE CHAIN TYPE HOOK PRIORITY [drop|accept|none] [POLICY] [DEVICE]
nft_chain.py del FAMILY TABLE
"""
import socket
import struct
import sys

NETLINK_NETFILTER = 12
SUBSYS_NFTABLES = 10
NEWTABLE, DELTABLE, NEWCHAIN, NEWRULE = 0, 2, 3, 6
BATCH_BEGIN, BATCH_END = 0x10, 0x11
REQUEST, ACK, CREATE, APPEND = 0x1, 0x4, 0x400, 0x800
NESTED = 0x8000
FAMILIES = {"inet": 1, "ip": 2, "netdev": 5, "bridge": 7, "ip6": 10}
HOOKS = {"prerouting": 0, "input": 1, "forward": 2, "output": 3, "postrouting": 4, "ingress": 5}
VERDICTS = {"drop": 0, "accept": 1}


def attr(number: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(value), number) + value + b"\0" * (-len(value) % 4)


def text(number: int, value: str) -> bytes:
    """A string with its NUL."""
    return attr(number, value.encode() + b"\0")


def be32(number: int, value: int) -> bytes:
    """A number in network order."""
    return attr(number, struct.pack(">I", value & 0xFFFFFFFF))


def nest(number: int, *parts: bytes) -> bytes:
    """Attributes in an attribute."""
    return attr(number | NESTED, b"".join(parts))


def message(kind: int, flags: int, sequence: int, family: int, body: bytes, resource: int = 0) -> bytes:
    """One message with its two headers."""
    payload = struct.pack(">BBH", family, 0, resource) + body
    return struct.pack("=IHHII", 16 + len(payload), kind, flags | REQUEST, sequence, 0) + payload


def verdict_rule(table: str, chain: str, verdict: str) -> bytes:
    """A rule that is nothing but a verdict."""
    code = nest(2, nest(2, be32(1, VERDICTS[verdict])))
    return text(1, table) + text(2, chain) + nest(4, nest(1, text(1, "immediate"), nest(2, be32(1, 0), code)))


def send(changes: list[tuple[int, int, bytes]], family: int) -> None:
    """All of them in one batch; raises what the kernel refuses."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as sock:
        sock.bind((0, 0))
        sock.settimeout(10)
        data = message(BATCH_BEGIN, 0, 1, 0, b"", SUBSYS_NFTABLES)
        for i, (kind, flags, body) in enumerate(changes):
            data += message(SUBSYS_NFTABLES << 8 | kind, flags | ACK, 2 + i, family, body)
        data += message(BATCH_END, 0, 2 + len(changes), 0, b"", SUBSYS_NFTABLES)
        sock.send(data)
        answered = 0
        while answered < len(changes):
            answer = sock.recv(65536)
            while answer:
                length, _, _, _, _, code = struct.unpack_from("=IHHIIi", answer)
                if code:
                    raise OSError(-code, "nf_tables refuses it")
                answered += 1
                answer = answer[(length + 3) & ~3:]


def main(words: list[str]) -> int:
    """Adds or deletes."""
    if len(words) == 3 and words[0] == "del":
        send([(DELTABLE, 0, text(1, words[2]))], FAMILIES[words[1]])
        return 0
    if len(words) < 7 or words[0] != "add":
        print(__doc__, file=sys.stderr)
        return 3
    _, family, table, chain, kind, hook, priority, *rest = words
    verdict, policy, device = (rest + ["none", "accept", ""][len(rest):])[:3]
    number = 0 if family == "netdev" else HOOKS[hook]
    place = [be32(1, number), be32(2, int(priority))] + ([text(3, device)] if device else [])
    changes = [
        (NEWTABLE, CREATE, text(1, table) + be32(2, 0)),
        (NEWCHAIN, CREATE,
         text(1, table) + text(3, chain) + nest(4, *place) + be32(5, VERDICTS[policy]) + text(7, kind)),
    ]
    if verdict != "none":
        changes.append((NEWRULE, CREATE | APPEND, verdict_rule(table, chain, verdict)))
    send(changes, FAMILIES[family])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
