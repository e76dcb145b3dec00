# SPDX-License-Identifier: Apache-2.0
"""Tokens, certificates and authorities change; plugins and impersonation give the right to ask."""
from __future__ import annotations

import json
import secrets
import time
from pathlib import Path

import pki
from cluster import Cluster, Failed
from model import NODES, policy
from provider import AGENT, AGENT_GROUPS, PORT, Token, new_token
from request_log import KINDS
from scenario import scenario
from scenarios_follow import from_namespace
from scenarios_outages import RECONNECT_SECONDS, _base, _flip

# Where the kubelet puts what a pod may know; /var/run is a link to /run, which is the sandbox's own.
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
# Refused or broken credentials are tried again like any failure, with pauses of up to a minute.
RECOVER_SECONDS = 90.0


def _again(c: Cluster) -> None:
    """Watches outlive what they were opened with; only a new connection shows what counts now."""
    c.server.stop()
    c.server.start()


def _no_secret_in_logs(c: Cluster, *values: str) -> None:
    for node in NODES:
        text = (c.work / f"netpold.{node}.log").read_text("utf-8", "replace")
        if any(value in text for value in values):
            raise Failed(f"the log of netpold on {node} shows a secret")


@scenario("tokens", "the token is rotated and the old one revoked; then revoked before a new one is there", seconds=60)
def tokens(c: Cluster) -> None:
    _base(c)
    mark = c.server.log.mark()
    second, third = new_token(), new_token()
    c.server.set_tokens([*c.server.tokens, Token(second, AGENT, AGENT_GROUPS)])
    if c.server.tokens_at_start:
        _again(c)
    for node in NODES:
        c.write_token(node, second)
    c.server.set_tokens([Token(second, AGENT, AGENT_GROUPS)])
    _again(c)
    took = _flip(c, "z", "the old token is revoked, the new one is in the file", RECONNECT_SECONDS)
    if c.requests(mark).statuses()[401]:
        raise Failed(f"the old token was used again\n{c.requests(mark).lines()}")
    c.budget("rotation", mark, {kind: (0, 2) for kind in KINDS})

    mark = c.server.log.mark()
    c.server.set_tokens([Token(third, AGENT, AGENT_GROUPS)])
    _again(c)
    c.until("requests are refused with 401", lambda: all(c.requests(mark, [node]).statuses()[401] for node in NODES))
    held = c.expected()
    c.put(policy("x", "web", ingress=from_namespace(ns="y")))
    until = time.monotonic() + 6
    while time.monotonic() < until:
        wrong = c.ask(held)
        if wrong:
            raise Failed("nothing may be asked, and verdicts change:\n  " + "\n  ".join(wrong[:8]))
    refused = c.requests(mark).statuses()[401]
    for node in NODES:
        c.write_token(node, third)
    late = c.expect("a token that counts is in the file", allow=[("y/a", "x/a")], deny=[("z/a", "x/a")],
                    seconds=RECOVER_SECONDS)
    c.budget("revoked before its time", mark, {kind: (0, 1) for kind in KINDS}, failed=8)
    _no_secret_in_logs(c, c.server.agent_token, second, third)
    c.note(f"followed {took:.1f} s after a rotation, {refused} times 401, {late:.1f} s after the token came")


def _publish(files: dict[str, str]) -> None:
    """As the kubelet does: a new directory, then the link ..data is swapped."""
    fresh = ACCOUNT / f"..{secrets.token_hex(4)}"
    fresh.mkdir(parents=True)
    for name, text in files.items():
        (fresh / name).write_text(text, encoding="ascii")
        if not (ACCOUNT / name).is_symlink():
            (ACCOUNT / name).symlink_to(f"..data/{name}")
    (ACCOUNT / "..next").symlink_to(fresh.name)
    (ACCOUNT / "..next").rename(ACCOUNT / "..data")


@scenario("in-cluster", "as pods of the cluster: environment and service account files, which are rotated", agents=False,
          seconds=30)
def in_cluster(c: Cluster) -> None:
    def files(token: str) -> dict[str, str]:
        return {"token": token, "ca.crt": c.server.ca_file.read_text(encoding="ascii"), "namespace": "netpold"}

    _publish(files(c.server.agent_token))
    for node in NODES:
        del c.agents.kubeconfigs[node]
        c.agents.environment[node] = {"KUBERNETES_SERVICE_HOST": c.server.addresses[6 if node == "n2" else 4],
                                      "KUBERNETES_SERVICE_PORT": str(PORT)}
    mark = c.server.log.mark()
    c.agents.start()
    _base(c)
    c.budget("start", mark, 1, failed=4)
    second = new_token()
    c.server.set_tokens([Token(second, AGENT, AGENT_GROUPS)])
    _publish(files(second))
    mark = c.server.log.mark()
    _again(c)
    took = _flip(c, "z", "the kubelet has put a new token", RECONNECT_SECONDS)
    c.watching("a new token", mark)
    c.budget("rotation", mark, {kind: (0, 1) for kind in KINDS})
    if c.requests(mark).statuses()[401]:
        raise Failed(f"the old token was used again\n{c.requests(mark).lines()}")
    c.note(f"followed {took:.1f} s after the rotation")


