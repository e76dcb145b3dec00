// SPDX-License-Identifier: Apache-2.0
//
// Every maximum of the project, in one place. Reaching one is an error that names the object, never a truncation.
#pragma once

enum {
    LIMIT_DOCUMENT_DEPTH = 64,            // nesting of a JSON or YAML document; Kubernetes objects stay below 20
    LIMIT_YAML_NODES = 20 * 1000 * 1000,  // nodes of one YAML stream after alias expansion ("billion laughs")
    LIMIT_NAME = 253,                     // DNS subdomain
    LIMIT_LABEL_KEY = 317,                // 253 prefix + '/' + 63
    LIMIT_LABEL_VALUE = 63,
    LIMIT_POLICY_RULES = 10000,  // rules of one policy and direction
    LIMIT_RULE_PEERS = 50000,    // peers of one rule
    LIMIT_RULE_PORTS = 50000,    // port entries of one rule
    LIMIT_POD_PORTS = 4096,      // named container ports of one pod
    LIMIT_POD_ADDRESSES = 16,
    LIMIT_UID = 127,             // of an object; Kubernetes gives 36
    LIMIT_LEARNT_PODS = 4096,    // pods of this node whose addresses a CNI plugin told
    LIMIT_MULTIPORT = 15,        // slots of one xt_multiport match; a range takes two
    LIMIT_CHAIN_NAME = 28,       // iptables' own limit for a chain name
    LIMIT_SET_NAME = 31,         // IPSET_MAXNAMELEN - 1
    LIMIT_COMMENT = 255,         // XT_MAX_COMMENT_LEN - 1
    LIMIT_DIAGNOSTICS = 10000,   // findings kept of one load; more are counted
    LIMIT_STATE_FILES = 100000,  // files below one --state directory
    LIMIT_STATE_DEPTH = 32,      // directories below one --state directory
    LIMIT_HTTP_LINE = 16 << 20,  // one watch event, as client-go
    LIMIT_HTTP_ERROR_BODY = 64 << 10,
    LIMIT_TOKEN = 64 << 10,
    LIMIT_PEM = 1 << 20,           // certificates or a key in one file
    LIMIT_KUBECONFIG = 4 << 20,    // bytes of one kubeconfig file
    LIMIT_KUBECONFIG_FILES = 64,   // files that $KUBECONFIG names
    LIMIT_EXEC_OUTPUT = 1 << 20,   // what a credential plugin prints
    LIMIT_EXEC_STDERR = 64 << 10,  // kept of what it complains about
    LIMIT_QUERY_LINE = 64 << 10,   // one line of `netpolctl check`
    LIMIT_SET_MEMBERS = 4 << 20,   // members of one ipset
};

#define LIMIT_VERIFY_CLASSES 1000000000ull  // packet classes of one proof: hours
#define LIMIT_DOCUMENT_BYTES (1ul << 30)    // one state file
#define LIMIT_TEXT (2ul << 30)              // any text buffer without a smaller limit of its own
