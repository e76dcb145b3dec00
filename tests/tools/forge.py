#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packets that no honest program sends, for tests/kernel/test_ways_round.sh and test_forged.sh; each carries a tag.

    forge.py vxlan NODE PORT VNI INNER-MAC SOURCE DESTINATION UDP-PORT TAG   a tunnel packet, by a plain UDP socket; to
                                                                             a group or a broadcast address by eth0
    forge.py proto NUMBER DESTINATION TAG                                    an IP packet of that protocol
    forge.py raw NUMBER,SOURCE,DESTINATION,PORT,TAG…                         IP packets of these protocols; UDP (17) from
                                                                             and to that port
    forge.py hear WANTED TAG…                                                which of these come to the machine itself, until
                                                                             WANTED did or SIGTERM
    forge.py frame IFACE MAC SOURCE DESTINATION SOURCE-PORT UDP-PORT TAG     a datagram as a frame, to whatever MAC
    forge.py vlan TYPES IFACE MAC SOURCE DESTINATION UDP-PORT TAG            a frame with tags of VLAN 0: 8100,88a8…
    forge.py error IFACE MAC SOURCE DESTINATION FLOW-SOURCE FLOW-DESTINATION SOURCE-PORT UDP-PORT TAG
                                                                             an ICMP error about a flow
    forge.py tcp SOURCE DESTINATION PORT FLAGS TAG                           a TCP segment with these flags (a number)
    forge.py fragments SOURCE DESTINATION UDP-PORT TAG [ORDER]               a datagram in fragments; ORDER: backwards, or
                                                                             overlap: one of port 80 lies under the first
    forge.py chain HEADERS SOURCE DESTINATION PROTOCOL PORT TAG              behind IPv6 headers: hop,dst,route,frag,ah…
    forge.py ext6 DESTINATION UDP-PORT TAG                                   behind hop-by-hop and destination options
    forge.py router IFACE LINK-LOCAL PREFIX/64                               a router advertisement to all of the link
    forge.py count PORT WANTED TAG                                           how many tagged datagrams a socket here gets,
                                                                              until WANTED came or SIGTERM and silence
    forge.py ftp-server ADDRESS DATA-PORT / ftp-client ADDRESS               control connection: passive mode, once"""

import select
import signal
import socket
import struct
import sys
import time

UDP, TCP, GRE = 17, 6, 47


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def is_v6(address: str) -> bool:
    return ":" in address


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if is_v6(address) else socket.AF_INET, address)


def ipv4(source: str, destination: str, protocol: int, payload: bytes, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 4711, fragment, 64, protocol, 0,
                       packed(source), packed(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + packed(source) + packed(destination) + payload


def ip(source: str, destination: str, protocol: int, payload: bytes) -> bytes:
    return (ipv6 if is_v6(source) else ipv4)(source, destination, protocol, payload)


def udp(port: int, payload: bytes, source_port: int = 40000) -> bytes:
    return struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload


def whole_sum(source: str, destination: str, protocol: int, payload: bytes) -> int:
    """The checksum of a transport's packet, with its pseudo header."""
    return checksum(packed(source) + packed(destination) + struct.pack("!II", len(payload), protocol) + payload)


def whole_udp(source: str, destination: str, source_port: int, port: int, payload: bytes) -> bytes:
    data = udp(port, payload, source_port)
    return data[:6] + struct.pack("!H", whole_sum(source, destination, UDP, data) or 0xFFFF) + data[8:]


def whole_tcp(source: str, destination: str, port: int, flags: int, payload: bytes) -> bytes:
    data = struct.pack("!HHIIBBHHH", 40001, port, 1000, 0, 0x50, flags, 512, 0, 0) + payload
    return data[:16] + struct.pack("!H", whole_sum(source, destination, TCP, data)) + data[18:]


def send(source: str, destination: str, packet: bytes) -> None:
    family = socket.AF_INET6 if is_v6(source) else socket.AF_INET
    socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(packet, (destination, 0))


