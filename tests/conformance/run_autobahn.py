#!/usr/bin/env python3
"""Run the Autobahn WebSocket test suite (``wstest -m fuzzingclient``) against
one WebSocket echo endpoint and turn its report into one line, one JSON file
and an exit status.

    run_autobahn.py ws://127.0.0.1:9001/echo [--quick] [--json out.json]

The endpoint has to echo every data message back as the same type (text or
binary), unchanged, and must accept messages of at least 16 MiB.

What it needs
-------------
``autobahntestsuite`` is Python 2.7 code, so a Python 2.7 interpreter has to be
on the machine (looked for in $WS_CONFORMANCE_PY27, then ``python2.7`` on PATH,
then pyenv's versions).  The suite and its pinned dependencies are installed
once, with that interpreter's pip, under $WS_CONFORMANCE_CACHE (default:
``~/.cache/ws-conformance``); a later run makes no network access.

Exit status
-----------
0  every selected case ran and none was worse than allowed
1  at least one case FAILED, closed UNCLEAN, used a WRONG CODE, or (without
   --allow-unimplemented) was UNIMPLEMENTED, or (with --strict) NON-STRICT
2  bad usage, or no usable Python 2.7 / suite installation
3  out of time, or fewer cases reported than were selected

Only loopback targets are accepted.
"""

import argparse
import collections
import glob
import hashlib
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None

SUITE = "autobahntestsuite==25.10.1"
# wsaccel builds a C extension and needs a compiler; everything else is pure or
# has a wheel.  The versions are the newest ones that still run on Python 2.7.
PINS = [SUITE]

LAUNCH = (
    "import sys\n"
    "sys.argv = ['wstest'] + sys.argv[1:]\n"
    "from autobahntestsuite.wstest import run\n"
    "run()\n"
)

