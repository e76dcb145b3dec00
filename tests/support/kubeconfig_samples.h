// SPDX-License-Identifier: Apache-2.0
//
// Texts for tests of kubeconfigs and credentials: PEM that nobody but our own checks takes for some, and kubeconfigs.
#pragma once

#define PEM_CA "-----BEGIN CERTIFICATE-----\nY2E=\n-----END CERTIFICATE-----\n"
#define PEM_CERT "-----BEGIN CERTIFICATE-----\nY2VydA==\n-----END CERTIFICATE-----\n"
#define PEM_KEY "-----BEGIN PRIVATE KEY-----\na2V5\n-----END PRIVATE KEY-----\n"
// base64 of the above
#define DATA_CA "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClkyRT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUtLS0tLQo="
#define DATA_CERT "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tClkyVnlkQT09Ci0tLS0tRU5EIENFUlRJRklDQVRFLS0tLS0K"
#define DATA_KEY "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0tCmEyVjUKLS0tLS1FTkQgUFJJVkFURSBLRVktLS0tLQo="

// A kubeconfig with one context, of the cluster and the user with these fields.
#define ONE(cluster, user)                                                                                             \
    "current-context: a\ncontexts:\n- name: a\n  context: {cluster: a, user: a}\nclusters:\n- name: a\n  cluster: "    \
    "{" cluster "}\nusers:\n- name: a\n  user: {" user "}\n"
#define SERVER "server: 'https://x'"
