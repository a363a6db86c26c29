#!/usr/bin/env python3
"""Runs `ccbt info --json` over a corpus of torrents and magnet links and compares every fact.

    corpora.py PATH-TO-CCBT [CORPORA-FOLDER]

The folder (or $CCBT_CORPORA) holds manifest.json, torrents/ and vectors/magnet.json. Checked for every entry: the
verdict, the facts that the manifest does not skip, exit status (0, or 1 with one line on standard error), at most
256 MiB of memory and 2 s of time. Prints the failures and, last, "N passed, N failed".
"""
import json
import os
import subprocess
import sys
import tempfile
import time

MEMORY_KIB = 256 << 10
SECONDS = 2.0


def run(program, argument):
    """(status, stdout, stderr, seconds, peak KiB) of one `info --json`."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        pid = subprocess.Popen([program, "info", "--json", "--", argument], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        _, status, usage = os.wait4(pid.pid, 0)
        seconds = time.monotonic() - start
        pid.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        return pid.returncode, out.read(), err.read(), seconds, usage.ru_maxrss


def plain(url):
    return url.replace("%20", " ").rstrip("/")


def unsafe(path):
    if path.startswith("/"):
        return True
    return any(c in ("", ".", "..") or "\0" in c or len(c.encode()) > 255 for c in path.split("/"))


def hash_faults(found, facts):
    skip = facts.get("skip") or []
    for key in ("infoHashV1", "infoHashV2"):
        if key in facts and key not in skip and found.get(key) != facts[key]:
            yield f"{key} is {found.get(key)}, not {facts[key]}"


def fact_faults(found, facts):
    skip = set(facts.get("skip") or [])
    yield from hash_faults(found, facts)
    for key in ("name", "totalSize", "pieceLength", "pieceCount", "fileCount", "private", "comment", "createdBy",
                "creationDate", "source"):
        if key == "creationDate" and not isinstance(facts.get(key), int):
            continue  # the corpus records what stood there, which is no date
        if key in facts and key not in skip and found.get(key) != facts[key]:
            yield f"{key} is {found.get(key)!r}, not {facts[key]!r}"
    if facts.get("files") is not None and "paths" not in skip:
        got = sorted((f["path"], f["length"]) for f in found["files"])
        want = sorted((f["path"], f["length"]) for f in facts["files"])
        if got != want:
            yield f"files are {got[:5]}, not {want[:5]}"
        got = sorted((f["path"], f.get("attributes", "")) for f in found["files"] if f.get("attributes"))
        want = sorted((f["path"], f["attr"]) for f in facts["files"] if f.get("attr"))
        if [(p, sorted(a)) for p, a in got] != [(p, sorted(a)) for p, a in want]:
            yield f"attributes are {got}, not {want}"
    if facts.get("trackers") is not None and "trackers" not in skip:
        optional = set(facts.get("trackersOptional") or [])
        got = [sorted(u for u in tier if u not in optional) for tier in found["trackers"]]
        if [t for t in got if t] != [sorted(t) for t in facts["trackers"]]:
            yield f"trackers are {found['trackers']}, not {facts['trackers']}"
    if facts.get("webSeeds") is not None and "webSeeds" not in skip:
        if sorted(map(plain, found["webSeeds"])) != sorted(map(plain, facts["webSeeds"])):
            yield f"web seeds are {found['webSeeds']}, not {facts['webSeeds']}"


def refusal_faults(status, out, err):
    if status != 1:
        yield f"exit status {status}"
    if out:
        yield f"standard output {out[:80]!r}"
    if err.count(b"\n") != 1 or not err.endswith(b"\n") or not err.strip():
        yield f"standard error is not one line: {err[:200]!r}"
    if any(b < 32 for b in err[:-1]):
        yield f"control character on standard error: {err[:200]!r}"


def limit_faults(seconds, kib):
    if seconds > SECONDS:
        yield f"took {seconds:.2f} s"
    if kib > MEMORY_KIB:
        yield f"took {kib >> 10} MiB"


def judge(entry, status, out, err):
    verdict, facts = entry["verdict"], entry.get("facts") or {}
    if verdict == "reject" or status != 0:
        yield from refusal_faults(status, out, err)
        if verdict == "accept":
            yield f"refused: {err.decode(errors='replace').strip()}"
        return
    if err:
        yield f"standard error {err[:200]!r}"
    try:
        found = json.loads(out)
    except ValueError as why:
        yield f"no JSON: {why}"
        return
    if out.count(b"\n") != 1:
        yield "not one line of JSON"
    yield from (fact_faults if verdict == "accept" else hash_faults)(found, facts)
    for file in found["files"]:
        if unsafe(file["path"]):
            yield f"unsafe path {file['path']!r}"
    if len({f["path"] for f in found["files"]}) != len(found["files"]):
        yield "a path stands twice"


def judge_magnet(case, status, out, err):
    if case["verdict"] != "accept":
        yield from refusal_faults(status, out, err)
        return
    if status != 0:
        yield f"refused: {err.decode(errors='replace').strip()}"
        return
    found, want = json.loads(out), case["expect"]
    got = {
        "infoHashV1": found["infoHashV1"], "infoHashV2": found["infoHashV2"], "name": found["name"] or "",
        "trackers": [u for tier in found["trackers"] for u in tier], "webSeeds": found["webSeeds"], "peers": found["peers"],
        "selectOnly": found["selectOnly"],
    }
    for key, value in got.items():
        if value != want.get(key):
            yield f"{key} is {value!r}, not {want.get(key)!r}"


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    program = sys.argv[1]
    folder = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("CCBT_CORPORA", "")
    if not os.path.exists(os.path.join(folder, "manifest.json")):
        print("corpora.py: no manifest.json in", repr(folder), file=sys.stderr)
        sys.exit(2)
    manifest = json.load(open(os.path.join(folder, "manifest.json")))
    passed = failed = 0
    slowest, largest = (0.0, ""), (0, "")

    def count(label, faults):
        nonlocal passed, failed
        faults = list(faults)
        if faults:
            failed += 1
            print(f"FAIL {label}: {'; '.join(faults)}"[:2000])
        else:
            passed += 1

    with tempfile.TemporaryDirectory() as scratch:
        for entry in manifest["entries"]:
            make = entry.get("generate")
            if make:
                path = os.path.join(scratch, "generated.torrent")
                with open(path, "wb") as f:
                    f.write(bytes.fromhex(make["prefix"]) + bytes.fromhex(make["repeat"]) * make["count"] + bytes.fromhex(make["suffix"]))
            else:
                path = os.path.join(folder, entry["file"])
            status, out, err, seconds, kib = run(program, path)
            slowest, largest = max(slowest, (seconds, entry["id"])), max(largest, (kib, entry["id"]))
            count(f"{entry['id']} ({entry['verdict']})", list(judge(entry, status, out, err)) + list(limit_faults(seconds, kib)))
    for case in json.load(open(os.path.join(folder, "vectors", "magnet.json")))["cases"]:
        # An empty argument names no link at all; the shortest that is one stands for it.
        uri = case["uri"] or "magnet:"
        status, out, err, seconds, kib = run(program, uri)
        count(f"magnet {case['id']}", list(judge_magnet(case, status, out, err)) + list(limit_faults(seconds, kib)))
    print(f"slowest {slowest[0]:.2f} s ({slowest[1]}), largest {largest[0] >> 10} MiB ({largest[1]})")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
