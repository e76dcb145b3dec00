# SPDX-License-Identifier: Apache-2.0
"""What clients asked of the API server: its request log, or the audit log of kube-apiserver, as plain records."""
from __future__ import annotations

import datetime
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

KINDS = ("namespaces", "networkpolicies", "nodes", "pods")


@dataclass
class Request:
    """One request. `client` is the address it came from; times are seconds since the epoch."""

    id: str
    time: float
    client: str
    user: str
    agent: str
    verb: str
    resource: str
    path: str
    query: dict[str, str]
    proto: str = ""
    status: int = 0        # 0: no answer yet
    bytes: int = 0
    encoding: str = ""
    seconds: float | None = None  # None: still open
    connection: str = ""   # address and port it came from; "" where the log does not tell

    @property
    def initial(self) -> bool:
        """Asks for a whole collection: the first page of a list, or a watch that sends all there is. A look at one
        object (limit=1, by name) is none."""
        if self.verb == "watch":
            return self.query.get("sendInitialEvents") == "true"
        return self.verb == "list" and "continue" not in self.query and self.query.get("limit") != "1" \
            and "metadata.name" not in self.query.get("fieldSelector", "")

    @property
    def resumed(self) -> bool:
        """A watch from where another ended."""
        return self.verb == "watch" and not self.initial and self.query.get("resourceVersion", "0") not in ("", "0")

    def line(self) -> str:
        """For a person."""
        query = "&".join(f"{key}={value[:40]}" for key, value in self.query.items())
        took = "open" if self.seconds is None else f"{self.seconds:.3f} s"
        clock = datetime.datetime.fromtimestamp(self.time, datetime.timezone.utc).strftime("%H:%M:%S.%f")[:-3]
        return (f"{clock} {self.client:<15} {self.verb:<6} {self.path or self.resource} {self.status or '-'} {took} "
                f"{self.proto} {query}")


def _seconds(stamp: str) -> float:
    # Nanoseconds are more than Python reads.
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", stamp).replace("Z", "+00:00")).timestamp()


def _query(value: Any) -> dict[str, str]:
    """Values as strings, or as lists of them."""
    return {key: (entry[0] if entry else "") if isinstance(entry, list) else str(entry)
            for key, entry in (value or {}).items()}


def from_request_log(line: dict[str, Any], known: dict[str, Request]) -> Request | None:
    """A line of `apiserver serve --request-log`; the record when the line begins one."""
    ident = str(line["id"])
    if line["event"] == "start":
        remote = line["remote"].rpartition(":")[0].strip("[]")
        return Request(ident, _seconds(line["time"]), remote, line.get("user", ""), line.get("user_agent", ""),
                       line["verb"], line.get("resource", ""), line["path"], _query(line.get("query")),
                       line.get("proto", ""), connection=line["remote"])
    one = known.get(ident)
    if one is not None:
        one.user = line.get("user", "") or one.user
        one.status, one.bytes = line.get("status", 0), line.get("bytes", 0)
        one.encoding, one.seconds = line.get("content_encoding", ""), line.get("duration_ms", 0.0) / 1000
    return None


def from_audit_log(line: dict[str, Any], known: dict[str, Request]) -> Request | None:
    """A line of kube-apiserver's audit log, level Metadata."""
    ident = line["auditID"]
    one = known.get(ident)
    fresh = None
    if one is None:
        address = (line.get("sourceIPs") or [""])[0]
        parts = urlsplit(line["requestURI"])
        one = fresh = Request(ident, _seconds(line["requestReceivedTimestamp"]), address,
                              line.get("user", {}).get("username", ""), line.get("userAgent", ""), line["verb"],
                              (line.get("objectRef") or {}).get("resource", ""), parts.path,
                              dict(parse_qsl(parts.query, keep_blank_values=True)))
    one.status = (line.get("responseStatus") or {}).get("code", one.status)
    if line["stage"] in ("ResponseComplete", "Panic"):
        one.seconds = _seconds(line["stageTimestamp"]) - one.time
    return fresh


@dataclass
class RequestLog:
    """Follows the file as it grows. Several starts of the server append to one file; `runs` keeps their ids apart."""

    path: Path
    parse: Callable[[dict[str, Any], dict[str, Request]], Request | None]
    requests: list[Request] = field(default_factory=list)
    _known: dict[str, Request] = field(default_factory=dict)
    _offset: int = 0
    _rest: bytes = b""

    def refresh(self) -> list[Request]:
        """All requests until now, in the order of their start."""
        if not self.path.exists():
            return self.requests
        with self.path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        self._offset += len(text)
        *lines, self._rest = (self._rest + text).split(b"\n")
        for line in lines:
            if not line.strip():
                continue
            try:
                one = self.parse(json.loads(line), self._known)
            except (ValueError, KeyError):  # a line that a kill cut short, with the next one behind it
                continue
            if one is not None:
                self.requests.append(one)
                self._known[one.id] = one
        return self.requests

    def mark(self) -> int:
        """Now, for since()."""
        return len(self.refresh())

    def since(self, mark: int, clients: Iterable[str] | None = None) -> Requests:
        """What began after the mark, of these clients."""
        wanted = None if clients is None else set(clients)
        return Requests([one for one in self.refresh()[mark:] if wanted is None or one.client in wanted])


class Requests:
    """Some requests, to be counted."""

    def __init__(self, requests: list[Request]) -> None:
        self.requests = requests

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)

    def __len__(self) -> int:
        return len(self.requests)

    def where(self, judge: Callable[[Request], bool]) -> Requests:
        return Requests([one for one in self.requests if judge(one)])

    def initial(self, kind: str | None = None, served: bool | None = None) -> Requests:
        """Whole collections asked for, of a kind; `served`: only those that were answered with 200."""
        return self.where(lambda one: one.initial and kind in (None, one.resource)
                          and (served is None or (one.status in (0, 200)) == served))

    def resumed(self, kind: str | None = None) -> Requests:
        return self.where(lambda one: one.resumed and kind in (None, one.resource))

    def statuses(self) -> Counter[int]:
        return Counter(one.status for one in self.requests)

    def busiest(self, window: float = 1.0) -> tuple[int, str]:
        """The most requests that one client began within a window of seconds, and the client."""
        best, who = 0, ""
        by_client: dict[str, list[float]] = {}
        for one in self.requests:
            by_client.setdefault(one.client, []).append(one.time)
        for client, times in by_client.items():
            times.sort()
            first = 0
            for last, time in enumerate(times):
                while time - times[first] > window:
                    first += 1
                if last - first + 1 > best:
                    best, who = last - first + 1, client
        return best, who

    def histogram(self, window: float = 1.0) -> list[int]:
        """Requests in each window since the first."""
        if not self.requests:
            return []
        start = min(one.time for one in self.requests)
        counts = Counter(int((one.time - start) / window) for one in self.requests)
        return [counts[index] for index in range(max(counts) + 1)]

    def lines(self, most: int = 40) -> str:
        shown = [one.line() for one in self.requests[-most:]]
        return "\n".join(([f"… {len(self.requests) - most} before"] if len(self.requests) > most else []) + shown)
