#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Connections that go on while rules change: who heard something last, and when.

talk.py serve ADDRESS REPORT      TCP, UDP and SCTP; how it behaves follows from the port
talk.py open FROM TO REPORT NAME… one connection each; NAME is PROTOCOL-MODE

  mode    port  client                          server
  talk    7001  speaks all the time             hears
  push    7002  says hello                      speaks all the time from then on
  answer  7003  speaks all the time             answers all of it
  idle    7004  says hello; speaks on SIGUSR1   hears

Both speak every 10 ms; with TALK_LATE_MS in the environment, a server that answers by UDP takes so long for it. The
report, written every 20 ms: a line for each connection, "NAME PEER rx=BYTES last=NS", the time when bytes came last
(0: never): the kernel's own stamp of the packet (CLOCK_REALTIME), for on a busy machine this program may read late.
SCTP is crafted on raw sockets, so the kernel needs none of its own.
"""
import os
import select
import signal
import socket
import struct
import sys
import time

PORTS = {"talk": 7001, "push": 7002, "answer": 7003, "idle": 7004}
MODES = {port: mode for mode, port in PORTS.items()}
TICK = 0.01
LATE = float(os.environ.get("TALK_LATE_MS", "0")) / 1000
PAYLOAD = b"x" * 64
SO_TIMESTAMPNS = 35
resumed = False


def crc32c_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = (n >> 1) ^ (0x82F63B78 if n & 1 else 0)
        table.append(n)
    return table


CRC = crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


class Talk:
    """One connection as one side sees it."""

    def __init__(self, name, peer):
        self.name, self.peer = name, peer
        self.rx = self.last = 0
        self.speaks = False

    def heard(self, n, at_ns):
        self.rx += n
        self.last = max(self.last, at_ns)

    def line(self):
        return f"{self.name} {self.peer} rx={self.rx} last={self.last}\n"


class Tcp(Talk):
    def __init__(self, name, peer, sock):
        super().__init__(name, peer)
        self.sock = stamped(sock)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def say(self):
        try:
            self.sock.send(PAYLOAD)
        except OSError:
            pass


class Udp(Talk):
    def __init__(self, name, peer, sock, to):
        super().__init__(name, peer)
        self.sock, self.to = sock, to

    def say(self):
        try:
            self.sock.sendto(PAYLOAD, self.to)
        except OSError:
            pass


class Sctp(Talk):
    """Enough of SCTP for connection tracking to follow: both sides use the same tag and number, nothing is sent again."""

    TAG = 0x4E505354

    def __init__(self, name, peer, sock, to, sport, dport):
        super().__init__(name, peer)
        self.sock, self.to, self.sport, self.dport = sock, to, sport, dport
        self.up = False
        self.tsn = 1

    def send(self, tag, kind, body, flags=0):
        chunk = struct.pack("!BBH", kind, flags, 4 + len(body)) + body
        chunk += b"\0" * (-len(chunk) % 4)
        head = struct.pack("!HHI", self.sport, self.dport, tag)
        crc = struct.pack("<I", crc32c(head + b"\0\0\0\0" + chunk))
        try:
            self.sock.sendto(head + crc + chunk, self.to)
        except OSError:
            pass

    def hello(self):
        self.send(0, 1, struct.pack("!IIHHI", self.TAG, 65536, 1, 1, 1))

    def say(self):
        if self.up:
            self.tsn += 1
            self.send(self.TAG, 0, struct.pack("!IHHI", self.tsn, 0, 0, 0) + PAYLOAD, 3)

    def take(self, kind, length, at_ns):
        if kind == 1:
            self.send(self.TAG, 2, struct.pack("!IIHHI", self.TAG, 65536, 1, 1, 1) + struct.pack("!HH", 7, 4))
        elif kind == 2:
            self.send(self.TAG, 10, b"")
        elif kind == 10:
            self.up = True
            self.send(self.TAG, 11, b"")
        elif kind == 11:
            self.up = True
            self.say()
        elif kind == 0:
            self.heard(length, at_ns)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def at(address, port):
    """With the link of a link-local address: "fe80::1%eth0"."""
    return socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0][4]


def stamped(sock):
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    return sock


def receive(sock):
    """Data, its sender, and when the kernel got it."""
    data, control, _, peer = sock.recvmsg(65536, 64)
    for level, kind, value in control:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, ns = struct.unpack("@ll", value[:16])
            return data, peer, seconds * 1000000000 + ns
    # The kernel begins to stamp a moment after it was asked first.
    return data, peer, time.time_ns()


def bound(address, kind, port):
    sock = stamped(socket.socket(family_of(address), kind))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(at(address, port))
    return sock


def raw(address):
    sock = stamped(socket.socket(family_of(address), socket.SOCK_RAW, 132))
    sock.bind(at(address, 0))
    sock.setblocking(False)
    return sock


def sctp_chunks(sock):
    """What has come: peer, source port, destination port, the first chunk's kind and length, and when."""
    while True:
        try:
            data, peer, at_ns = receive(sock)
        except OSError:
            return
        if sock.family == socket.AF_INET:
            data = data[(data[0] & 15) * 4:]
        if len(data) >= 16:
            sport, dport = struct.unpack("!HH", data[:4])
            kind, _, length = struct.unpack("!BBH", data[12:16])
            yield peer[0], sport, dport, kind, length, at_ns


