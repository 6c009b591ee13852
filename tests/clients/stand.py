"""What the programs of the matrix run against: a cluster of real servers with slotway before it, or a plain server.

Everything listens on loopback, on free ports, and ends with the process that started it.
"""

import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from programs import DEFAULT

# How long servers, a cluster or slotway may take to start, in seconds.
PATIENCE = 30


def die_with_parent():
    """The kernel kills this process when its parent is gone, however that came."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def start(command, **options):
    return subprocess.Popen(command, preexec_fn=die_with_parent, stdin=subprocess.DEVNULL, **options)


def free_port(taken):
    """A port that is free together with that of the cluster bus."""
    for port in range(20000 + os.getpid() % 4000 * 5, 55000):
        if port in taken:
            continue
        try:
            for number in (port, port + 10000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        taken.add(port)
        return port
    raise SystemExit("no port is free")


def call(port, *words):
    """The answer of one server to one command, as redis-cli shows it."""
    command = ["redis-cli", "-p", str(port), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE).stdout.strip()


def wait_for(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"waited in vain for {what}")
        time.sleep(0.05)


class Refused(Exception):
    """slotway does not start with a setting."""


class Servers:
    """Plain servers in a folder of their own."""

    def __init__(self, count, *options):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="slotway-matrix-"))
        self.processes = []
        self.ports = []
        taken = set()
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        for _ in range(count):
            port = free_port(taken)
            folder = self.folder / str(port)
            folder.mkdir()
            command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
            log = (folder / "log").open("w")
            self.processes.append(start([*command, *options], stdout=log, stderr=log))
            self.ports.append(port)
        wait_for("the servers", lambda: all(call(port, "PING") == "PONG" for port in self.ports))

    def empty(self):
        """As after the start: no keys, no scripts, no functions, nobody waiting."""
        for port in self.ports:
            for words in (["FLUSHALL"], ["SCRIPT", "FLUSH"], ["FUNCTION", "FLUSH"]):
                call(port, *words)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Plain:
    """One plain server in place of slotway."""

    def __enter__(self):
        self.servers = Servers(1)
        return self

    def __exit__(self, *_):
        self.servers.close()

    def empty(self):
        self.servers.empty()

    def port(self, _setting):
        return self.servers.ports[0]


class Stand:
    """Three primaries, three replicas, and one slotway for each setting that is asked for."""

    def __init__(self, binary):
        self.binary = binary
        self.running = {}

    def __enter__(self):
        # So patient with each other that a busy machine starts no failover.
        self.servers = Servers(6, "--cluster-enabled", "yes", "--cluster-node-timeout", "20000")
        try:
            self.form()
        except BaseException:
            self.servers.close()
            raise
        return self

    def __exit__(self, *_):
        for process, _ in self.running.values():
            process.kill()
            process.wait()
        self.servers.close()

    def form(self):
        nodes = [f"127.0.0.1:{port}" for port in self.servers.ports]
        command = ["redis-cli", "--cluster", "create", *nodes, "--cluster-replicas", "1", "--cluster-yes"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE)
        if done.returncode != 0:
            raise SystemExit(f"the cluster was not formed:\n{done.stdout}{done.stderr}")
        agreed = lambda port: "cluster_state:ok" in call(port, "CLUSTER", "INFO")
        wait_for("the cluster", lambda: all(agreed(port) for port in self.servers.ports))
        linked = lambda port: "role:master" in (info := call(port, "INFO", "replication")) or "link_status:up" in info
        wait_for("the replicas", lambda: all(linked(port) for port in self.servers.ports))

    def empty(self):
        self.servers.empty()

    def port(self, setting):
        """Where slotway with this setting listens."""
        if setting not in self.running:
            self.running[setting] = self.start_proxy(setting)
        process, port = self.running[setting]
        if process.poll() is not None:
            raise SystemExit(f"slotway ended with {process.returncode} under {setting!r}")
        return port

    def start_proxy(self, setting):
        number = len(self.running)
        config = self.servers.folder / f"proxy-{number}.toml"
        log = self.servers.folder / f"proxy-{number}.log"
        config.write_text(setting)
        seeds = ",".join(f"127.0.0.1:{port}" for port in self.servers.ports[:3])
        command = [self.binary, "run", "--seeds", seeds, "--listen", "127.0.0.1:0"]
        command += ["--config", str(config)] if setting != DEFAULT else []
        with log.open("w") as output:
            process = start(command, stdout=output, stderr=output)
        address = lambda: re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text())
        deadline = time.monotonic() + PATIENCE
        while not (found := address()):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Refused(" ".join(log.read_text().split()).replace(str(config), "the configuration"))
            time.sleep(0.05)
        return process, int(found.group(1))
