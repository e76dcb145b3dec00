#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of fault rows in docs/TESTING.md: `rows.py --check` says how it differs from the tests, `--write` writes it.

Every row of the list of faults has a test, every test is in the table, every line of the table is a test that exists and
is run. Names stand in the tables of tests/faults/test_rows_*.c.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/TESTING.md"
BEGIN, END = "<!-- fault-rows:begin -->", "<!-- fault-rows:end -->"
ROWS = {
    1: "connection refused; no answer to SYN",
    2: "accepted, then no TLS bytes",
    3: "wrong CA, expired certificate, wrong name, TLS alert",
    4: "headers late, or never",
    5: "FIN without the final chunk, RST in mid-line, close_notify at a boundary",
    6: "a clean end in mid-line",
    7: "an established connection black-holed",
    8: "acknowledgements but no data",
    9: "a clean end at timeoutSeconds, a bookmark before it",
    10: "endless very short watches",
    11: "GOAWAY with live streams, a request racing it",
    12: "any split of the bytes: single bytes, many events at once, cut characters",
    13: "CRLF, blank lines, NUL",
    14: "an object of 1.5 MiB, a line above 16 MiB, invalid JSON",
    15: "ERROR 410 inside of 200",
    16: "HTTP 410, and 410 again on the relist",
    17: "the continue token expires on page k, with and without a new one",
    18: "an empty page with continue, limit ignored, items null, no remainingItemCount",
    19: "deleted, recreated, relabelled while disconnected",
    20: "only bookmarks for hours, then a short history; no bookmarks ever",
    21: "DELETED because the selector stopped matching",
    22: "repeated and unknown objects; versions of initial events not monotonic",
    23: "429 as text with Retry-After",
    24: "429 as JSON; without, negative, dated, huge Retry-After",
    25: "shutdown: 503, 429, watches end at once or one by one",
    26: "500 as text and as Status, 502 and 503 as HTML",
    27: "504 ResourceVersionTooLarge, 504 timeout",
    28: "a list cut in mid-body, a slow drip",
    29: "401 once, forever; the token file empty or missing",
    30: "403 on one kind, later granted; 403 at the next watch",
    31: "a CRD absent, installed later, removed again",
    32: "400 field label, 422 list options, 406",
    33: "HTML with 200, 302",
    34: "WatchList: 422, ignored, cut before its end, without items, gzip members",
    35: "a stale replica: old lists, lower versions",
    36: "versions go backwards",
    37: "a slow client",
    38: "any order of kinds; one that never syncs",
    39: "certificates rotate and expire",
    40: "5,000 clients against a model of API Priority and Fairness",
    41: "Warning headers, unknown event types and fields, escapes",
    42: "IPv6 only, jumps of the wall clock, suspend",
}


def tests():
    """Name → file, in the order of names; faults of the names themselves."""
    found, faults = {}, []
    for path in sorted((ROOT / "tests/faults").glob("test_rows_*.c")):
        text = path.read_text()
        table = re.search(r"^static const struct fault_row rows\[\] = \{\n(.*?)^\};", text, re.S | re.M)
        if not table:
            faults.append(f"{path.name}: no table of rows")
            continue
        used = set()
        for name, function in re.findall(r'ROW(?:_AS_IS)?\("([^"]*)",\s*(\w+)\)', table.group(1)):
            if not re.fullmatch(r"\d\d-[a-z0-9][a-z0-9-]*", name) or int(name[:2]) not in ROWS:
                faults.append(f"{path.name}: {name}: not NN-variant with a row from 1 to {max(ROWS)}")
            if name in found:
                faults.append(f"{path.name}: {name} is in {found[name]} too")
            if function in used:
                faults.append(f"{path.name}: {name}: {function} is another row's already")
            used.add(function)
            found[name] = path.name
        for function in re.findall(r"^static void (row_\w+)\(struct faults \*f\)$", text, re.M):
            if function not in used:
                faults.append(f"{path.name}: {function} is in no row")
    for number in ROWS:
        if not any(name.startswith(f"{number:02d}-") for name in found):
            faults.append(f"row {number} ({ROWS[number]}) has no test")
    return dict(sorted(found.items())), faults


def table(found):
    lines = ["| # | What goes wrong | Variant | Test |", "|--:|---|---|---|"]
    for name, path in found.items():
        number = int(name[:2])
        lines.append(f"| {number} | {ROWS[number]} | `{name[3:]}` | `tests/faults/{path}` `{name}` |")
    return "\n".join(lines)


def main():
    if sys.argv[1:] not in (["--check"], ["--write"]):
        sys.exit(__doc__)
    found, faults = tests()
    text = PAGE.read_text() if PAGE.exists() else ""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        faults.append(f"docs/TESTING.md: no {BEGIN} … {END}")
    elif sys.argv[1] == "--write":
        PAGE.write_text(text[: begin + len(BEGIN)] + "\n" + table(found) + "\n" + text[end:])
    else:
        have = set(re.findall(r"^\| \d+ \|.*`(\d\d-[^`]*)` \|$", text[begin:end], re.M))
        faults += [f"docs/TESTING.md: {name} is missing (make fault-rows)" for name in found if name not in have]
        faults += [f"docs/TESTING.md: {name} is no test (make fault-rows)" for name in sorted(have - set(found))]
        if not faults and text[begin + len(BEGIN) : end].strip() != table(found):
            faults.append("docs/TESTING.md: the table of fault rows is not what the tests say (make fault-rows)")
    for fault in faults:
        print(f"  {fault}")
    sys.exit(1 if faults else 0)


main()
