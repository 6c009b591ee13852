"""redis-cli with its special modes.

usage: redis_cli.py PORT
"""

import os
import pty
import re
import signal
import subprocess
import tempfile
import time

from check import PORT, expect, feature, main

CLI = ["redis-cli", "-p", str(PORT)]


def cli(*words, given=None):
    done = subprocess.run([*CLI, *words], input=given, capture_output=True, text=True, timeout=15)
    return (done.stdout + done.stderr).strip()


def watched(*words, seconds=1.5):
    """What a mode that goes on by itself has shown on a terminal until it is interrupted."""
    ours, terminal = pty.openpty()
    process = subprocess.Popen([*CLI, *words], stdin=terminal, stdout=terminal, stderr=terminal)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    os.set_blocking(ours, False)
    shown = os.read(ours, 100_000).decode().replace("\r\n", "\n")
    os.close(ours)
    os.close(terminal)
    return shown


def has(text, word):
    if not re.search(word, text):
        raise AssertionError(f"expected {word!r} in {' '.join(text.split())!r}")


@feature
def commands():
    expect(cli("PING"), "PONG")
    expect(cli("SET", "a", "1"), "OK")
    expect(cli("INCR", "a"), "2")
    expect(cli("-3", "HSET", "h", "f", "v"), "1")
    expect(cli("-3", "--no-raw", "HGETALL", "h"), '1# "f" => "v"')
    expect(cli("-n", "0", "GET", "a"), "2")
    expect(cli("--json", "HGETALL", "h"), '{"f":"v"}')
    has(cli("LPUSH", "a", "x"), "WRONGTYPE")


@feature
def commands_on_standard_input():
    expect(cli(given="SET b 1\nINCR b\nGET b\n").split(), ["OK", "2", "2"])
    expect(cli(given='MULTI\nSET "{m}1" 1\nINCR "{m}1"\nEXEC\n').split(), ["OK", "QUEUED", "QUEUED", "OK", "2"])
    expect(cli("-r", "3", "-i", "0.01", "INCR", "c").split(), ["1", "2", "3"])


@feature
def the_last_argument_from_standard_input():
    expect(cli("-x", "SET", "x", given="from stdin"), "OK")
    expect(cli("GET", "x"), "from stdin")
    expect(cli("-X", "tag", "SET", "x", "tag", given="again"), "OK")


@feature
def a_dump_moved_by_pipe():
    done = subprocess.run([*CLI, "--no-raw", "DUMP", "a"], capture_output=True, timeout=15)
    expect(done.returncode, 0)
    shell = f"redis-cli -p {PORT} -D '' DUMP x | redis-cli -p {PORT} -x RESTORE y 0"
    expect(subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=15).stdout.strip(), "OK")
    expect(cli("GET", "y"), "again")


@feature
def scan():
    names = [f"scan:{n}" for n in range(500)]
    cli("MSET", *[word for name in names for word in (name, "1")])
    expect(sorted(set(cli("--scan", "--pattern", "scan:*").split())), sorted(names))


@feature
def big_keys():
    cli("RPUSH", "long-list", *map(str, range(300)))
    text = cli("--bigkeys")
    has(text, r'Biggest\s+list found "?.?"?long-list"?.? has 300 items')
    has(text, r"Sampled \d+ keys in the keyspace")


@feature
def memory_keys():
    text = cli("--memkeys")
    has(text, r'Biggest\s+list found .*long-list.* has \d+ bytes')


@feature
def hot_keys():
    # A server without an LFU policy says so; redis-cli reports it.
    has(cli("--hotkeys"), r"LFU maxmemory policy is not|hot key found")


@feature
def stat():
    text = watched("--stat", "-i", "0.2")
    has(text, r"keys\s+mem\s+clients\s+blocked\s+requests\s+connections")
    has(text, r"\n\d{3,}\s+[\d.]+[BKMG]\s+\d+\s+\d+\s+\d+ \(\+\d+\)\s+\d+")


@feature
def latency():
    has(watched("--latency"), r"min: \d+, max: \d+, avg: [\d.]+ \(\d+ samples\)")
    has(watched("--latency-history", "-i", "1"), r"min: \d+, max: \d+, avg: ")


@feature
def pipe():
    keys = [f"pipe:{n}" for n in range(5000)]
    commands = "".join(f"*3\r\n$3\r\nSET\r\n${len(key)}\r\n{key}\r\n$1\r\nv\r\n" for key in keys).encode()
    done = subprocess.run([*CLI, "--pipe"], input=commands, capture_output=True, timeout=15)
    has((done.stdout + done.stderr).decode(), "errors: 0, replies: 5000")
    expect(cli("EXISTS", "pipe:0", "pipe:4999"), "2")


@feature
def a_script_from_a_file():
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write("return {KEYS[1], ARGV[1], redis.call('incrby', KEYS[1], ARGV[1])}")
        file.flush()
        expect(cli("--eval", file.name, "script", ",", "7").split(), ["script", "7", "7"])


@feature
def subscribe():
    for three in ([], ["-3"]):
        process = subprocess.Popen(
            [*CLI, *three, "PSUBSCRIBE", "we*", "news"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        time.sleep(0.4)
        expect(cli("PUBLISH", "weather", "rain"), "1")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=5)
        has(output, r"pmessage[\s\S]*we\*[\s\S]*weather[\s\S]*rain")


@feature
def monitor():
    process = subprocess.Popen([*CLI, "MONITOR"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    time.sleep(0.4)
    cli("SET", "monitored", "1")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=5)
    has(output, r'^OK\n[\s\S]*\d+\.\d{6} \[0 \S+\] "SET" "monitored" "1"')


@feature
def interactive_help():
    # The interactive mode asks for COMMAND DOCS; a terminal shows it, a pipe only that the answer is right.
    has(cli("COMMAND", "DOCS", "get"), "summary")
    has(cli("COMMAND", "COUNT"), r"^\d{3}")
    has(cli("-3", "HELLO", "3"), r"proto 3")


@feature
def load_by_redis_benchmark():
    command = ["redis-benchmark", "-p", str(PORT), "-n", "2000", "-c", "10", "-P", "4", "-q", "-t"]
    command.append("set,get,incr,lpush,sadd,hset,zadd,mset")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    has(done.stdout, r"SET: [\d.]+ requests per second[\s\S]*MSET")
    expect("rror" in done.stdout + done.stderr.replace("WARNING", ""), False)


main()
