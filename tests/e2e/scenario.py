# SPDX-License-Identifier: Apache-2.0
"""The list of scenarios. Each gets a cluster of its own, in a sandbox of its own, and raises when something is wrong."""
from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from cluster import Cluster
from provider import Options

MODULES = ("follow", "outages", "credentials", "permissions", "load", "tools", "scale", "bench")


@dataclass(frozen=True)
class Scenario:
    """`seconds`: about how long, the longest is started first. `providers`: where it can run."""

    name: str
    title: str
    run: Callable[[Cluster], None]
    kind: str = "routed"  # how pods are wired
    options: Options = Options()
    agents: bool = True   # netpold is running on the nodes when it begins
    providers: tuple[str, ...] = ("library", "kube")
    on_disk: bool = False  # etcd's data is large
    seconds: int = 20
    scale: bool = False   # of `make e2e-scale` only
    bench: bool = False   # of `make bench` only


_ALL: dict[str, Scenario] = {}


def scenario(name: str, title: str, **settings: object) -> Callable[[Callable[[Cluster], None]],
                                                                  Callable[[Cluster], None]]:
    """Decorates the function of a scenario."""
    def register(run: Callable[[Cluster], None]) -> Callable[[Cluster], None]:
        assert name not in _ALL, name
        _ALL[name] = Scenario(name, title, run, **settings)  # type: ignore[arg-type]
        return run
    return register


def every() -> dict[str, Scenario]:
    """All scenarios by name, in the order of the modules."""
    for module in MODULES:
        importlib.import_module(f"scenarios_{module}")
    return dict(_ALL)
