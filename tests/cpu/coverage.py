#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The coverage page: which layer of tests tried which instruction on which engine, and what excuses a difference.

Reads what a test run left in its BATON_COVERAGE folder (tests/cpu/coverage.h), writes coverage.md and coverage.html
there, and fails if
- a row is proven by no evidence from outside and data/unproven.csv does not say why,
- data/unproven.csv explains a row that is proven,
- cpu/isa/evidence.def names a layer for a row that did not try it (unless the layer did not run at all, or varies),
- an entry of data/ledger.csv excused nothing, although its suite ran.
"""
import argparse
import collections
import csv
import glob
import html
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
EVIDENCE = os.path.join(HERE, "..", "..", "cpu", "isa", "evidence.def")


def table(name):
    """Rows of a data file, below its comment."""
    with open(os.path.join(HERE, "data", name), newline="") as file:
        next(file)
        return list(csv.DictReader(file))


def records(folder):
    """{(mnemonic, engine, layer): cases}."""
    cases = collections.Counter()
    for path in glob.glob(os.path.join(folder, "*.csv")):
        with open(path, newline="") as file:
            for layer, mnemonic, engine, n in csv.reader(file):
                cases[mnemonic, engine, layer] += int(n)
    return cases


def write_evidence(rows, tried):
    """evidence.def with the layers of this run, and those that it had before and that did not run."""
    with open(EVIDENCE) as file:
        lines = file.read().split("\n")
    row = iter(rows)
    for i, line in enumerate(lines):
        if line.startswith("EVIDENCE("):
            lines[i] = '%s, "%s")' % (line.split(",")[0], " ".join(tried[next(row)["mnemonic"]]))
    with open(EVIDENCE, "w") as file:
        file.write("\n".join(lines))


def count(n):
    for unit, size in (("M", 10**6), ("k", 10**3)):
        if n >= 10 * size:
            return "%d%s" % (n / size, unit)
    return str(n) if n else ""


def page(rows, layers, engines, cases, totals, ledger, excused, unproven):
    """The page as ("h", text), ("p", text), ("table", [cells...]) and so on."""
    yield "h", "Coverage of the instruction table"
    yield "p", ("%d rows. Cases that each layer of tests has tried, by engine. Evidence from outside of Baton: %s." %
                (len(rows), ", ".join(l["layer"] for l in layers if l["proves"] == "semantics")))
    yield "table", [["layer", "what", "proves", "rows", "cases"]] + [
        [l["layer"], l["what"], l["proves"], str(sum(1 for r in rows if totals[r["mnemonic"], l["layer"]])),
         count(sum(totals[r["mnemonic"], l["layer"]] for r in rows))] for l in layers]
    yield "h", "Rows that nothing from outside proves"
    yield "table", [["mnemonic", "why"]] + [[u["mnemonic"], u["reason"]] for u in unproven]
    yield "h", "The ledger of differences"
    yield "p", "%d entries; a difference to an outside reference is excused by one of them or fails the test." % len(ledger)
    yield "table", [["suite", "entry", "instructions", "condition", "theirs", "ours", "reason", "third", "used"]] + [
        [e["suite"], e["id"], e["instructions"], e["condition"], e["theirs"], e["ours"], e["reason"], e["third"],
         count(excused[e["suite"] + "/" + e["id"]])] for e in ledger]
    yield "h", "Row by engine by layer"
    yield "table", [["mnemonic", "engine"] + [l["layer"] for l in layers]] + [
        [r["mnemonic"], engine] + [count(cases[r["mnemonic"], engine, l["layer"]]) for l in layers]
        for r in rows for engine in engines]


def markdown(parts):
    for kind, content in parts:
        if kind == "h":
            yield "## %s\n" % content
        elif kind == "p":
            yield content + "\n"
        else:
            for i, cells in enumerate(content):
                yield "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"
                if i == 0:
                    yield "|" + "---|" * len(cells)
            yield ""


def hypertext(parts):
    yield ("<!doctype html><meta charset=utf-8><title>Baton: coverage</title><style>body{font-family:sans-serif}"
           "table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:2px 6px;text-align:left}"
           "th{position:sticky;top:0;background:#eee}</style>")
    for kind, content in parts:
        if kind == "h":
            yield "<h2>%s</h2>" % html.escape(content)
        elif kind == "p":
            yield "<p>%s</p>" % html.escape(content)
        else:
            yield "<table>"
            for i, cells in enumerate(content):
                tag = "th" if i == 0 else "td"
                yield "<tr>" + "".join("<%s>%s</%s>" % (tag, html.escape(c), tag) for c in cells)
            yield "</table>"


def main():
    parser = argparse.ArgumentParser(description="Makes the coverage page of a test run and checks it.")
    parser.add_argument("folder", help="what BATON_COVERAGE named in the run")
    parser.add_argument("--baton", default="build/release/bin/baton", help="the program (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write cpu/isa/evidence.def from this run")
    options = parser.parse_args()

    rows = list(csv.DictReader(subprocess.run([options.baton, "isa", "--csv"], check=True, capture_output=True,
                                              text=True).stdout.splitlines()))
    layers, ledger, unproven = table("layers.csv"), table("ledger.csv"), table("unproven.csv")
    cases = records(options.folder)
    mnemonics = {r["mnemonic"] for r in rows}
    excused = {mnemonic: n for (mnemonic, _, layer), n in cases.items() if layer == "ledger"}
    excused = collections.Counter(excused)
    cases = collections.Counter({key: n for key, n in cases.items() if key[2] != "ledger"})
    totals = collections.Counter()
    for (mnemonic, _, layer), n in cases.items():
        totals[mnemonic, layer] += n
    ran = {layer for _, _, layer in cases}
    engines = sorted({engine for _, engine, _ in cases})
    problems = []

    known = {l["layer"] for l in layers}
    for mnemonic, _, layer in cases:
        if layer not in known:
            problems.append("data/layers.csv has no layer \"%s\"." % layer)
        if mnemonic not in mnemonics:
            problems.append("layer %s tried \"%s\", which the table does not have." % (layer, mnemonic))

    unlisted = 0
    tried, fixed = {}, {l["layer"] for l in layers if l["varies"] == "no"}
    for row in rows:
        name, listed = row["mnemonic"], row["tests"].split()
        now = [l["layer"] for l in layers if totals[name, l["layer"]]]
        tried[name] = [l["layer"] for l in layers if l["layer"] in now or (l["layer"] in listed and (
            l["layer"] not in ran or l["varies"] == "yes"))]
        if options.write:
            continue
        for layer in listed:
            if layer in ran & fixed and layer not in now:
                problems.append("%s: evidence.def names the layer %s, which did not try it." % (name, layer))
        unlisted += bool(set(now) & fixed - set(listed))
    if unlisted:
        print("coverage: %d rows were tried by layers that evidence.def does not name; coverage.py --write adds them" %
              unlisted)
    if options.write:
        write_evidence(rows, tried)

    outside = {l["layer"] for l in layers if l["proves"] == "semantics"}
    proven = {name for name in mnemonics if outside & set(tried[name])}
    explained = {u["mnemonic"] for u in unproven}
    for name in sorted(mnemonics - proven - explained):
        problems.append("%s: no evidence from outside, and data/unproven.csv does not say why." % name)
    for name in sorted(explained & proven):
        problems.append("%s: data/unproven.csv explains it, but it is proven by \"%s\"." % (name, " ".join(tried[name])))
    for name in sorted(explained - mnemonics):
        problems.append("data/unproven.csv explains \"%s\", which the table does not have." % name)

    suites = {e["suite"] for e in ledger if excused[e["suite"] + "/" + e["id"]]}
    for entry in ledger:
        if entry["suite"] in suites and not excused[entry["suite"] + "/" + entry["id"]]:
            problems.append("data/ledger.csv: \"%s\" of %s excused nothing." % (entry["id"], entry["suite"]))

    parts = list(page(rows, layers, engines, cases, totals, ledger, excused, unproven))
    for name, write in (("coverage.md", markdown), ("coverage.html", hypertext)):
        with open(os.path.join(options.folder, name), "w") as file:
            file.write("\n".join(write(parts)) + "\n")
    print("coverage: %d rows, %d proven from outside, %d explained; %d ledger entries; %s" %
          (len(rows), len(proven), len(explained), len(ledger), os.path.join(options.folder, "coverage.html")))
    for problem in sorted(set(problems)):
        print("coverage: " + problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
