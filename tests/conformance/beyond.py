# SPDX-License-Identifier: Apache-2.0
"""What upstream's suite does not cover (reference, end of 6.1): one module for each subject."""
from __future__ import annotations

import beyond_blocks
import beyond_flows
import beyond_forged
import beyond_linklocal
import beyond_names
import beyond_nodes
import beyond_objects
import beyond_pods
import beyond_ports
import beyond_protocols
import beyond_services
from model import Case, Facts

MODULES = (beyond_ports, beyond_names, beyond_protocols, beyond_nodes, beyond_services, beyond_blocks, beyond_pods,
           beyond_objects, beyond_flows, beyond_forged, beyond_linklocal)


def cases(facts: Facts) -> list[Case]:
    return [case for module in MODULES for case in module.cases(facts)]
