#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A control socket whose owner misbehaves: fake_control.py SOCKET MODE LOG

LOG gets one line a question. Every answer but "hang" and "drip" ends its connection, as a daemon that is turned away does.
"""
import os
import socket
import sys
import threading
import time

BUSY = b'{"ok":false,"error":"too many connections are open","code":"busy"}\n'
ANSWERS = {
    "ok": b'{"ok":true}\n',
    "busy": BUSY,
    "refuse": b'{"ok":false,"error":"it is not to be","code":"failed"}\n',
    "denied": b'{"ok":false,"error":"the peer is neither root nor our own user","code":"denied"}\n',
    "half": b'{"ok":tr',
    "garbage": b"\x00\xff\x80{]\n",
    "array": b"[true]\n",
    "words": b'{"ok":"true"}\n',
    "no-code": b'{"ok":false}\n',
    "empty": b"\n",
    "big": b'{"ok":true,"x":"' + b"x" * (5 << 20) + b'"}\n',
}


def serve(peer, mode, log, asked):
    try:
        if mode == "close":
            return
        line = b""
        while not line.endswith(b"\n"):
            got = peer.recv(65536)
            if not got:
                return
            line += got
        os.write(log, line)
        if mode == "hang" or mode == "half-hang":
            peer.sendall(ANSWERS["half"] if mode == "half-hang" else b"")
            time.sleep(600)
        elif mode == "drip":
            while True:
                peer.sendall(b" ")
                time.sleep(0.02)
        elif mode == "busy-twice":
            peer.sendall(BUSY if asked < 2 else ANSWERS["ok"])
        elif mode == "busy-then-hang":
            peer.sendall(BUSY if asked < 1 else b"")
            time.sleep(600 if asked else 0)
        else:
            peer.sendall(ANSWERS[mode])
    except OSError:
        pass
    finally:
        peer.close()


def main():
    path, mode, log = sys.argv[1:]
    log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path + ".new")
    listener.listen(0 if mode == "deaf" else 100)
    if mode == "deaf":
        filler = socket.socket(socket.AF_UNIX)
        filler.connect(path + ".new")
    # Whoever sees the name is heard.
    os.rename(path + ".new", path)
    if mode == "gone":
        return
    asked = 0
    while mode != "deaf":
        peer, _ = listener.accept()
        threading.Thread(target=serve, args=(peer, mode, log, asked), daemon=True).start()
        asked += 1
    time.sleep(600)


main()
