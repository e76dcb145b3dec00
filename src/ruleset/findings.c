// SPDX-License-Identifier: Apache-2.0
#include "ruleset/findings.h"

#include <stdio.h>

void findings_free(struct findings *findings)
{
    vec_free(findings);
    findings->more = 0;
}

int findings_add(struct findings *findings, const char *where, const char *what, struct err *err)
{
    if (!findings) {
        return 0;
    }
    if (findings->n >= FINDINGS_MAX) {
        findings->more++;
        return 0;
    }
    struct finding finding;
    (void)snprintf(finding.where, sizeof(finding.where), "%s", where);
    (void)snprintf(finding.what, sizeof(finding.what), "%s", what);
    return vec_push(findings, finding) < 0 ? err_oom(err) : 0;
}
