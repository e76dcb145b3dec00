// SPDX-License-Identifier: Apache-2.0
//
// networkpolicy-v1.md section 7, case by case: each question goes to the evaluator as a query and as packets, and to
// the simulator on the compiled rules (support/build.h). Not among the cases, because they are about time or the
// kernel: 54 (fragments), 66 (restart), 67 (relist), 69 (startup race); test_event_order has 64.
#pragma once

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include "support/build.h"

// Every case starts from the usual cluster with its own documents on top.
extern struct state *cases_world;
void cases_given(const char *yaml);
int cases_teardown(void **unused);
#define CASE(name) cmocka_unit_test_teardown(name, cases_teardown)

#define OK(from, to, protocol, port) expect_allow(cases_world, from, to, protocol, port)
#define X(from, to, protocol, port) expect_deny(cases_world, from, to, protocol, port)

// A pod of the usual cluster with other labels, ports or status.
#define POD(ns, name, labels, spec, status)                                                                            \
    "---\n{apiVersion: v1, kind: Pod, metadata: {namespace: " ns ", name: " name ", labels: " labels "}, spec: " spec  \
    ", status: " status "}\n"

// A hostNetwork pod on n2 with labels that policies ask for.
#define HOST_POD                                                                                                       \
    POD("y", "host", "{pod: b}", "{nodeName: n2, hostNetwork: true, containers: []}",                                  \
        "{phase: Running, podIP: 192.168.0.2}")
