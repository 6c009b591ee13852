"""The compatibility matrix: runs every program of `programs.py` against slotway before a real cluster, and writes
what it found as a page.

usage: matrix.py --clients DIR --examples DIR [--binary FILE] [--direct] [--only WORD,...] [--write FILE] [--verbose]

`--direct` puts a plain server where slotway would be: the programs check themselves. A program is run under each of
its settings in turn until all its features work. The exit code is 1 if a program fails, or does what the list says
that it cannot do.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

from page import label, page
from programs import DEFAULT, PROGRAMS
from stand import Plain, Refused, Stand
from versions import Versions

HERE = pathlib.Path(__file__).parent
# How long one program may take, in seconds.
LIMIT = 240


class Run:
    """One program under one setting: what it printed, feature by feature."""

    def __init__(self, program, setting, output, code):
        self.program, self.setting, self.code = program, setting, code
        self.lines = output.splitlines()
        self.ok = [line[3:] for line in self.lines if line.startswith("ok ")]
        failed = (line[5:].partition(": ") for line in self.lines if line.startswith("fail "))
        self.failed = {name: why for name, _, why in failed}
        if code != 0 and not self.failed or not self.ok and not self.failed:
            self.failed["the whole program"] = (self.lines or ["it said nothing"])[-1]

    def unexpected(self):
        return {name: why for name, why in self.failed.items() if name not in self.program.cannot}

    def works(self):
        return not self.unexpected()

    def stale(self):
        """Features that work although the list says that they cannot."""
        return [name for name in self.program.cannot if name in self.ok]


def environment(clients):
    env = dict(os.environ)
    env["PYTHONPATH"] = os.pathsep.join([str(clients / "python"), str(HERE)])
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["NODE_PATH"] = str(clients / "node" / "node_modules")
    env["PATH"] = os.pathsep.join([str(clients / "python" / "bin"), env["PATH"]])
    env["RUBYOPT"] = "-W0"
    return env


def run(program, setting, port, places):
    command = [word.format(port=port, here=HERE, examples=places.examples.resolve()) for word in program.command]
    # A session of its own, so that workers which a program leaves behind end with it.
    output = tempfile.TemporaryFile()
    process = subprocess.Popen(
        command, env=environment(places.clients.resolve()), cwd=HERE, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
    )  # fmt: skip
    late = ""
    try:
        process.wait(LIMIT)
    except subprocess.TimeoutExpired:
        late = f"\nfail the whole program: not done after {LIMIT} s\n"
    finally:
        end_session(process)
        process.wait()
    output.seek(0)
    return Run(program, setting, output.read().decode(errors="replace") + late, process.returncode)


def end_session(process):
    try:
        os.killpg(process.pid, 9)
    except ProcessLookupError:
        pass


def try_settings(program, stand, args):
    """Runs the program until a setting lets everything work; all runs, the last one being the one that counts."""
    runs = []
    for setting in [DEFAULT] if isinstance(stand, Plain) else program.settings:
        stand.empty()
        try:
            result = run(program, setting, stand.port(setting), args)
        except Refused as why:
            result = Run(program, setting, f"fail the whole program: {why}\n", 1)
        runs.append(result)
        title = " ".join((setting or "default").split())
        print(f"{label(program)} [{title}]: {len(result.ok)} ok, {len(result.failed)} failed", flush=True)
        for name, why in result.failed.items():
            print(f"    {name}: {why}", flush=True)
        if args.verbose or result.unexpected():
            print("".join(f"    | {line}\n" for line in result.lines if not line.startswith(("ok ", "fail "))), end="")
        if result.works():
            break
    return runs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=pathlib.Path, required=True)
    parser.add_argument("--examples", type=pathlib.Path, required=True)
    parser.add_argument("--binary")
    parser.add_argument("--direct", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--write", type=pathlib.Path)
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    words = [word.lower() for word in args.only.split(",") if word]
    chosen = [p for p in PROGRAMS if not words or any(word in f"{p.name} {p.variant}".lower() for word in words)]
    results = []
    with Plain() if args.direct else Stand(args.binary) as stand:
        for program in chosen:
            results.append(try_settings(program, stand, args))
    failed = [label(runs[-1].program) for runs in results if not runs[-1].works()]
    stale = [] if args.direct else [(label(r[-1].program), name) for r in results for name in r[-1].stale()]
    for name in failed:
        print(f"failed: {name}")
    for name, what in stale:
        print(f"{name}: {what} works now; take it from the list of what cannot")
    if args.write:
        args.write.write_text(page(results, Versions(args.clients)))
    return int(bool(failed or stale))


sys.exit(main())
