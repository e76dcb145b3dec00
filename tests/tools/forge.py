#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Packets that no honest program sends, for tests/kernel/test_ways_round.sh and test_forged.sh; each carries a tag.

    forge.py vxlan NODE PORT VNI INNER-MAC SOURCE DESTINATION UDP-PORT TAG   a tunnel packet, by a plain UDP socket
    forge.py proto NUMBER DESTINATION TAG                                    an IP packet of that protocol
    forge.py vlan0 IFACE MAC SOURCE DESTINATION UDP-PORT TAG                 a frame with a VLAN 0 tag
    forge.py tcp SOURCE DESTINATION PORT FLAGS TAG                           a TCP segment with these flags (a number)
    forge.py fragments SOURCE DESTINATION UDP-PORT TAG                       a datagram in fragments
    forge.py ext6 DESTINATION UDP-PORT TAG                                   behind hop-by-hop and destination options
    forge.py count PORT SECONDS TAG                                          how many tagged datagrams a socket here gets
    forge.py ftp-server ADDRESS DATA-PORT / ftp-client ADDRESS               control connection: passive mode, once"""

import socket
import struct
import sys
import time

UDP, TCP = 17, 6


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: str, destination: str, protocol: int, payload: bytes, fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 4711, fragment, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(destination))
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(port: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", 40000, port, 8 + len(payload), 0) + payload


def raw() -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)


def vxlan(node: str, port: str, vni: str, mac: str, source: str, destination: str, to: str, tag: str) -> None:
    inner = ipv4(source, destination, UDP, udp(int(to), tag.encode()))
    frame = bytes.fromhex(mac.replace(":", "")) + bytes.fromhex("020000000099") + b"\x08\x00" + inner
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.sendto(struct.pack("!BBHI", 8, 0, 0, int(vni) << 8) + frame, (node, int(port)))


def proto(number: str, destination: str, tag: str) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, int(number))
    sock.sendto(tag.encode() * 3, (destination, 0))


def vlan0(iface: str, mac: str, source: str, destination: str, port: str, tag: str) -> None:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with open(f"/sys/class/net/{iface}/address", encoding="ascii") as file:
        own = bytes.fromhex(file.read().strip().replace(":", ""))
    sock.bind((iface, 0))
    frame = bytes.fromhex(mac.replace(":", "")) + own + b"\x81\x00\x00\x00\x08\x00"
    sock.send(frame + ipv4(source, destination, UDP, udp(int(port), tag.encode())))


def tcp(source: str, destination: str, port: str, flags: str, tag: str) -> None:
    segment = struct.pack("!HHIIBBHHH", 40001, int(port), 1000, 0, 0x50, int(flags, 0), 512, 0, 0) + tag.encode()
    pseudo = socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!BBH", 0, TCP, len(segment))
    segment = segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]
    raw().sendto(ipv4(source, destination, TCP, segment), (destination, 0))


def fragments(source: str, destination: str, port: str, tag: str) -> None:
    whole = udp(int(port), (tag.encode() + b"." * 64)[:64] * 30)
    sock = raw()
    for at in range(0, len(whole), 1024):
        more = 0x2000 if at + 1024 < len(whole) else 0
        sock.sendto(ipv4(source, destination, UDP, whole[at:at + 1024], more | at // 8), (destination, 0))


def ext6(destination: str, port: str, tag: str) -> None:
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    options = b"\x00\x00\x01\x04\x00\x00\x00\x00"  # PadN
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_HOPOPTS, options)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS, options)
    sock.sendto(tag.encode(), (destination, int(port)))


def count(port: str, seconds: str, tag: str) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("", int(port)))
    end = time.monotonic() + float(seconds)
    got = 0
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            got += tag.encode() in sock.recv(65536)
        except TimeoutError:
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
    VERBS = {"vxlan": vxlan, "proto": proto, "vlan0": vlan0, "tcp": tcp, "fragments": fragments, "ext6": ext6,
             "count": count, "ftp-server": ftp_server, "ftp-client": ftp_client}
    VERBS[sys.argv[1]](*sys.argv[2:])
