# SPDX-License-Identifier: Apache-2.0
# netpold. `make help` lists the targets. Everything built goes to $(BUILD); nothing is written elsewhere.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all
MAKEFLAGS += --no-builtin-rules
# The toolchain of the environment is used when it names one; make's own default "cc" is not.
ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
BUILD ?= build
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
BINDIR ?= $(PREFIX)/bin
MANDIR ?= $(PREFIX)/share/man
COMPDIR ?= $(PREFIX)/share/bash-completion/completions
CNIDIR ?= $(PREFIX)/lib/cni
UNITDIR ?= $(PREFIX)/lib/systemd/system
VERSION := $(shell cat VERSION)
COMMIT := $(shell git rev-parse --short=10 HEAD 2>/dev/null || echo unknown)
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2);)

WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Werror
CFLAGS ?= -O2 -g
CPPFLAGS += -D_GNU_SOURCE -D_FORTIFY_SOURCE=$(if $(SAN),0,2) -Isrc -Iinclude
ALL_CFLAGS = -std=gnu11 $(WARN) $(CFLAGS) -fno-common -fstack-protector-strong -fPIE $(SAN_FLAGS)
ALL_LDFLAGS = $(LDFLAGS) -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(SAN_FLAGS)
ifneq ($(SAN),)
SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

# Modules and their order come from the layer law. $(BUILD)/layers.mk: for each module, the modules it may stand on.
include $(BUILD)/layers.mk
$(BUILD)/layers.mk: src/layers scripts/layers.awk
	@mkdir -p $(@D)
	@awk -f scripts/layers.awk src/layers > $@

LIBS_json := -lcjson
LIBS_yaml := -lyaml
LIBS_http := -lcurl
LIBS_netlink := -lmnl -pthread
LIBS_sets :=
LIBS_xtables := -lip4tc -lip6tc
LIBS_web := -lmicrohttpd

srcs = $(sort $(wildcard src/$(1)/*.c src/$(1)/*/*.c))
objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
libs_of = $(foreach m,$(1),$(LIBS_$(m)))
archives = $(foreach m,$(1),$(BUILD)/lib/$(m).a)
# Link line: everything a module stands on, in a group, then the libraries behind its doors.
link = $(CC) $(ALL_LDFLAGS) -o $@ $(1) -Wl,--start-group $(call archives,$(2)) $(3) -Wl,--end-group $(filter-out $(SKIP_LIBS),$(call libs_of,$(2)))