def send_frame(iface: str, mac: str, tags: bytes, packet: bytes) -> None:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with open(f"/sys/class/net/{iface}/address", encoding="ascii") as file:
        own = bytes.fromhex(file.read().strip().replace(":", ""))
    sock.bind((iface, 0))
    kind = b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"
    sock.send(bytes.fromhex(mac.replace(":", "")) + own + tags + kind + packet)


def vxlan(node: str, port: str, vni: str, mac: str, source: str, destination: str, to: str, tag: str) -> None:
    inner = ipv4(source, destination, UDP, udp(int(to), tag.encode()))
    frame = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("020000000099") + b"\x08\x00" + inner
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if node.endswith(".255") or node.startswith("224."):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    sock.sendto(struct.pack("!BBHI", 8, 0, 0, int(vni) << 8) + frame, (node, int(port)))


def proto(number: str, destination: str, tag: str) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, int(number))
    sock.sendto(tag.encode() * 3, (destination, 0))


def raw(*specs: str) -> None:
    for spec in specs:
        number, source, destination, port, tag = spec.split(",")
        data = tag.encode() * 3
        if int(number) == UDP:
            data = whole_udp(source, destination, int(port), int(port), data)
        if int(number) == GRE:
            data = struct.pack("!HH", 0, 0x0800) + data
        send(source, destination, ip(source, destination, int(number), data))


def hear(wanted: str, *tags: str) -> None:
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    sockets = [socket.socket(family, socket.SOCK_RAW, number)
               for family in (socket.AF_INET, socket.AF_INET6) for number in (4, 41, 47, UDP)]
    print("ready", flush=True)
    heard = set()
    end = time.monotonic() + 60
    while time.monotonic() < end and len(heard) < (int(wanted) or len(tags) + 1):
        ready = select.select(sockets, [], [], 0.5)[0]
        for sock in ready:
            data = sock.recv(65536)
            heard.update(tag for tag in tags if tag.encode() in data)
        if told and not ready:
            break
    for tag in tags:
        print(tag, "yes" if tag in heard else "no")


def frame(iface: str, mac: str, source: str, destination: str, source_port: str, port: str, tag: str) -> None:
    payload = whole_udp(source, destination, int(source_port), int(port), tag.encode())
    send_frame(iface, mac, b"", ip(source, destination, UDP, payload))


def vlan(types: str, iface: str, mac: str, source: str, destination: str, port: str, tag: str) -> None:
    tags = b"".join(bytes.fromhex(kind) + b"\0\0" for kind in types.split(","))
    payload = whole_udp(source, destination, 40000, int(port), tag.encode())
    send_frame(iface, mac, tags, ip(source, destination, UDP, payload))


def error(iface: str, mac: str, source: str, destination: str, flow_source: str, flow_destination: str,
          source_port: str, port: str, tag: str) -> None:
    inner = ipv4(flow_source, flow_destination, UDP, udp(int(port), b"", int(source_port)))
    data = struct.pack("!BBHI", 3, 3, 0, 0) + inner + tag.encode() * 3
    data = data[:2] + struct.pack("!H", checksum(data)) + data[4:]
    send_frame(iface, mac, b"", ipv4(source, destination, 1, data))


def tcp(source: str, destination: str, port: str, flags: str, tag: str) -> None:
    segment = whole_tcp(source, destination, int(port), int(flags, 0), tag.encode())
    send(source, destination, ip(source, destination, TCP, segment))


