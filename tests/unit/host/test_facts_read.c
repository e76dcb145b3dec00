// SPDX-License-Identifier: Apache-2.0
//
// Reads the kernel, in a network namespace of its own; `ip` arranges it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/facts_read.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"

enum { SKIP = 77, MAX_WORDS = 16 };

extern char **environ;

static int run(const char *line)
{
    char copy[256];
    char *words[MAX_WORDS + 1] = {0};
    (void)snprintf(copy, sizeof(copy), "%s", line);
    char *rest = copy;
    for (size_t n = 0; n < MAX_WORDS && (words[n] = strsep(&rest, " ")); n++) {
    }
    pid_t child = 0;
    int status = -1;
    if (posix_spawnp(&child, words[0], NULL, NULL, words, environ) != 0 || waitpid(child, &status, 0) < 0) {
        return -1;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static void arrange(const char *line)
{
    if (run(line) < 0) {
        fail_msg("%s", line);
    }
}

static struct facts *read_facts(void)
{
    struct facts *facts = NULL;
    struct err err = {0};
    if (facts_read(&facts, &err) < 0) {
        fail_msg("facts_read: %s", err.msg);
    }
    return facts;
}

static bool has_own(const struct facts *facts, const char *text)
{
    struct address address;
    assert_true(address_parse(text, &address));
    return facts_is_own_address(facts, &address);
}

static const char *device_of(const struct facts *facts, const char *text)
{
    struct address address;
    assert_true(address_parse(text, &address));
    const struct facts_interface *interface = facts_pod_interface(facts, &address);
    return interface ? interface->name : "";
}

// "PREFIX DEVICE" of each, of IPv4, with spaces between.
static void assert_routes(const struct facts_route *routes, size_t n, const char *want)
{
    BUF_CLEANUP struct buf text = {0};
    for (size_t i = 0; i < n; i++) {
        char prefix[PREFIX_TEXT];
        if (routes[i].prefix.address.family == FAMILY_V4) {
            buf_printf(&text, "%s %s ", prefix_format(&routes[i].prefix, prefix), routes[i].device);
        }
    }
    assert_string_equal(text.data, want);
}

static void test_read(void **state)
{
    (void)state;
    arrange("ip link add cni0 type bridge");
    arrange("ip link add vetha type veth peer name vethb");
    arrange("ip link add vethc type veth peer name fifteen-chars-x");
    arrange("ip link set vetha master cni0");
    arrange("ip link set lo up");
    for (size_t i = 0; i < 5; i++) {
        static const char *const names[] = {"cni0", "vetha", "vethb", "vethc", "fifteen-chars-x"};
        char line[64];
        // No link-local addresses: duplicate address detection would speak up at any moment of the tests below.
        (void)snprintf(line, sizeof(line), "ip link set %s addrgenmode none", names[i]);
        arrange(line);
        (void)snprintf(line, sizeof(line), "ip link set %s up", names[i]);
        arrange(line);
    }
    arrange("ip addr add 10.0.1.254/24 dev cni0");
    arrange("ip addr add 10.9.9.1 peer 10.9.9.2/32 dev vethc");
    arrange("ip -6 addr add fd00:1::fe/64 dev cni0 nodad");
    arrange("ip route add 10.0.1.77/32 dev vethc");
    arrange("ip route add 10.2.0.0/16 via 10.0.1.1 metric 5");
    arrange("ip route add 10.2.0.0/16 via 10.9.9.2 metric 4");
    arrange("ip route add 10.3.0.0/16 nexthop via 10.0.1.1 nexthop via 10.9.9.2");
    arrange("ip route add blackhole 10.4.0.0/16");
    arrange("ip route add 10.5.0.0/16 dev vethc table 100");
    arrange("ip route add default via 10.0.1.1");
    arrange("ip -6 route add fd00:2::/64 via fd00:1::1");

    CLEANUP(facts_free) struct facts *facts = read_facts();
    const struct facts_interface *bridge = facts_interface(facts, "cni0");
    const struct facts_interface *port = facts_interface(facts, "vetha");
    assert_non_null(bridge);
    assert_non_null(port);
    assert_string_equal(bridge->kind, "bridge");
    assert_string_equal(bridge->master, "");
    assert_string_equal(port->kind, "veth");
    assert_string_equal(port->master, "cni0");
    assert_non_null(facts_interface(facts, "fifteen-chars-x"));
    assert_string_equal(facts_interface(facts, "lo")->kind, "");
    assert_false(facts->ipvs);

    assert_true(has_own(facts, "10.0.1.254"));
    assert_true(has_own(facts, "127.0.0.1"));
    assert_true(has_own(facts, "fd00:1::fe"));
    assert_true(has_own(facts, "10.9.9.1"));
    assert_false(has_own(facts, "10.9.9.2"));

    assert_string_equal(device_of(facts, "10.0.1.5"), "cni0");
    assert_string_equal(device_of(facts, "10.0.1.77"), "vethc");
    assert_string_equal(device_of(facts, "10.2.0.1"), "vethc");
    assert_string_equal(device_of(facts, "10.3.0.1"), "cni0");
    assert_string_equal(device_of(facts, "10.4.0.1"), "");
    assert_string_equal(device_of(facts, "10.5.0.1"), "");
    assert_string_equal(device_of(facts, "8.8.8.8"), "");
    assert_string_equal(device_of(facts, "fd00:1::5"), "cni0");
    assert_string_equal(device_of(facts, "fd00:2::5"), "cni0");

    CLEANUP(facts_free) struct facts *again = read_facts();
    assert_true(facts_equal(facts, again));

    // Table local: not what interfaces tell, nor the loopback's own.
    assert_int_equal(facts->n_local, 0);
    arrange("ip route add local 10.88.0.0/24 dev lo");
    arrange("ip route add local 10.89.0.7/32 dev cni0 table local");
    arrange("ip addr add 10.90.0.1/24 brd 10.90.0.99 dev vethc");
    CLEANUP(facts_free) struct facts *taken = read_facts();
    assert_routes(taken->local, taken->n_local, "10.88.0.0/24 lo 10.89.0.7/32 cni0 ");
    assert_routes(taken->broadcast, taken->n_broadcast, "10.0.1.255/32 cni0 10.90.0.99/32 vethc 10.90.0.255/32 vethc ");
    arrange("ip addr del 10.90.0.1/24 dev vethc");
    arrange("ip link add kube-ipvs0 type bridge");
    arrange("ip addr add 10.96.0.1/32 dev kube-ipvs0");
    CLEANUP(facts_free) struct facts *ipvs = read_facts();
    assert_true(ipvs->ipvs);
    assert_false(has_own(ipvs, "10.96.0.1"));
    assert_false(facts_equal(facts, ipvs));
    arrange("ip link del kube-ipvs0");
}

static void test_switches(void **state)
{
    (void)state;
    static const char path[] = "/proc/sys/net/bridge/bridge-nf-call-ip6tables";
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        // /proc is that of the first namespace here, or br_netfilter is absent: then it must read as off or as it is.
        CLEANUP(facts_free) struct facts *facts = read_facts();
        assert_int_not_equal(access(path, F_OK) < 0 && facts->bridge_nf[FAMILY_V6] != FACTS_OFF, true);
        return;
    }
    static const enum facts_switch want[] = {FACTS_OFF, FACTS_ON};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(pwrite(fd, i ? "1" : "0", 1, 0), 1);
        CLEANUP(facts_free) struct facts *facts = read_facts();
        assert_int_equal(facts->bridge_nf[FAMILY_V6], want[i]);
    }
    (void)close(fd);
}

