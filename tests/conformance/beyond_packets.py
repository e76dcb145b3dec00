# SPDX-License-Identifier: Apache-2.0
"""Whole IP packets by hand: sent from one place by raw socket, looked for in another by packet socket.

For what no socket sends by itself: a source that is not the sender's, other IP protocols, ICMP errors, extension
headers, segments without a handshake. Every packet carries a token of its own, by which it is known where it arrives.
"""
from __future__ import annotations

import ipaddress
import itertools
import re
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from beyond_common import word
from machines import Broken, inside
from model import Outcome
from world import World

TCP, UDP, ICMP, ICMPV6, GRE, EXPERIMENT, DESTINATION_OPTIONS, HOP_BY_HOP = 6, 17, 1, 58, 47, 253, 60, 0
FIN, SYN, RST, ACK = 1, 2, 4, 16
ETH_P_ALL = 3
PACKET_OUTGOING = 4
PATIENCE = 2.0  # for what must arrive
GRACE = 0.2     # for what must not, behind the last that must
# No two packets belong to one flow, whatever conntrack still knows. Below the ports that netprobe uses.
_ports = itertools.cycle(range(10000, 19999))

Build = Callable[[bytes], bytes]


def fresh_port() -> int:
    """A source port (or an echo identifier) that no packet of this run has had."""
    return next(_ports)


# ---- parts of packets ------------------------------------------------------------------------------------------------

def checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _sealed(source: str, target: str, protocol: int, segment: bytes, at: int) -> bytes:
    """A segment with its checksum put at an offset."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    pseudo = ends + struct.pack("!II" if ":" in source else "!HH", *((len(segment), protocol) if ":" in source
                                                                     else (protocol, len(segment))))
    value = checksum(pseudo + segment) or 0xffff
    return segment[:at] + struct.pack("!H", value) + segment[at + 2:]


def ip(source: str, target: str, protocol: int, body: bytes, hop_limit: int = 64, options: bytes = b"") -> bytes:
    """A whole packet of the family of its addresses; options of IPv4 in words of four bytes."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, hop_limit) + ends + body
    words = 5 + len(options) // 4
    fixed = struct.pack("!BBHHHBBH", 4 << 4 | words, 0, words * 4 + len(body), 0, 0, hop_limit, protocol, 0)
    head = fixed + ends + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def udp(source: str, target: str, sport: int, dport: int, payload: bytes) -> bytes:
    """A UDP header and payload."""
    return _sealed(source, target, UDP, struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload, 6)


def tcp(source: str, target: str, sport: int, dport: int, flags: int, payload: bytes) -> bytes:
    """A TCP header and payload."""
    acknowledged = 1 if flags & ACK else 0
    head = struct.pack("!HHIIBBHHH", sport, dport, 1, acknowledged, 5 << 4, flags, 65535, 0, 0)
    return _sealed(source, target, TCP, head + payload, 16)


def icmp(source: str, target: str, kind: int, code: int, rest: int, payload: bytes) -> bytes:
    """An ICMP or ICMPv6 message; `rest` are the four bytes behind the checksum."""
    message = struct.pack("!BBHI", kind, code, 0, rest) + payload
    if ":" in source:
        return _sealed(source, target, ICMPV6, message, 2)
    return message[:2] + struct.pack("!H", checksum(message)) + message[4:]


# ---- whole packets ---------------------------------------------------------------------------------------------------

def datagram(source: str, target: str, dport: int = 80, sport: int = 0) -> Build:
    """UDP to a port."""
    sport = sport or fresh_port()
    return lambda token: ip(source, target, UDP, udp(source, target, sport, dport, token))


def segment(source: str, target: str, flags: int = SYN, dport: int = 80) -> Build:
    """TCP with these flags, without anything before it."""
    sport = fresh_port()
    return lambda token: ip(source, target, TCP, tcp(source, target, sport, dport, flags, token))


def echo(source: str, target: str) -> Build:
    """An ICMP echo request."""
    protocol, kind = (ICMPV6, 128) if ":" in source else (ICMP, 8)
    rest = fresh_port() << 16 | 1
    return lambda token: ip(source, target, protocol, icmp(source, target, kind, 0, rest, token))


def other(source: str, target: str, protocol: int) -> Build:
    """Another IP protocol: GRE with a valid header, else bare payload."""
    head = struct.pack("!HH", 0, 0x0800) if protocol == GRE else b""
    return lambda token: ip(source, target, protocol, head + token)


def with_header(source: str, target: str, dport: int) -> Build:
    """UDP behind IP options (IPv4: a NOP list) or a destination options header (IPv6)."""
    sport = fresh_port()

    def build(token: bytes) -> bytes:
        body = udp(source, target, sport, dport, token)
        if ":" in source:
            return ip(source, target, DESTINATION_OPTIONS, bytes([UDP, 0, 1, 4, 0, 0, 0, 0]) + body)
        return ip(source, target, UDP, body, options=b"\x01\x01\x01\x00")
    return build