def fragment_of(source: str, destination: str, payload: bytes, at: int, more: bool) -> bytes:
    if is_v6(source):
        head = struct.pack("!BBHI", UDP, 0, at | more, 4711)
        return ipv6(source, destination, 44, head + payload)
    return ipv4(source, destination, UDP, payload, (0x2000 if more else 0) | at // 8)


def fragments(source: str, destination: str, port: str, tag: str, order: str = "") -> None:
    payload = (tag.encode() + b"." * 64)[:64] * 30
    whole = whole_udp(source, destination, 40000, int(port), payload)
    pieces = [(at, whole[at:at + 1024]) for at in range(0, len(whole), 1024)]
    packets = [fragment_of(source, destination, piece, at, at + len(piece) < len(whole)) for at, piece in pieces]
    if order == "backwards":
        packets.reverse()
    if order == "overlap":
        # Says an allowed port; what lies over it says what is wanted, and alone has the tag.
        first = udp(80, b"." * len(payload), 40000)[:16]
        packets.insert(0, fragment_of(source, destination, first, 0, True))
    for packet in packets:
        send(source, destination, packet)


def chain(headers: str, source: str, destination: str, protocol: str, port: str, tag: str) -> None:
    number = {"udp": UDP, "tcp": TCP}[protocol]
    payload = tag.encode()
    data = (whole_udp(source, destination, 40000, int(port), payload) if number == UDP
            else whole_tcp(source, destination, int(port), 2, payload))
    pad = bytes([1, 4, 0, 0, 0, 0])  # PadN
    makers = {
        "hop": (0, lambda following: bytes([following, 0]) + pad),
        "dst": (60, lambda following: bytes([following, 0]) + pad),
        "route": (43, lambda following: bytes([following, 2, 2, 0]) + bytes(4) + packed(destination)),
        "frag": (44, lambda following: struct.pack("!BBHI", following, 0, 0, 4711)),
        "ah": (51, lambda following: struct.pack("!BBHII", following, 4, 0, 1, 1) + bytes(12)),
    }
    following = number
    for name in reversed(headers.split(",")):
        kind, make = makers[name]
        data = make(following) + data
        following = kind
    send(source, destination, ipv6(source, destination, following, data))


def ext6(destination: str, port: str, tag: str) -> None:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    options = b"\x00\x00\x01\x04\x00\x00\x00\x00"  # PadN
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, options)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, options)
    sock.sendto(tag.encode(), (destination, int(port)))


def router(iface: str, source: str, prefix: str) -> None:
    everybody = "ff02::1"
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 600, 600, 0) + packed(prefix.removesuffix("/64"))
    data = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 0, 0, 0) + option
    data = data[:2] + struct.pack("!H", whole_sum(source, everybody, 58, data)) + data[4:]
    packet = struct.pack("!IHBB", 6 << 28, len(data), 58, 255) + packed(source) + packed(everybody) + data
    send_frame(iface, "33:33:00:00:00:01", b"", packet)


def count(port: str, wanted: str, tag: str) -> None:
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(1))
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(0.5)
    sock.bind(("", int(port)))
    got = 0
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            got += tag.encode() in sock.recv(65536)
        except TimeoutError:
            if told:
                break
        if 0 < int(wanted) <= got:
            break
    print(got)


def ftp_server(address: str, data_port: str) -> None:
    server = socket.create_server((address, 21))
    server.settimeout(20)
    client, _ = server.accept()
    client.settimeout(5)
    client.sendall(b"220 hello\r\n")
    client.recv(100)
    high, low = divmod(int(data_port), 256)
    client.sendall(f"227 Entering Passive Mode ({address.replace('.', ',')},{high},{low})\r\n".encode())
    time.sleep(3)


def ftp_client(address: str) -> None:
    """Prints what became of the data connection."""
    control = socket.create_connection((address, 21), timeout=3)
    control.recv(100)
    control.sendall(b"PASV\r\n")
    answer = control.recv(200).decode()
    numbers = answer[answer.index("(") + 1:answer.index(")")].split(",")
    try:
        socket.create_connection((".".join(numbers[:4]), int(numbers[4]) * 256 + int(numbers[5])), timeout=1).close()
        print("open")
    except TimeoutError:
        print("silence")
    except OSError as error:
        print(error)


if __name__ == "__main__":
    VERBS = {"vxlan": vxlan, "proto": proto, "raw": raw, "hear": hear, "frame": frame, "vlan": vlan, "error": error, "tcp": tcp,
             "fragments": fragments, "chain": chain, "ext6": ext6, "router": router, "count": count,
             "ftp-server": ftp_server, "ftp-client": ftp_client}
    VERBS[sys.argv[1]](*sys.argv[2:])