// Other changes of the kernel's own may follow a change: wait until it is quiet.
static bool heard(int fd)
{
    bool relevant = false;
    for (uint64_t until = num_now_ms() + 100; num_now_ms() < until;) {
        relevant = facts_monitor_drain(fd) || relevant;
    }
    return relevant;
}

// Interfaces go on talking for a moment after they came up.
static void quieten(int fd)
{
    for (unsigned i = 0; i < 100 && heard(fd); i++) {
    }
}

static void test_monitor(void **state)
{
    (void)state;
    int fd = -1;
    struct err err = {0};
    assert_int_equal(facts_monitor_open(&fd, &err), 0);
    quieten(fd);
    static const char *const relevant[] = {
        "ip route add 10.77.0.0/16 dev vethc", "ip route del 10.77.0.0/16 dev vethc",
        "ip addr add 10.77.0.1/32 dev vethc",  "ip addr del 10.77.0.1/32 dev vethc",
        "ip link add br7 type bridge",         "ip link del br7",
        "ip -6 route add fd77::/64 dev cni0",  "ip route add local 10.78.0.0/16 dev lo",
    };
    for (size_t i = 0; i < ARRAY_SIZE(relevant); i++) {
        arrange(relevant[i]);
        if (!heard(fd)) {
            fail_msg("not heard: %s", relevant[i]);
        }
    }
    quieten(fd);
    arrange("ip route add 10.77.0.0/16 dev vethc table 100");
    assert_false(heard(fd));
    (void)close(fd);
}

static void test_many_routes(void **state)
{
    (void)state;
    char path[] = "/tmp/facts-routes-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    for (unsigned i = 0; i < 10000; i++) {
        (void)fprintf(file, "route add 11.%u.%u.0/24 dev vethc\n", i >> 8, i & 255);
    }
    assert_int_equal(fclose(file), 0);
    char line[64];
    (void)snprintf(line, sizeof(line), "ip -batch %s", path);
    arrange(line);
    (void)unlink(path);
    uint64_t begun = num_now_ms();
    CLEANUP(facts_free) struct facts *facts = read_facts();
    print_message("read %zu routes: %llu ms\n", facts->n_routes, (unsigned long long)(num_now_ms() - begun));
    assert_true(facts->n_routes > 10000);
    assert_string_equal(device_of(facts, "11.39.15.7"), "vethc");
    assert_string_equal(device_of(facts, "11.39.16.7"), "");
}

static int write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t done = write(fd, text, strlen(text));
    (void)close(fd);
    return done == (ssize_t)strlen(text) ? 0 : -1;
}

// Without root: root of a user namespace of its own, so that `ip` has rights in the network namespace.
static int enter_as_user(void)
{
    char map[32];
    (void)snprintf(map, sizeof(map), "0 %u 1", (unsigned)getuid());
    return unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ? -1 : write_text("/proc/self/uid_map", map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_switches),
        cmocka_unit_test(test_monitor),
        cmocka_unit_test(test_many_routes),
    };
    if (unshare(CLONE_NEWNET) < 0 && enter_as_user() < 0) {
        (void)fprintf(stderr, "SKIPPED: a network namespace cannot be made here\n");
        return SKIP;
    }
    if (run("ip link add v0 type veth peer name v1") < 0 || run("ip link add b0 type bridge") < 0) {
        (void)fprintf(stderr, "SKIPPED: no `ip`, or no veth and bridge devices here\n");
        return SKIP;
    }
    (void)run("ip link del v0");
    (void)run("ip link del b0");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
