# SPDX-License-Identifier: Apache-2.0
"""A certificate authority of a test's own, made with openssl, and kubeconfigs that stand on it."""
from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path
from typing import Any

DAYS = "3"


class PkiError(Exception):
    """openssl could not do what was asked."""


def _openssl(*words: str) -> None:
    done = subprocess.run(("openssl", *words), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise PkiError(f"openssl {words[0]}: {done.stderr.strip()[-500:]}")


def _key() -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class Authority:
    """One CA. Files: <directory>/<name>.crt and .key."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.certificate = directory / f"{name}.crt"
        self.key = directory / f"{name}.key"
        _openssl("req", "-x509", *_key(), "-days", DAYS, "-subj", f"/CN={name}", "-keyout", str(self.key), "-out",
                 str(self.certificate), "-addext", "basicConstraints=critical,CA:TRUE", "-addext",
                 "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name: str, subject: str, *extensions: str) -> tuple[Path, Path]:
        """A certificate and its key, as <name>.crt and <name>.key in the authority's directory."""
        certificate, key = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        words = [word for extension in ("basicConstraints=critical,CA:FALSE", *extensions)
                 for word in ("-addext", extension)]
        _openssl("req", "-x509", *_key(), "-days", DAYS, "-CA", str(self.certificate), "-CAkey", str(self.key),
                 "-subj", subject, *words, "-keyout", str(key), "-out", str(certificate))
        return certificate, key

    def server(self, name: str, alternatives: list[str]) -> tuple[Path, Path]:
        """A serving certificate; alternatives as openssl spells them: "IP:::1", "DNS:host"."""
        return self.issue(name, "/CN=kube-apiserver", f"subjectAltName={','.join(alternatives)}",
                          "extendedKeyUsage=serverAuth")

    def client(self, name: str, user: str, *groups: str) -> tuple[Path, Path]:
        """A client certificate of a user and its groups, as Kubernetes reads them."""
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        return self.issue(name, subject, "extendedKeyUsage=clientAuth")


def install(path: Path, *parts: Path) -> None:
    """Put a file in place as a whole, joined of others: who reads it sees the old or the new one."""
    draft = path.with_name(path.name + ".draft")
    draft.write_bytes(b"".join(part.read_bytes() for part in parts))
    os.replace(draft, path)


def data(path: Path) -> str:
    """A file as kubeconfigs embed it."""
    return base64.b64encode(path.read_bytes()).decode("ascii")


def kubeconfig(path: Path, cluster: dict[str, Any], user: dict[str, Any]) -> Path:
    """A kubeconfig with one context, in JSON, which is YAML. Read by its owner only: it may hold a token."""
    text = json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "e2e", "preferences": {},
                       "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
                       "clusters": [{"name": "e2e", "cluster": cluster}], "users": [{"name": "e2e", "user": user}]},
                      indent=1)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    return path