def too_big(router: str, sender: str, protocol: int, sport: int, peer: str, dport: int) -> Build:
    """The ICMP error of a router: what `sender` sent to `peer` does not fit."""
    def build(token: bytes) -> bytes:
        if protocol == UDP:
            quoted = struct.pack("!HHHH", sport, dport, 1400, 0) + token
        else:
            quoted = tcp(sender, peer, sport, dport, ACK, token)
        quote = ip(sender, peer, protocol, quoted)
        if ":" in router:
            return ip(router, sender, ICMPV6, icmp(router, sender, 2, 0, 1280, quote))
        return ip(router, sender, ICMP, icmp(router, sender, 3, 4, 1280, quote))
    return build


def solicitation(source: str, target: str, about: str, hop_limit: int) -> Build:
    """A neighbour solicitation; the token travels in an option that every receiver skips (RFC 3971, nonce)."""
    def build(token: bytes) -> bytes:
        padded = token + bytes(-(len(token) + 2) % 8)
        option = bytes([14, (len(padded) + 2) // 8]) + padded
        message = icmp(source, target, 135, 0, 0, ipaddress.ip_address(about).packed + option)
        return ip(source, target, ICMPV6, message, hop_limit)
    return build


def listener_report(source: str, hop_limit: int = 1) -> Build:
    """An MLDv2 report of one group to ff02::16, with the router alert it must have. The token travels as the group's
    source list, which no bridge asks about."""
    def build(token: bytes) -> bytes:
        padded = token + bytes(-len(token) % 16)
        record = struct.pack("!BBH", 5, 0, len(padded) // 16) + ipaddress.ip_address("ff02::4:2").packed + padded
        message = icmp(source, "ff02::16", 143, 0, 1, record)
        return ip(source, "ff02::16", HOP_BY_HOP, bytes([ICMPV6, 0, 5, 2, 0, 0, 1, 0]) + message, hop_limit)
    return build


# ---- sending and looking ---------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Shot:
    """One packet from a machine, and whether it must arrive at another one's interface."""

    what: str
    sender: str
    receiver: str
    build: Build
    wanted: bool
    device: str = ""          # leave by this interface; "" by the route
    interface: str = "eth0"   # where the receiver looks


def send(world: World, sender: str, packet: bytes, device: str = "") -> None:
    """One whole packet, by the route of its destination, or by a device."""
    family = socket.AF_INET6 if packet[0] >> 4 == 6 else socket.AF_INET
    with inside(world.netns(sender)):
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            if device:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            if family == socket.AF_INET:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                raw.sendto(packet, (socket.inet_ntop(family, packet[16:20]), 0))
            else:
                # Only an address of one link needs its interface named.
                scope = socket.if_nametoindex(device) if device else 0
                raw.sendto(packet, (socket.inet_ntop(family, packet[24:40]), 0, 0, scope))


def listen(world: World, endpoint: str, interface: str) -> socket.socket:
    """All frames that come to an interface."""
    with inside(world.netns(endpoint)):
        listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        listener.bind((interface, ETH_P_ALL))
    listener.setblocking(False)
    return listener


_TOKEN = re.compile(rb"beyond-[0-9a-f]{16}\.")


def fresh_token() -> bytes:
    return b"beyond-" + secrets.token_hex(8).encode() + b"."


def shoot(world: World, shots: Sequence[Shot]) -> list[Outcome]:
    """Send all, then see which arrived where they were looked for."""
    tokens = {fresh_token(): shot for shot in shots}
    arrived: set[bytes] = set()
    with ExitStack() as stack:
        places = {(world.netns(shot.receiver), shot.interface): shot.receiver for shot in shots}
        listeners = {stack.enter_context(listen(world, endpoint, interface)): (netns, interface)
                     for (netns, interface), endpoint in places.items()}
        for token, shot in tokens.items():
            try:
                send(world, shot.sender, shot.build(token), shot.device)
            except OSError as error:
                raise Broken(f"{shot.what}: {shot.sender} cannot send it: {error}") from None
        missing = {token for token, shot in tokens.items() if shot.wanted}
        until = time.monotonic() + (PATIENCE if missing else GRACE)
        while (left := until - time.monotonic()) > 0:
            for ready in select.select(list(listeners), [], [], left)[0]:
                frame, address = ready.recvfrom(4096)
                if address[2] == PACKET_OUTGOING:
                    continue
                for token in _TOKEN.findall(frame):
                    sent = tokens.get(token)
                    if sent and listeners[ready] == (world.netns(sent.receiver), sent.interface):
                        arrived.add(token)
            if missing and missing <= arrived:
                missing = set()
                until = time.monotonic() + GRACE
    return [Outcome(shot.what, word(shot.wanted), word(token in arrived), 6 if shot.build(b"")[0] >> 4 == 6 else 4)
            for token, shot in tokens.items()]
