# SPDX-License-Identifier: Apache-2.0
"""A real API server with a real etcd, in a network namespace of its own: two providers behind one interface.

`kube`     kube-apiserver, etcd and kubectl from $KUBEBUILDER_ASSETS or PATH, with the flags of envtest, RBAC on
`library`  tests/apiserver: a small program on the library that kube-apiserver is made of; needs Go to be built

A harness starts one, gives kubeconfigs to clients, and then does what operators and accidents do: stop, kill, start
again with the same data, compact, rotate tokens and certificates, take permissions away.
"""
from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import shutil
import signal
import ssl
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pki
import request_log
from machines import Broken, inside

ROOT = Path(__file__).resolve().parents[2]
CLUSTER_ROLE = ROOT / "manifests/base/clusterrole.yaml"
AGENT = "system:serviceaccount:netpold:netpold"
AGENT_GROUPS = ("system:serviceaccounts", "system:serviceaccounts:netpold")
ADMIN = "e2e-admin"
PORT = 6443
ETCD = "127.0.0.1:2379"
# What clients may verify instead of an address (tls-server-name).
SERVER_NAME = "kubernetes.netpold.test"
READY_SECONDS = 90.0
STOP_SECONDS = 30.0

Rule = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """How a server is started. None: the provider's own default."""

    max_inflight: int | None = None  # requests at a time, watches not counted; more get a 429
    goaway: float = 0.0              # share of HTTP/2 requests whose connection is then asked to end, at most 0.02
    watch_cache: bool = True
    watch_list: bool = True
    http2: bool = True
    shutdown_delay: int = 0          # seconds


@dataclass(frozen=True)
class Token:
    """A bearer token and whose it is."""

    value: str
    user: str
    groups: tuple[str, ...] = ()


def new_token() -> str:
    return "e2e-" + secrets.token_hex(16)