PROGRAMS := $(patsubst cmd/%/,%,$(wildcard cmd/*/))
all: $(addprefix $(BUILD)/,$(PROGRAMS)) ## build netpold, netpolctl and netpold-cni into build/

# What a build depends on beside files: the compiler and its flags, and which objects an archive holds. Each stands in a
# stamp that is rewritten only when it changes.
stamp = $(shell mkdir -p $(dir $(1)); echo '$(2)' | cmp -s - $(1) || echo '$(2)' > $(1))
$(call stamp,$(BUILD)/flags.stamp,$(CC) $(CPPFLAGS) $(ALL_CFLAGS))

$(BUILD)/obj/%.o: %.c $(BUILD)/flags.stamp
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
# The version stands in one object, remade when the commit changes and only then.
$(BUILD)/version.stamp: force
	@mkdir -p $(@D)
	@echo '$(VERSION) $(COMMIT)' | cmp -s - $@ || echo '$(VERSION) $(COMMIT)' > $@
$(BUILD)/obj/src/base/version.o: $(BUILD)/version.stamp
$(BUILD)/obj/src/base/version.o: CPPFLAGS += -DNETPOL_VERSION='"$(VERSION)"' -DNETPOL_COMMIT='"$(COMMIT)"'

define module_rules
$(call stamp,$(BUILD)/lib/$(1).stamp,$(call objs,$(call srcs,$(1))))
$(BUILD)/lib/$(1).a: $(call objs,$(call srcs,$(1))) $(BUILD)/lib/$(1).stamp
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(call say,AR,$$@)$$(AR) rcsD $$@ $$(filter %.o,$$^)
endef
$(foreach m,$(MODULES),$(eval $(call module_rules,$(m))))

# The CNI plugin runs on the host, where the libraries of our image may not be: it stands on little, and is static unless
# a sanitizer or the environment (STATIC_CNI=) says otherwise.
STATIC_CNI ?= $(if $(SAN),,1)
CLOSURE_netpold-cni := base model json agent
$(BUILD)/netpold-cni: SKIP_LIBS := $(LIBS_json)
$(BUILD)/netpold-cni: ALL_LDFLAGS = $(LDFLAGS) $(if $(STATIC_CNI),-static-pie,-pie) -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed $(SAN_FLAGS)
define program_rules
$(BUILD)/$(1): $(call objs,$(sort $(wildcard cmd/$(1)/*.c))) $(call archives,$(or $(CLOSURE_$(1)),$(CLOSURE_cmd)))
	$$(call say,LD,$$@)$$(call link,$$(filter %.o,$$^),$(or $(CLOSURE_$(1)),$(CLOSURE_cmd)))
endef
$(foreach p,$(PROGRAMS),$(eval $(call program_rules,$(p))))

# ---- tests ---------------------------------------------------------------------------------------------------------
# tests/unit/<module>/test_*.c links with that module and what it stands on; tests/property and tests/kernel helpers with
# everything below cmd. tests/support/*.c is one archive that each of them may use; its test server speaks TLS and HTTP/2.
LIBS_SUPPORT := -lssl -lcrypto -lnghttp2
SUPPORT := $(BUILD)/lib/test-support.a
$(SUPPORT): $(call objs,$(sort $(wildcard tests/support/*.c)))
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcsD $@ $(filter %.o,$^)
$(BUILD)/obj/tests/%.o: CPPFLAGS += -Itests

UNIT := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/*/test_*.c)))
PROPERTY := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/property/test_*.c)))
TOOLS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/tools/*.c)))
unit_module = $(word 4,$(subst /, ,$(patsubst $(BUILD)/%,x/%,$(1))))
define unit_rules
$(1): $(patsubst $(BUILD)/tests/%,$(BUILD)/obj/tests/%.o,$(1)) $(SUPPORT) $(call archives,$(CLOSURE_$(2)))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)$$(call link,$$(filter %.o,$$^),$(CLOSURE_$(2)),$(SUPPORT)) -lcmocka -lm $(LIBS_SUPPORT)
endef
# Fault tests have a clock of their own (tests/faults/clock.c), which no other program may get: an archive beside.
FAULTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/faults/test_*.c)) tests/faults/soak.c)
FAULT_SUPPORT := $(BUILD)/lib/test-faults.a
$(FAULT_SUPPORT): $(call objs,$(sort $(filter-out tests/faults/test_%.c tests/faults/soak.c,$(wildcard tests/faults/*.c))))
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcsD $@ $(filter %.o,$^)
define fault_rules
$(1): $(patsubst $(BUILD)/tests/%,$(BUILD)/obj/tests/%.o,$(1)) $(FAULT_SUPPORT) $(SUPPORT) $(call archives,$(CLOSURE_source))
	@mkdir -p $$(@D)
	$$(call say,LD,$$@)$$(call link,$$(filter %.o,$$^),$(CLOSURE_source),$(FAULT_SUPPORT) $(SUPPORT)) -lcmocka -lz -lm $(LIBS_SUPPORT)
endef
$(foreach t,$(FAULTS),$(eval $(call fault_rules,$(t))))
$(foreach t,$(UNIT),$(eval $(call unit_rules,$(t),$(call unit_module,$(t)))))
$(foreach t,$(PROPERTY) $(TOOLS),$(eval $(call unit_rules,$(t),cmd)))

tests-build: $(UNIT) $(PROPERTY) $(TOOLS) $(FAULTS)
test: deps ## everything that proves: lint-free build, unit, golden, property, sanitizers, kernel
	$(Q)$(MAKE) --no-print-directory test-run
test-run: all tests-build
	$(Q)BUILD=$(BUILD) tests/run all
check: tests-build all ## unit, golden and property tests of the present build only (fast)
	$(Q)BUILD=$(BUILD) tests/run quick
check-kernel: tests-build all ## kernel tests with real packets only
	$(Q)BUILD=$(BUILD) tests/run kernel

# Real packets and daemons, every case in both families on routed and bridged pods; of the generated cases half on bridged
# ones. SEED=N repeats a half, CASES='NAME…' runs single cases (`tests/conformance/run --list`).
conformance: deps ## the conformance suite; writes build/conformance.xml and build/conformance.md
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/tools/netprobe
	$(Q)BUILD=$(BUILD) tests/conformance/run --half $(if $(SEED),--seed $(SEED)) --junit $(BUILD)/conformance.xml \
		--markdown $(BUILD)/conformance.md $(CASES)

mutation: deps ## deliberate bugs in evaluator and compiler, each of which a test must catch
	$(Q)BUILD=$(BUILD) tests/mutation/run

# A real API server with a real etcd, netpold on three nodes, real packets: `tests/e2e/run --list`, SCENARIOS='NAME…'. Where that
# cannot be had it says so and is done; with REQUIRE_E2E=1 that is a failure.
e2e: deps ## netpold against a real API server (docs/TESTING.md, "Real cluster")
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/tools/netprobe
	$(Q)BUILD=$(BUILD) tests/e2e/run $(SCENARIOS) || { rc=$$?; [ $$rc -eq 77 ] || exit $$rc; }
e2e-scale: deps ## the same with 100,000 pods; writes the table of docs/benchmarks.md to build/scale.md
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/tools/netprobe
	$(Q)BUILD=$(BUILD) tests/e2e/run --scale --markdown $(BUILD)/scale.md || { rc=$$?; [ $$rc -eq 77 ] || exit $$rc; }

# Ratios and times of docs/benchmarks.md. E2E_ROUNDS=N: changes of each kind.
bench: deps ## from the API server to the packet: labels, policies, a burst, start (110 pods on the node)
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/tools/netprobe $(BUILD)/tests/tools/stream
	$(Q)BUILD=$(BUILD) tests/e2e/run --bench --markdown $(BUILD)/bench.md || { rc=$$?; [ $$rc -eq 77 ] || exit $$rc; }
	$(Q)if [ -f $(BUILD)/bench.md ]; then cat $(BUILD)/bench.md; fi

# Random faults against a random workload, then the same state on both sides; SEED=N repeats a run.
SOAK_SECONDS ?= 600
soak: deps ## the API source against random faults for SOAK_SECONDS (600)
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/faults/soak
	$(Q)$(BUILD)/tests/faults/soak $(SOAK_SECONDS)
fault-rows: ## write the table of fault rows in docs/TESTING.md from the names of the tests
	$(Q)tests/faults/rows.py --write

# What a large cluster costs a client of the API server, as a table.
$(BUILD)/tests/bench/list: $(BUILD)/obj/tests/bench/list.o $(SUPPORT) $(call archives,$(CLOSURE_source))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(call link,$(filter %.o,$^),$(CLOSURE_source),$(SUPPORT)) $(LIBS_SUPPORT)
$(BUILD)/tests/bench/engine: $(BUILD)/obj/tests/bench/engine.o $(call archives,$(CLOSURE_policy))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(call link,$(filter %.o,$^),$(CLOSURE_policy))
bench-engine: deps ## what a change costs the compiler, against a compile from scratch, up to 150,000 pods
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/bench/engine
	$(Q)$(BUILD)/tests/bench/engine
$(BUILD)/tests/bench/revoke: $(BUILD)/obj/tests/bench/revoke.o $(SUPPORT) $(call archives,$(CLOSURE_flow))
	@mkdir -p $(@D)
	$(call say,LD,$@)$(call link,$(filter %.o,$^),$(CLOSURE_flow),$(SUPPORT))
bench-revoke: deps ## what cutting one pod's connections costs among 100,000 and 250,000
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/bench/revoke
	$(Q)$(BUILD)/tests/bench/revoke || { rc=$$?; [ $$rc -eq 77 ] || exit $$rc; }
bench-source: deps ## CPU and memory of listing and watching 150,000 pods
	$(Q)$(MAKE) --no-print-directory $(BUILD)/tests/bench/list $(BUILD)/tests/tools/list_server
	$(Q)$(BUILD)/tests/bench/list $(BUILD)/tests/tools/list_server

# libFuzzer needs clang; the corpora in tests/fuzz/corpus are seeds, what a run finds stays below $(BUILD).
FUZZ_SECONDS ?= 20
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
fuzz: deps ## fuzz every parser for FUZZ_SECONDS (20) each
	$(Q)$(MAKE) --no-print-directory CC=clang SAN=1 BUILD=$(BUILD)/fuzz fuzz-build \
		SAN_FLAGS='-fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fno-omit-frame-pointer'
	$(Q)printf '%s\n' $(FUZZERS) | xargs -P "$$(nproc)" -I{} sh -c 'f={}; mkdir -p $(BUILD)/fuzz/corpus/$$f; \
		echo "  FUZZ    $$f, $(FUZZ_SECONDS) s"; \
		$(BUILD)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
			-artifact_prefix=$(BUILD)/fuzz/ $(BUILD)/fuzz/corpus/$$f tests/fuzz/corpus/$${f#fuzz_} 2>$(BUILD)/fuzz/$$f.log \
			|| { tail -40 $(BUILD)/fuzz/$$f.log; exit 1; }; \
		echo "  $$f: $$(grep -E number_of_executed_units $(BUILD)/fuzz/$$f.log)"'
fuzz-build: $(addprefix $(BUILD)/,$(FUZZERS))
$(BUILD)/fuzz_object_stream: $(call objs,$(addprefix src/source/,keep.c json_marks.c object_stream.c object_walk.c))
$(BUILD)/fuzz_cni: $(call objs,$(addprefix cmd/netpold-cni/,config.c result.c) $(addprefix src/agent/,cni_book.c cni_request.c))
$(addprefix $(BUILD)/,$(FUZZERS)): $(BUILD)/%: $(BUILD)/obj/tests/fuzz/%.o $(call archives,$(CLOSURE_decode))
	$(call say,LD,$@)$(call link,$(filter %.o,$^),$(CLOSURE_decode)) -fsanitize=fuzzer

# ---- quality -------------------------------------------------------------------------------------------------------
C_FILES = $(shell git ls-files '*.c' '*.h' 2>/dev/null)
format: ## rewrite the sources in the one format
	$(Q)clang-format -i $(C_FILES)
lint: deps ## layer law, format, banned calls, headers, shell scripts, man pages, clang build
	$(Q)BUILD=$(BUILD) tests/lint/run

# ---- use -----------------------------------------------------------------------------------------------------------
demo: deps ## enforce real policies on real packets between network namespaces, show it, clean up
	$(Q)$(MAKE) --no-print-directory all $(BUILD)/tests/tools/netprobe
	$(Q)BUILD=$(BUILD) scripts/demo
deps: ## install what is missing (apt; says what dnf and apk systems need)
	$(Q)scripts/deps
install: all ## install to $(DESTDIR)$(PREFIX)
	install -Dm755 $(BUILD)/netpold $(DESTDIR)$(SBINDIR)/netpold
	install -Dm755 $(BUILD)/netpolctl $(DESTDIR)$(BINDIR)/netpolctl
	ln -sf netpolctl $(DESTDIR)$(BINDIR)/kubectl-netpol
	install -Dm755 $(BUILD)/netpold-cni $(DESTDIR)$(CNIDIR)/netpold-cni
	for page in docs/man/*.[1-8]; do install -Dm644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done
	install -d $(DESTDIR)$(UNITDIR)
	for unit in netpold-once.service netpold-once.timer; do sed 's#/usr/local/sbin/#$(SBINDIR)/#' manifests/systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit; done
	install -Dm644 scripts/completion.bash $(DESTDIR)$(COMPDIR)/netpolctl
	ln -sf netpolctl $(DESTDIR)$(COMPDIR)/netpold
clean: ## remove build/
	rm -rf build
help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

force:
.PHONY: all bench bench-engine bench-revoke bench-source conformance mutation e2e e2e-scale soak fault-rows fuzz fuzz-build tests-build test test-run check check-kernel format lint demo deps install clean
.PHONY: help force
-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)