def drain(talk):
    """Takes what came by TCP. How many bytes; None: it ended."""
    n = 0
    while True:
        try:
            got, _, at_ns = receive(talk.sock)
        except BlockingIOError:
            return n
        except OSError:
            return None
        if not got:
            return None
        talk.heard(len(got), at_ns)
        n += len(got)


def run(talks, sockets, readable, report):
    """talks: a list that may grow. readable(sock) handles what came."""
    next_tick = next_report = time.monotonic()
    while True:
        now = time.monotonic()
        ready, _, _ = select.select(sockets(), [], [], max(0, next_tick - now))
        for sock in ready:
            readable(sock)
        now = time.monotonic()
        if now >= next_tick:
            for talk in talks:
                if talk.speaks or (resumed and talk.name.endswith("-idle") and isinstance(talk.speaks, type(None))):
                    talk.say()
            next_tick = now + TICK
        if now >= next_report:
            with open(report + ".new", "w", encoding="ascii") as file:
                file.writelines(talk.line() for talk in talks)
            os.rename(report + ".new", report)
            next_report = now + 2 * TICK


def serve(address, report):
    talks, by_key, by_sock = [], {}, {}
    listeners, datagrams = {}, {}
    for mode, port in PORTS.items():
        sock = bound(address, socket.SOCK_STREAM, port)
        sock.listen(16)
        sock.setblocking(False)
        listeners[sock] = mode
        sock = bound(address, socket.SOCK_DGRAM, port)
        sock.setblocking(False)
        datagrams[sock] = mode
    sctp = raw(address)

    def add(key, talk, mode):
        by_key[key] = talk
        talks.append(talk)
        talk.speaks = mode == "push"
        return talk

    def readable(sock):
        if sock in listeners:
            conn, peer = sock.accept()
            mode = listeners[sock]
            by_sock[conn] = add(conn, Tcp(f"tcp-{mode}", peer[0], conn), mode)
        elif sock in datagrams:
            mode = datagrams[sock]
            while True:
                try:
                    data, peer, at_ns = receive(sock)
                except OSError:
                    return
                key = (sock, peer)
                talk = by_key.get(key) or add(key, Udp(f"udp-{mode}", peer[0], sock, peer), mode)
                talk.heard(len(data), at_ns)
                if mode == "answer":
                    time.sleep(LATE)
                    talk.say()
        elif sock is sctp:
            for peer, sport, dport, kind, length, at_ns in sctp_chunks(sctp):
                mode = MODES.get(dport)
                key = (peer, sport, dport)
                if not mode or kind in (2, 11):
                    continue
                talk = by_key.get(key) or add(
                    key, Sctp(f"sctp-{mode}", peer, sctp, (peer, 0), dport, sport), mode)
                talk.take(kind, length, at_ns)
                if mode == "answer" and kind == 0:
                    talk.say()
        else:
            talk = by_sock[sock]
            n = drain(talk)
            if n is None:
                del by_sock[sock]
                talk.speaks = False
                sock.close()
            elif n and talk.name == "tcp-answer":
                talk.say()

    print("ready", flush=True)
    run(talks, lambda: [*listeners, *datagrams, sctp, *by_sock], readable, report)


def connect(source, target, report, names):
    talks, by_sock, by_port = [], {}, {}
    sctp = None
    for number, name in enumerate(names):
        protocol, mode = name.split("-")
        port = PORTS[mode]
        if protocol == "tcp":
            sock = bound(source, socket.SOCK_STREAM, 0)
            sock.settimeout(5)
            sock.connect(at(target, port))
            talk = Tcp(name, target, sock)
            by_sock[sock] = talk
        elif protocol == "udp":
            sock = bound(source, socket.SOCK_DGRAM, 0)
            sock.setblocking(False)
            talk = Udp(name, target, sock, at(target, port))
            by_sock[sock] = talk
        else:
            sctp = sctp or raw(source)
            sport = 20000 + os.getpid() % 20000 + number
            talk = Sctp(name, target, sctp, at(target, 0), sport, port)
            by_port[sport] = talk
            talk.hello()
        talk.speaks = None if mode == "idle" else mode in ("talk", "answer")
        talk.say()
        talks.append(talk)

    def readable(sock):
        if sock is sctp:
            for _, _, dport, kind, length, at_ns in sctp_chunks(sctp):
                if dport in by_port and kind in (0, 2, 11):
                    by_port[dport].take(kind, length, at_ns)
        elif isinstance(by_sock[sock], Udp):
            while True:
                try:
                    data, _, at_ns = receive(sock)
                except OSError:
                    return
                by_sock[sock].heard(len(data), at_ns)
        elif drain(by_sock[sock]) is None:
            del by_sock[sock]
            sock.close()

    print("ready", flush=True)
    run(talks, lambda: [*by_sock, *([sctp] if sctp else [])], readable, report)


def on_resume(_signo, _frame):
    global resumed
    resumed = True


def main():
    signal.signal(signal.SIGUSR1, on_resume)
    if len(sys.argv) == 4 and sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3])
    elif len(sys.argv) > 5 and sys.argv[1] == "open":
        connect(sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])
    sys.exit(__doc__)


main()