class Provider(ABC):
    """One API server. Everything it writes is below `directory`."""

    name = ""
    # Tokens that are changed while it runs count only when it starts again.
    tokens_at_start = False

    def __init__(self, directory: Path, netns: str, addresses: dict[int, str], data: Path | None = None) -> None:
        """`addresses`: where it is reached, by family. `data`: of etcd, when it shall not lie in `directory`."""
        self.directory = directory
        self.netns = netns
        self.addresses = addresses
        self.data = data or directory / "etcd"
        self.options = Options()
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self.starts = 0
        directory.mkdir(parents=True, exist_ok=True)
        self.home = directory / "home"  # kubectl keeps its discovery cache there
        self.home.mkdir()
        self.authority = pki.Authority(directory, "ca")
        self.client_authority = pki.Authority(directory, "client-ca")
        self.ca_file, self.client_ca_file = directory / "trusted.crt", directory / "client-trusted.crt"
        pki.install(self.ca_file, self.authority.certificate)
        pki.install(self.client_ca_file, self.client_authority.certificate)
        self.serving = directory / "serving.crt", directory / "serving.key"
        self.serve_with(self.authority)
        self.token_file = directory / "tokens.csv"
        self.tokens: list[Token] = []
        self.admin_files = self.client_authority.client("admin", ADMIN, "system:masters")
        # The directory may be the client's only view of the cluster: the address of the first family.
        self.admin = pki.kubeconfig(directory / "admin.kubeconfig", self.cluster_entry(), {
            "client-certificate": str(self.admin_files[0]), "client-key": str(self.admin_files[1])})
        self.agent_token = new_token()
        self.set_tokens([Token(self.agent_token, AGENT, AGENT_GROUPS)])
        self.log = self._make_log()

    # -- what providers differ in

    @property
    @abstractmethod
    def kubectl_path(self) -> Path:
        """The kubectl that goes with it."""

    @abstractmethod
    def _make_log(self) -> request_log.RequestLog: ...

    @abstractmethod
    def _etcd_command(self) -> list[str]: ...

    @abstractmethod
    def _server_command(self, options: Options) -> list[str]: ...

    @abstractmethod
    def set_rules(self, user: str, rules: Sequence[Rule]) -> None:
        """What a user may do from now on, as the rules of a ClusterRole. Before the first start, or while it runs."""

    @abstractmethod
    def compact(self) -> None:
        """Forget all of etcd's history but the present. A server that runs may still know more from its memory."""

    # -- life

    def start(self, options: Options | None = None) -> None:
        """etcd, if it is not running, and the server; returns when it is ready. Without options as it was before."""
        self.options = options or self.options
        if self._etcd is None:
            self._etcd = self._spawn("etcd", self._etcd_command())
            self._until("etcd", self._etcd_serves)
        self._server = self._spawn("apiserver", self._server_command(self.options))
        self._until("apiserver", self._ready)
        self.starts += 1
        if self.starts == 1:
            self._first_start()

    def _first_start(self) -> None:
        """What a fresh server still needs."""

    def stop(self) -> None:
        """End the server as an operator does; etcd goes on."""
        self._end(self._take_server(), signal.SIGTERM)

    def crash(self) -> None:
        """The server is gone from one moment to the next; etcd goes on."""
        self._end(self._take_server(), signal.SIGKILL)

    def crash_all(self) -> None:
        """The same, and etcd with it."""
        self.crash()
        if self._etcd is not None:
            self._end(self._etcd, signal.SIGKILL)
            self._etcd = None

    def close(self) -> None:
        """End everything, whatever state it is in."""
        for process in (self._server, self._etcd):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self._server = self._etcd = None

    def pid(self) -> int:
        assert self._server is not None
        return self._server.pid

    def _take_server(self) -> subprocess.Popen[bytes]:
        if self._server is None:
            raise Broken("the API server is not running")
        process, self._server = self._server, None
        return process

    def _end(self, process: subprocess.Popen[bytes], how: signal.Signals) -> None:
        process.send_signal(how)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Broken(f"the API server does not stop within {STOP_SECONDS:.0f} s") from None

    def _spawn(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with open(self.directory / f"{name}.log", "ab") as log:
            return subprocess.Popen(["ip", "netns", "exec", self.netns, *command], stdout=log, stderr=log,
                                    stdin=subprocess.DEVNULL, env={**os.environ, "HOME": str(self.home)})

    def _until(self, name: str, check: Any) -> None:
        until = time.monotonic() + READY_SECONDS
        while not check():
            process = self._etcd if name == "etcd" else self._server
            if process is None or process.poll() is not None or time.monotonic() > until:
                raise Broken(f"{name} does not become ready\n{self.tail(name)}")
            time.sleep(0.05)

    def _etcd_serves(self) -> bool:
        return self._etcd_call("GET", "/health")[0] == 200

    def _etcd_call(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        host, _, port = ETCD.partition(":")
        with inside(self.netns):
            connection = http.client.HTTPConnection(host, int(port), timeout=10)
            try:
                connection.request(method, path, None if body is None else json.dumps(body))
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                return 0, b""
            finally:
                connection.close()

    def _ready(self) -> bool:
        return self.get("/readyz")[0] == 200

    def get(self, path: str, timeout: float = 5.0) -> tuple[int, bytes]:
        """GET as the administrator, from the server's own namespace; status 0 when it cannot be reached."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        context.load_cert_chain(*map(str, self.admin_files))
        with inside(self.netns):
            connection = http.client.HTTPSConnection(self.addresses[min(self.addresses)], PORT, timeout=timeout,
                                                     context=context)
            try:
                connection.request("GET", path)
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                return 0, b""
            finally:
                connection.close()

    def tail(self, name: str = "apiserver", lines: int = 15) -> str:
        """The end of a log: apiserver or etcd."""
        path = self.directory / f"{name}.log"
        return "\n".join(path.read_text("utf-8", "replace").splitlines()[-lines:]) if path.exists() else ""

    # -- who may do what

    def set_tokens(self, tokens: Sequence[Token]) -> None:
        """All tokens there are."""
        self.tokens = list(tokens)
        draft = self.token_file.with_name("tokens.draft")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            for number, token in enumerate(self.tokens):
                file.write(f'{token.value},{token.user},uid-{number},"{",".join(token.groups)}"\n')
        os.replace(draft, self.token_file)

    def serve_with(self, authority: pki.Authority) -> None:
        """A new serving certificate, of this authority; taken within seconds, or at the next start."""
        names = [f"DNS:{SERVER_NAME}", "DNS:localhost", "IP:127.0.0.1", "IP:::1",
                 *(f"IP:{address}" for address in self.addresses.values())]
        certificate, key = authority.server(f"serving-{secrets.token_hex(3)}", names)
        pki.install(self.serving[1], key)
        pki.install(self.serving[0], certificate)

    # -- for clients

    def url(self, family: int = 4) -> str:
        address = self.addresses[family]
        return f"https://[{address}]:{PORT}" if family == 6 else f"https://{address}:{PORT}"

    def cluster_entry(self, family: int = 4, **more: Any) -> dict[str, Any]:
        """The cluster of a kubeconfig."""
        return {"server": self.url(family), "certificate-authority": str(self.ca_file), **more}

    def kubectl(self, *words: str, stdin: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        """As the administrator, from the server's own namespace."""
        done = subprocess.run(["ip", "netns", "exec", self.netns, str(self.kubectl_path), *words], input=stdin,
                              text=True, capture_output=True, check=False,
                              env={**os.environ, "HOME": str(self.home), "KUBECONFIG": str(self.admin)})
        if check and done.returncode != 0:
            raise Broken(f"kubectl {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()[:1500]}")
        return done

    def manifest_rules(self) -> list[Rule]:
        """What the shipped ClusterRole grants. kubectl reads the file; no server is asked."""
        done = subprocess.run([str(self.kubectl_path), "label", "--local", "-f", str(CLUSTER_ROLE), "e2e=e2e", "-o",
                               "json"], capture_output=True, text=True, check=False,
                              env={**os.environ, "HOME": str(self.home), "KUBECONFIG": "/dev/null"})
        if done.returncode != 0:
            raise Broken(f"kubectl cannot read {CLUSTER_ROLE.name}: {done.stderr.strip()}")
        rules: list[Rule] = json.loads(done.stdout)["rules"]
        return rules


class LibraryServer(Provider):
    """tests/apiserver."""

    name = "library"

    def __init__(self, programs: Path, *rest: Any, **more: Any) -> None:
        self.programs = programs
        super().__init__(*rest, **more)
        self.rules: dict[str, Sequence[Rule]] = {}
        self.rules_file = self.directory / "rules.json"
        self.set_rules(AGENT, self.manifest_rules())

    @property
    def kubectl_path(self) -> Path:
        return self.programs / "kubectl"

    def _make_log(self) -> request_log.RequestLog:
        return request_log.RequestLog(self.directory / "requests.jsonl", request_log.from_request_log)

    def _etcd_command(self) -> list[str]:
        return [str(self.programs / "apiserver"), "etcd", "--data", str(self.data), "--listen", ETCD]

    def _server_command(self, options: Options) -> list[str]:
        listen = ",".join(f"[{address}]:{PORT}" if family == 6 else f"{address}:{PORT}"
                          for family, address in self.addresses.items())
        words = [str(self.programs / "apiserver"), "serve", "--etcd", f"http://{ETCD}", "--listen", listen,
                 "--cert-file", str(self.serving[0]), "--key-file", str(self.serving[1]),
                 "--client-ca-file", str(self.client_ca_file), "--token-file", str(self.token_file),
                 "--rules-file", str(self.rules_file), "--request-log", str(self.log.path),
                 "--goaway-chance", str(options.goaway), f"--watch-cache={_flag(options.watch_cache)}",
                 f"--watch-list={_flag(options.watch_list)}", f"--http2={_flag(options.http2)}",
                 "--shutdown-delay", str(options.shutdown_delay)]
        if options.max_inflight is not None:
            words += ["--max-requests-inflight", str(options.max_inflight)]
        return words

    def set_rules(self, user: str, rules: Sequence[Rule]) -> None:
        self.rules[user] = list(rules)
        draft = self.rules_file.with_name("rules.draft")
        draft.write_text(json.dumps({"users": {name: {"rules": entry} for name, entry in self.rules.items()}}) + "\n",
                         encoding="utf-8")
        os.replace(draft, self.rules_file)

    def compact(self) -> None:
        self._tool("compact", "--etcd", f"http://{ETCD}")

    def load(self, *words: str) -> str:
        """`apiserver load`: objects straight into etcd."""
        return self._tool("load", "--etcd", f"http://{ETCD}", *words)

    def _tool(self, *words: str) -> str:
        done = subprocess.run(["ip", "netns", "exec", self.netns, str(self.programs / "apiserver"), *words],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Broken(f"apiserver {words[0]}: exit {done.returncode}: {done.stderr.strip()[-1000:]}")
        return done.stdout


class KubeApiserver(Provider):
    """kube-apiserver, etcd and kubectl of a Kubernetes release."""

    name = "kube"
    tokens_at_start = True

    def __init__(self, programs: dict[str, Path], *rest: Any, **more: Any) -> None:
        self.programs = programs
        super().__init__(*rest, **more)
        self._accounts = self.directory / "accounts.key"
        done = subprocess.run(["openssl", "genrsa", "-out", str(self._accounts), "2048"], capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise Broken(f"openssl genrsa: {done.stderr.strip()}")
        self._policy = self.directory / "audit.json"
        self._policy.write_text(json.dumps({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitManagedFields": True,
                                            "rules": [{"level": "Metadata"}]}), encoding="utf-8")
        self._pending: dict[str, Sequence[Rule]] = {}

    @property
    def kubectl_path(self) -> Path:
        return self.programs["kubectl"]

    def _make_log(self) -> request_log.RequestLog:
        return request_log.RequestLog(self.directory / "audit.jsonl", request_log.from_audit_log)

    def _etcd_command(self) -> list[str]:
        return [str(self.programs["etcd"]), "--data-dir", str(self.data), "--listen-client-urls", f"http://{ETCD}",
                "--advertise-client-urls", f"http://{ETCD}", "--listen-peer-urls", "http://127.0.0.1:2380",
                "--unsafe-no-fsync", "--log-level", "warn"]

    def _server_command(self, options: Options) -> list[str]:
        words = [str(self.programs["kube-apiserver"]), "--etcd-servers", f"http://{ETCD}",
                 "--bind-address", "::" if 6 in self.addresses else "0.0.0.0",
                 "--advertise-address", self.addresses[min(self.addresses)], "--secure-port", str(PORT),
                 "--tls-cert-file", str(self.serving[0]), "--tls-private-key-file", str(self.serving[1]),
                 "--client-ca-file", str(self.client_ca_file), "--token-auth-file", str(self.token_file),
                 "--service-account-key-file", str(self._accounts),
                 "--service-account-signing-key-file", str(self._accounts),
                 "--service-account-issuer", "https://kubernetes.default.svc", "--anonymous-auth=false",
                 "--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount",
                 "--service-cluster-ip-range", "10.96.0.0/16", "--cert-dir", str(self.directory / "certs"),
                 "--audit-policy-file", str(self._policy), "--audit-log-path", str(self.log.path),
                 "--audit-log-mode", "blocking", f"--goaway-chance={options.goaway}",
                 f"--watch-cache={_flag(options.watch_cache)}", f"--disable-http2-serving={_flag(not options.http2)}",
                 f"--feature-gates=WatchList={_flag(options.watch_list)}",
                 f"--shutdown-delay-duration={options.shutdown_delay}s",
                 "--shutdown-watch-termination-grace-period=2s"]
        if options.max_inflight is not None:
            # Priority and fairness would put them into queues.
            words += ["--enable-priority-and-fairness=false", f"--max-requests-inflight={options.max_inflight}"]
        return words

    def _first_start(self) -> None:
        base = CLUSTER_ROLE.parent
        self.kubectl("apply", "-f", str(base / "namespace.yaml"), "-f", str(CLUSTER_ROLE), "-f",
                     str(base / "clusterrolebinding.yaml"))
        for user, rules in self._pending.items():
            self.set_rules(user, rules)

    def set_rules(self, user: str, rules: Sequence[Rule]) -> None:
        if self.starts == 0:
            self._pending[user] = list(rules)
            return
        # Of the agent, the shipped role itself is changed.
        name = "netpold" if user == AGENT else "e2e-" + user.replace(":", "-")
        group = "rbac.authorization.k8s.io"
        objects = [{"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}]
        if user != AGENT:
            objects.append({"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
                            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
                            "subjects": [{"apiGroup": group, "kind": "User", "name": user}]})
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-",
                     stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def compact(self) -> None:
        # As the server itself does it: the revision is written first, other servers learn it from there.
        key = base64.b64encode(b"compact_rev_key").decode()
        status, body = self._etcd_call("POST", "/v3/kv/range", {"key": key})
        if status != 200:
            raise Broken(f"etcd: range: {status}")
        revision = int(json.loads(body)["header"]["revision"])
        value = base64.b64encode(str(revision).encode()).decode()
        for path, request in (("/v3/kv/put", {"key": key, "value": value}),
                              ("/v3/kv/compaction", {"revision": str(revision), "physical": True})):
            status, body = self._etcd_call("POST", path, request)
            if status != 200:
                raise Broken(f"etcd: {path}: {status} {body[:200]!r}")


def _flag(value: bool) -> str:
    return "true" if value else "false"


def kube_programs() -> dict[str, Path] | None:
    """kube-apiserver, etcd and kubectl, all three or None: of $KUBEBUILDER_ASSETS if it names a directory."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    found = {name: shutil.which(name, path=assets or None) for name in ("kube-apiserver", "etcd", "kubectl")}
    return {name: Path(path) for name, path in found.items() if path} if all(found.values()) else None


def make(directory: Path, netns: str, addresses: dict[int, str], data: Path | None = None) -> Provider:
    """The provider that the environment names (E2E_PROVIDER, E2E_PROGRAMS), not yet started."""
    if os.environ["E2E_PROVIDER"] == "kube":
        programs = kube_programs()
        if programs is None:
            raise Broken("kube-apiserver, etcd and kubectl are not on PATH or in $KUBEBUILDER_ASSETS")
        return KubeApiserver(programs, directory, netns, addresses, data)
    return LibraryServer(Path(os.environ["E2E_PROGRAMS"]), directory, netns, addresses, data)