@scenario("authorities", "serving certificate and CA are rotated; a server of an unknown CA is not believed", seconds=60)
def authorities(c: Cluster) -> None:
    _base(c)
    server = c.server
    mark = server.log.mark()
    server.serve_with(server.authority)
    _again(c)
    _flip(c, "z", "another serving certificate", RECONNECT_SECONDS)

    # As operators do it: first both are trusted, then the new one serves, then the old one is forgotten.
    second = pki.Authority(server.directory, "second-ca")
    pki.install(server.ca_file, server.authority.certificate, second.certificate)
    server.serve_with(second)
    _again(c)
    _flip(c, "y", "the serving certificate of the new CA", RECONNECT_SECONDS)
    pki.install(server.ca_file, second.certificate)
    _again(c)
    took = _flip(c, "z", "the old CA is forgotten", RECONNECT_SECONDS)
    c.budget("rotations", mark, {kind: (0, 3) for kind in KINDS})

    # The server changes first: agents must not talk to it before the CA file says that it is theirs.
    mark = server.log.mark()
    third = pki.Authority(server.directory, "third-ca")
    old = server.ca_file.read_bytes()
    trusted = server.ca_file.with_name("later.crt")
    trusted.write_bytes(third.certificate.read_bytes())
    server.stop()
    server.serve_with(third)
    # The harness itself asks through another file than the agents.
    server.ca_file = trusted
    pki.kubeconfig(server.admin, server.cluster_entry(), {
        "client-certificate": str(server.admin_files[0]), "client-key": str(server.admin_files[1])})
    server.start()
    held = c.expected()
    c.put(policy("x", "web", ingress=from_namespace(ns="y")))
    until = time.monotonic() + 5
    while time.monotonic() < until:
        wrong = c.ask(held)
        if wrong:
            raise Failed("the server is not to be believed, and verdicts change:\n  " + "\n  ".join(wrong[:8]))
    if len(c.requests(mark)):
        raise Failed(f"agents believed a server of an unknown CA\n{c.requests(mark).lines()}")
    agents_file = server.directory / "trusted.crt"
    assert agents_file.read_bytes() == old
    pki.install(agents_file, third.certificate)
    late = c.expect("the CA file names the server's CA", allow=[("y/a", "x/a")], deny=[("z/a", "x/a")],
                    seconds=RECOVER_SECONDS)
    c.budget("an unknown CA", mark, {kind: (0, 1) for kind in KINDS})
    c.note(f"followed {took:.1f} s after a CA rotation, {late:.1f} s after a late one")


CERTIFIED = "e2e-certified"


@scenario("client-certificates", "agents with client certificates, from files and embedded; the files are rotated",
          agents=False, seconds=30)
def client_certificates(c: Cluster) -> None:
    server = c.server
    server.set_rules(CERTIFIED, server.manifest_rules())
    files = {node: server.client_authority.client(f"agent-{node}", CERTIFIED, "e2e") for node in NODES}
    for node in ("n1", "n2"):
        c.agents.kubeconfigs[node] = c.agent_kubeconfig(f"certificate-{node}", {
            "client-certificate": str(files[node][0]), "client-key": str(files[node][1])}, 6 if node == "n2" else 4)
    c.agents.kubeconfigs["n3"] = c.agent_kubeconfig("certificate-n3", {
        "client-certificate-data": pki.data(files["n3"][0]), "client-key-data": pki.data(files["n3"][1])})
    mark = server.log.mark()
    c.agents.start()
    _base(c)
    seen = c.budget("start", mark, 1, failed=4)
    if {one.user for one in seen} != {CERTIFIED}:
        raise Failed(f"requests came as {sorted({one.user for one in seen})}")

    # A new CA of clients; the old one no longer counts.
    second = pki.Authority(server.directory, "second-client-ca")
    fresh = second.client("agent-fresh", CERTIFIED, "e2e")
    admin = second.client("admin-fresh", "e2e-admin", "system:masters")
    pki.install(server.client_ca_file, second.certificate)
    server.admin_files = admin
    pki.kubeconfig(server.admin, server.cluster_entry(), {"client-certificate": str(admin[0]),
                                                          "client-key": str(admin[1])})
    for node in ("n1", "n2"):
        pki.install(files[node][1], fresh[1])
        pki.install(files[node][0], fresh[0])
    c.agents.stop_one("n3")
    c.agents.kubeconfigs["n3"] = c.agent_kubeconfig("certificate-n3", {
        "client-certificate-data": pki.data(fresh[0]), "client-key-data": pki.data(fresh[1])})
    _again(c)
    c.agents.start(nodes=["n3"])
    took = _flip(c, "z", "certificates of a new CA", RECOVER_SECONDS)
    c.note(f"followed {took:.1f} s after the rotation")


