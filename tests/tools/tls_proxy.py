#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TLS in front of a plain server of tests: asks for a client certificate, passes bytes on.

tls_proxy.py TARGET_PORT CERT KEY [CLIENT_CA]; prints "port N" when it listens, then "subject NAME" or "refused WHY" for
each connection.
"""
import socket
import ssl
import sys
import threading


def say(text):
    print(text, flush=True)


def pump(source, sink):
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(plain, context, target):
    try:
        client = context.wrap_socket(plain, server_side=True)
        # With TLS 1.3 the client's certificate is judged after the handshake of the client's side has ended.
        names = dict(pair[0] for pair in client.getpeercert().get("subject", ())) if client.getpeercert() else {}
    except (OSError, ssl.SSLError) as error:
        say(f"refused {error}")
        plain.close()
        return
    say(f"subject {names.get('commonName', '-')}")
    server = socket.create_connection(("127.0.0.1", target))
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
    pump(client, server)


def main():
    target, cert, key = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    if len(sys.argv) > 4:
        context.load_verify_locations(sys.argv[4])
        context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))
    say(f"port {listener.getsockname()[1]}")
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=serve, args=(plain, context, target), daemon=True).start()


main()
