#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nft_sleep.py ip|ip6 on|off: the flag `dormant` of that family's table filter, as `nft add table ip filter '{ flags dormant ; }'`."""
import socket
import struct
import sys

NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES, NEWTABLE, BATCH_BEGIN, BATCH_END, REQUEST, ACK = 12, 10, 0, 16, 17, 1, 4
FAMILIES = {"ip": 2, "ip6": 10}


def message(kind: int, flags: int, family: int, resource: int, sequence: int, body: bytes = b"") -> bytes:
    payload = struct.pack(">BBH", family, 0, resource) + body
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 0) + payload


def attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def main() -> None:
    flag = {"on": 1, "off": 0}[sys.argv[2]]
    body = attribute(1, b"filter\0") + attribute(2, struct.pack(">I", flag))
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.bind((0, 0))
    sock.settimeout(2)
    sock.send(message(BATCH_BEGIN, REQUEST, 0, NFNL_SUBSYS_NFTABLES, 1)
              + message(NFNL_SUBSYS_NFTABLES << 8 | NEWTABLE, REQUEST | ACK, FAMILIES[sys.argv[1]], 0, 2, body)
              + message(BATCH_END, REQUEST, 0, NFNL_SUBSYS_NFTABLES, 3))
    code = struct.unpack("=i", sock.recv(4096)[16:20])[0]
    if code:
        sys.exit(f"nft_sleep: errno {-code}")


main()