_PLUGIN = """#!/bin/sh
# What a cloud's plugin does: a token that is good for a while. $1: where the token stands, and runs are counted.
echo "$KUBERNETES_EXEC_INFO" >>"$1/runs"
[ "$E2E_SECRET" = given ] || { echo "the environment of the kubeconfig is missing" >&2; exit 1; }
until=$(date -u -d "+$(cat "$1/seconds") seconds" +%Y-%m-%dT%H:%M:%SZ)
cat <<OUT
{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1",
 "status": {"expirationTimestamp": "$until", "token": "$(cat "$1/token")"}}
OUT
"""


@scenario("exec-plugin", "the credential comes from a program, expires, is revoked, fails and comes back", agents=False,
          seconds=50)
def exec_plugin(c: Cluster) -> None:
    work = c.work / "plugin"
    work.mkdir()
    plugin = work / "issue token"  # a blank in the path: no shell is in between
    plugin.write_text(_PLUGIN, encoding="ascii")
    plugin.chmod(0o755)
    (work / "seconds").write_text("3600", encoding="ascii")
    (work / "token").write_text(c.server.agent_token, encoding="ascii")
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "args": [str(work)],
                     "env": [{"name": "E2E_SECRET", "value": "given"}], "interactiveMode": "Never",
                     "provideClusterInfo": True}}
    for node in NODES:
        c.agents.kubeconfigs[node] = c.agent_kubeconfig(f"plugin-{node}", user, 6 if node == "n2" else 4)
    mark = c.server.log.mark()
    c.agents.start()
    _base(c)
    c.budget("start", mark, 1, failed=4)
    runs = _runs(work)
    if not len(NODES) <= len(runs) <= 2 * len(NODES):
        raise Failed(f"the plugin ran {len(runs)} times for {len(NODES)} agents")
    info = json.loads(runs[0])
    if "certificate-authority-data" not in info["spec"].get("cluster", {}) or info["spec"].get("interactive"):
        raise Failed(f"KUBERNETES_EXEC_INFO is not complete: {runs[0][:300]}")

    # Revoked at the server before its time: a 401 asks the plugin again.
    second = new_token()
    c.server.set_tokens([Token(second, AGENT, AGENT_GROUPS)])
    (work / "token").write_text(second, encoding="ascii")
    _again(c)
    took = _flip(c, "z", "the plugin gives a new token after a 401", RECONNECT_SECONDS)

    # It fails: rules stay, and it is not run in a circle.
    third = new_token()
    c.server.set_tokens([Token(third, AGENT, AGENT_GROUPS)])
    plugin.chmod(0o644)
    before = len(_runs(work))
    mark = c.server.log.mark()
    _again(c)
    c.hold("the plugin cannot be run", 5.0)
    plugin.chmod(0o755)
    (work / "token").write_text(third, encoding="ascii")
    late = _flip(c, "y", "the plugin can be run again", RECOVER_SECONDS)
    c.budget("a plugin that fails", mark, {kind: (0, 2) for kind in KINDS}, failed=8)
    runs = _runs(work)
    if len(runs) - before > 8 * len(NODES):
        raise Failed(f"the plugin ran {len(runs) - before} times")
    _no_secret_in_logs(c, c.server.agent_token, second, third)
    c.note(f"plugin ran {len(runs)} times, followed {took:.1f} s after a 401, {late:.1f} s after it was repaired")


def _runs(work: Path) -> list[str]:
    path = work / "runs"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


PERSON = "e2e-person"


@scenario("impersonation", "a person asks as the agent's service account, and only where that is granted", agents=False,
          seconds=20)
def impersonation(c: Cluster) -> None:
    token = new_token()
    c.server.set_tokens([*c.server.tokens, Token(token, PERSON)])
    if c.server.tokens_at_start:
        _again(c)
    namespace, name = AGENT.split(":")[2:]
    c.server.set_rules(PERSON, [{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [name],
                                 "verbs": ["impersonate"]}])
    granted = c.agent_kubeconfig("person", {"token": token, "as": f"system:serviceaccount:{namespace}:{name}"})
    himself = c.agent_kubeconfig("himself", {"token": token})
    other = c.agent_kubeconfig("other", {"token": token, "as": "system:admin", "as-groups": ["system:masters"]})
    c.put(policy("x", "web", ingress=from_namespace(ns="y")))
    for node in NODES:
        c.agents.kubeconfigs[node] = granted
    mark = c.server.log.mark()
    c.agents.start()
    c.expect("as the service account", allow=[("y/a", "x/a")], deny=[("z/a", "x/a")])
    c.budget("start", mark, 1, failed=4)
    for path, what in ((himself, "a person without rights"), (other, "a person as an administrator")):
        done = c.run("n1", str(c.netpolctl), "render", "--node", "n1", "--kubeconfig", str(path))
        if done.returncode == 0 or "forbidden" not in done.stderr.lower() + done.stdout.lower():
            raise Failed(f"{what} may ask: exit {done.returncode}: {done.stderr.strip()[:500]}")
        if token in done.stderr:
            raise Failed("a token is shown")
    _flip(c, "z", "and follows", 10)