# Case families of the suite.  The fuzzing client writes its report only when
# its last case is over, so the selection is cut into shards, each a process of
# its own with its own deadline: one hanging case costs one shard, not the run.
FULL_SHARDS = [
    # (name, patterns, excludes, seconds allowed); the long ones first.  On two
    # idle cores a family of 12.* or 13.* takes one to four minutes; the deadlines are for busy ones.
    ("12.2", ["12.2.*"], [], 3600),
    ("12.3", ["12.3.*"], [], 3600),
    ("12.5", ["12.5.*"], [], 3600),
    ("13.2", ["13.2.*"], [], 3600),
    ("13.3", ["13.3.*"], [], 3600),
    ("13.4", ["13.4.*"], [], 3600),
    ("13.5", ["13.5.*"], [], 3600),
    ("13.6", ["13.6.*"], [], 3600),
    ("13.7", ["13.7.*"], [], 3600),
    ("13.1", ["13.1.*"], [], 3600),
    ("12.4", ["12.4.*"], [], 3600),
    ("12.1", ["12.1.*"], [], 3600),
    ("9-limits", ["9.*"], [], 1800),
    ("core", ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"], [], 1200),
]
# Quick: the whole of 1-7 and 10, small and middling sizes of 9 (with the two of
# very many fragments), and for each compression setting the small messages.
QUICK_SHARDS = [
    ("core", ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"], [], 600),
    (
        "mixed",
        ["9.%d.%d" % (a, b) for a in (1, 2) for b in (1, 2, 3)]
        + ["9.3.1", "9.4.1", "9.3.4", "9.4.4", "9.5.4", "9.6.4", "9.7.1", "9.8.1"]
        + ["12.%d.%d" % (a, b) for a in range(1, 6) for b in (1, 2, 3)]
        + ["13.%d.%d" % (a, b) for a in range(1, 8) for b in (1, 2, 3)],
        [],
        600,
    ),
]

GOOD = {"OK", "INFORMATIONAL"}


def die(msg, code=2):
    sys.stderr.write("run_autobahn: %s\n" % msg)
    sys.exit(code)


def is_loopback(host):
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        infos = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return bool(infos) and all(
        ipaddress.ip_address(i[4][0].split("%")[0]).is_loopback for i in infos
    )


def find_python27():
    named = os.environ.get("WS_CONFORMANCE_PY27")
    names = [named] if named else []
    on_path = shutil.which("python2.7")
    if on_path:
        names.append(on_path)
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    names += sorted(glob.glob(os.path.join(root, "versions", "2.7*", "bin", "python")))
    for name in names:
        try:
            out = subprocess.run(
                [name, "-c", "import sys,pip;print(sys.version_info[:2]==(2,7))"],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=30,
            )
        except (OSError, subprocess.TimeoutExpired):
            continue
        if out.stdout.strip() == b"True":
            return name
    return None


def install(py, cache, quiet):
    """Install the suite once under ``cache``; return the directory to import from."""
    tag = hashlib.sha256("\n".join([*PINS, py]).encode()).hexdigest()[:12]
    lib = os.path.join(cache, "suite-" + tag)
    done = os.path.join(lib, ".complete")
    os.makedirs(cache, exist_ok=True)
    lock = open(os.path.join(cache, "lock"), "w")
    if fcntl:
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        if os.path.exists(done):
            return lib
        if not quiet:
            sys.stderr.write("run_autobahn: installing %s (once)\n" % SUITE)
        shutil.rmtree(lib, ignore_errors=True)
        env = dict(os.environ, PIP_DISABLE_PIP_VERSION_CHECK="1", PYTHONWARNINGS="ignore")
        env.pop("PYTHONPATH", None)
        log = os.path.join(cache, "install.log")
        with open(log, "wb") as fh:
            rc = subprocess.run(
                [py, "-m", "pip", "install", "--target", lib, *PINS],
                stdout=fh,
                stderr=subprocess.STDOUT,
                env=env,
                timeout=900,
            ).returncode
        if rc:
            die("pip could not install the suite; see %s" % log)
        # --target leaves out the namespace .pth magic: make 'zope' a plain package.
        ns = os.path.join(lib, "zope", "__init__.py")
        if os.path.isdir(os.path.dirname(ns)) and not os.path.exists(ns):
            open(ns, "w").close()
        check = subprocess.run(
            [py, "-c", "import autobahntestsuite.wstest"],
            env=dict(env, PYTHONPATH=lib),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
        if check.returncode:
            die(
                "the suite was installed but does not import:\n"
                + check.stdout.decode("utf8", "replace")[-2000:]
            )
        open(done, "w").close()
        return lib
    finally:
        lock.close()


def count_selected(py, lib, patterns, excludes):
    """How many cases the suite itself will select for these patterns."""
    code = (
        "import json,sys\n"
        "from autobahntestsuite.case import Cases,CaseCategories,CaseSubCategories,CaseSetname,CaseBasename\n"
        "from autobahntestsuite.caseset import CaseSet\n"
        "s=CaseSet(CaseSetname,CaseBasename,Cases,CaseCategories,CaseSubCategories)\n"
        "a=json.loads(sys.argv[1])\n"
        "print('SEL'+json.dumps(s.parseSpecCases({'cases':a[0],'exclude-cases':a[1]})))\n"
    )
    out = subprocess.run(
        [py, "-c", code, json.dumps([patterns, excludes])],
        env=dict(os.environ, PYTHONPATH=lib, PYTHONWARNINGS="ignore"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=120,
    )
    for line in out.stdout.decode().splitlines():
        if line.startswith("SEL"):
            return json.loads(line[3:])
    die("the suite would not list its cases")


class Shard:
    def __init__(self, name, cases, limit, url, work):
        self.name, self.cases, self.limit = name, cases, limit
        self.dir = os.path.join(work, name)
        os.makedirs(self.dir)
        self.spec = os.path.join(self.dir, "spec.json")
        with open(self.spec, "w") as fh:
            json.dump(
                {
                    "outdir": os.path.join(self.dir, "report"),
                    "options": {"failByDrop": False},
                    "servers": [{"agent": "server", "url": url}],
                    "cases": cases,
                    "exclude-cases": [],
                    "exclude-agent-cases": {},
                },
                fh,
            )
        self.seconds = 0.0
        self.state = "not run"
        self.results = {}

    def run(self, py, lib, deadline):
        left = min(self.limit, deadline - time.monotonic())
        if left < 1:
            self.state = "no time left"
            return
        began = time.monotonic()
        env = dict(os.environ, PYTHONPATH=lib, PYTHONWARNINGS="ignore")
        with open(os.path.join(self.dir, "wstest.log"), "wb") as log:
            proc = subprocess.Popen(
                [py, "-c", LAUNCH, "-m", "fuzzingclient", "-s", self.spec],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.dir,
                env=env,
                start_new_session=True,
            )
            try:
                rc = proc.wait(left)
                self.state = "done" if rc == 0 else "exit %d" % rc
            except subprocess.TimeoutExpired:
                self.state = "timed out"
                os.killpg(proc.pid, signal.SIGKILL)
                proc.wait()
        self.seconds = time.monotonic() - began
        index = os.path.join(self.dir, "report", "index.json")
        if os.path.exists(index):
            with open(index) as fh:
                self.results = json.load(fh).get("server", {})
        elif self.state == "timed out":
            # no report: name at least the case it was stuck in
            with open(os.path.join(self.dir, "wstest.log"), errors="replace") as fh:
                seen = [l.split("case ID ")[1].split()[0] for l in fh if "case ID " in l]
            if seen:
                self.state += " in case " + seen[-1]


def case_key(cid):
    return tuple(int(x) for x in cid.split("."))


def main():
    ap = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    ap.add_argument("url", help="ws:// URL of an echo endpoint on a loopback address")
    ap.add_argument(
        "--quick", action="store_true", help="a selection that ends in well under two minutes"
    )
    ap.add_argument(
        "--cases",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only these cases, such as 5.* or 12.1.3 (repeatable)",
    )
    ap.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave these out (repeatable)",
    )
    ap.add_argument(
        "--timeout",
        type=float,
        default=None,
        help="seconds for everything (default 3600, quick 150)",
    )
    ap.add_argument(
        "--jobs", type=int, default=None, help="shards run at once (default: 2, or 1 on one core)"
    )
    ap.add_argument("--json", metavar="FILE", help="write the summary there")
    ap.add_argument("--keep", metavar="DIR", help="keep the suite's own per-case reports there")
    ap.add_argument("--strict", action="store_true", help="NON-STRICT counts as a failure too")
    ap.add_argument(
        "--allow-unimplemented",
        action="store_true",
        help="a server without permessage-deflate may skip 12.* and 13.*",
    )
    ap.add_argument("--quiet", action="store_true")
    args = ap.parse_args()

    parts = urllib.parse.urlsplit(args.url)
    if parts.scheme != "ws" or not parts.hostname:
        die("need a ws:// URL")
    if not is_loopback(parts.hostname):
        die("only loopback targets are accepted")
    try:
        socket.create_connection((parts.hostname, parts.port or 80), 5).close()
    except OSError as exc:
        die("nothing listens at %s: %s" % (args.url, exc))

    py = find_python27()
    if not py:
        die("no Python 2.7 with pip found; set WS_CONFORMANCE_PY27 to one")
    cache = os.environ.get("WS_CONFORMANCE_CACHE") or os.path.expanduser("~/.cache/ws-conformance")
    lib = install(py, os.path.abspath(cache), args.quiet)

    total_limit = args.timeout or (150 if args.quick else 3600)
    began = time.monotonic()
    deadline = began + total_limit

    plan = QUICK_SHARDS if args.quick else FULL_SHARDS
    if args.cases:
        plan = [("picked", args.cases, [], total_limit)]
    work = args.keep or tempfile.mkdtemp(prefix="ws-conformance-")
    os.makedirs(work, exist_ok=True)
    shards = []
    for name, pats, excl, limit in plan:
        cases = count_selected(py, lib, pats, excl + args.exclude)
        if cases:
            shards.append(Shard(name, cases, limit, args.url, work))
    if not shards:
        die("the selection is empty")

    queue = collections.deque(shards)
    guard = threading.Lock()

    def worker():
        while True:
            with guard:
                if not queue:
                    return
                shard = queue.popleft()
            shard.run(py, lib, deadline)
            if not args.quiet:
                sys.stderr.write(
                    "  %-9s %3d/%3d cases  %6.1f s  %s\n"
                    % (shard.name, len(shard.results), len(shard.cases), shard.seconds, shard.state)
                )

    jobs = args.jobs or (2 if (os.cpu_count() or 1) > 1 else 1)
    threads = [threading.Thread(target=worker) for _ in range(max(1, jobs))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()

    results, missing = {}, []
    for s in shards:
        results.update(s.results)
        missing += [c for c in s.cases if c not in s.results]
    behaviour = collections.Counter(r["behavior"] for r in results.values())
    closing = collections.Counter(r["behaviorClose"] for r in results.values())
    allowed = set(GOOD)
    if not args.strict:
        allowed.add("NON-STRICT")
    if args.allow_unimplemented:
        allowed.add("UNIMPLEMENTED")
    bad = sorted(
        (
            c
            for c, r in results.items()
            if r["behavior"] not in allowed or r["behaviorClose"] not in allowed
        ),
        key=case_key,
    )
    non_strict = sorted(
        (c for c, r in results.items() if r["behavior"] == "NON-STRICT"), key=case_key
    )
    selected = sum(len(s.cases) for s in shards)
    verdict = (
        "PASS" if not bad and not missing else ("INCOMPLETE" if missing and not bad else "FAIL")
    )
    elapsed = time.monotonic() - began
    summary = {
        "suite": SUITE,
        "url": args.url,
        "verdict": verdict,
        "selection": "picked" if args.cases else ("quick" if args.quick else "full"),
        "selected": selected,
        "reported": len(results),
        "seconds": round(elapsed, 1),
        "behaviour": dict(behaviour),
        "close_behaviour": dict(closing),
        "failures": {
            c: {
                "behaviour": results[c]["behavior"],
                "close": results[c]["behaviorClose"],
                "close_code": results[c].get("remoteCloseCode"),
            }
            for c in bad
        },
        "non_strict": non_strict,
        "missing": sorted(missing, key=case_key),
        "shards": [
            {
                "name": s.name,
                "cases": len(s.cases),
                "reported": len(s.results),
                "seconds": round(s.seconds, 1),
                "state": s.state,
            }
            for s in shards
        ],
        "case_ms": {c: results[c]["duration"] for c in sorted(results, key=case_key)},
    }
    if args.json:
        with open(args.json, "w") as fh:
            json.dump(summary, fh, indent=1, sort_keys=True)
            fh.write("\n")
    if not args.keep:
        shutil.rmtree(work, ignore_errors=True)
    order = [
        "OK",
        "NON-STRICT",
        "INFORMATIONAL",
        "UNIMPLEMENTED",
        "WRONG CODE",
        "UNCLEAN",
        "FAILED BY CLIENT",
        "FAILED",
    ]
    counts = ", ".join("%s %d" % (k, behaviour[k]) for k in order if behaviour.get(k))
    bad_close = ", ".join(
        "%s %d" % (k, closing[k])
        for k in order
        if k not in GOOD
        and closing.get(k)
        and not (k == "UNIMPLEMENTED" and args.allow_unimplemented)
    )
    print(
        "autobahn %s: %d/%d cases reported: %s; close: %s; %.0f s%s"
        % (
            verdict,
            len(results),
            selected,
            counts or "none",
            bad_close or "all clean",
            elapsed,
            "; worse than allowed: " + " ".join(bad[:12]) + (" ..." if len(bad) > 12 else "")
            if bad
            else "",
        )
    )
    if bad:
        return 1
    return 3 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
