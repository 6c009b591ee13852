"""The synchronous clients of redis-py and valkey-py: what their users do, through one endpoint.

usage: python_sync.py PORT redis|valkey PROTOCOL
"""

import importlib
import sys
import threading
import time

from check import PORT, URL, expect, expect_error, feature, main

library = importlib.import_module(sys.argv[2])
client_class = getattr(library, "Valkey", None) or library.Redis
protocol = int(sys.argv[3])
options = dict(host="127.0.0.1", port=PORT, protocol=protocol, decode_responses=True)
client = client_class(**options)
ADD = "return redis.call('incrby', KEYS[1], ARGV[1])"


@feature
def connect():
    expect(client.ping(), True)
    url = URL.replace("redis:", f"{library.__name__}:")
    with client_class.from_url(f"{url}/0?protocol={protocol}&client_name=matrix", decode_responses=True) as named:
        expect(named.client_getname(), "matrix")
        expect(named.client_info()["name"], "matrix")
    expect(client.echo("hello"), "hello")
    expect(isinstance(client.client_id(), int), True)


@feature
def server_information():
    info = client.info()
    expect(info["redis_mode"], "standalone")
    expect(info["role"], "master")
    expect(int(info["redis_version"].split(".")[0]) >= 7, True)
    expect(client.config_get("maxmemory-policy"), {"maxmemory-policy": "noeviction"})
    expect(client.command_count() > 200, True)
    expect(len(client.time()), 2)
    expect(any(c["id"] == str(client.client_id()) for c in client.client_list()), True)


@feature
def strings():
    expect(client.set("s", "one"), True)
    expect(client.set("s", "two", nx=True), None)
    expect(client.set("s", "two", get=True), "one")
    expect(client.append("s", "!"), 4)
    expect(client.getrange("s", 0, 1), "tw")
    expect(client.setrange("s", 3, "?"), 4)
    expect(client.strlen("s"), 4)
    expect(client.getdel("s"), "two?")
    expect(client.get("s"), None)
    expect(client.setnx("s", "x"), True)
    expect(client.incr("n", 5), 5)
    expect(client.decr("n"), 4)
    expect(client.incrbyfloat("n", 0.5), 4.5)
    client.set("bytes", bytes(range(256)))
    with client_class(**{**options, "decode_responses": False}) as raw:
        expect(raw.get("bytes"), bytes(range(256)))
    large = "x" * 5_000_000
    expect(client.set("large", large), True)
    expect(client.get("large") == large, True)
    expect_error(library.ResponseError, "WRONGTYPE", client.lpush, "s", "x")


@feature
def expiry():
    client.set("e", "1", ex=100)
    expect(90 < client.ttl("e") <= 100, True)
    expect(client.expire("e", 50, lt=True), True)
    expect(client.persist("e"), True)
    expect(client.pttl("e"), -1)
    expect(client.psetex("e", 30, "2"), True)
    time.sleep(0.1)
    expect(client.get("e"), None)
    client.set("e", "1")
    expect(client.getex("e", px=90_000), "1")
    expect(client.expiretime("e") > time.time(), True)


@feature
def bitmaps_hyperloglog_and_geo():
    client.setbit("bits", 7, 1)
    expect(client.bitcount("bits"), 1)
    expect(client.bitpos("bits", 1), 7)
    expect(client.bitfield("bits").set("u8", 8, 255).get("u8", 0).execute(), [0, 1])
    expect(client.bitop("AND", "{bits}to", "bits", "{bits}none"), 2)
    expect(client.pfadd("hll", "a", "b", "c"), 1)
    expect(client.pfcount("hll"), 3)
    client.geoadd("geo", (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"))
    found = client.geosearch("geo", longitude=15, latitude=37, radius=200, unit="km", sort="ASC")
    expect(found, ["Catania", "Palermo"])
    expect(round(client.geodist("geo", "Palermo", "Catania", unit="km")), 166)


@feature
def hashes():
    expect(client.hset("h", mapping={"a": 1, "b": 2}), 2)
    expect(client.hgetall("h"), {"a": "1", "b": "2"})
    expect(client.hmget("h", "a", "none"), ["1", None])
    expect(client.hincrby("h", "a", 9), 10)
    expect(client.hkeys("h"), ["a", "b"])
    expect(client.hexists("h", "b"), True)
    expect(client.hdel("h", "b"), 1)
    expect(client.hrandfield("h"), "a")


@feature
def lists():
    expect(client.rpush("l", *"abcdef"), 6)
    expect(client.lrange("l", 0, -1), list("abcdef"))
    expect(client.lpop("l", 2), ["a", "b"])
    expect(client.linsert("l", "before", "d", "x"), 5)
    expect(client.lrem("l", 0, "x"), 1)
    expect(client.lpos("l", "e"), 2)
    expect(client.ltrim("l", 0, 1), True)
    expect(client.lmove("l", "{l}2", "LEFT", "RIGHT"), "c")
    expect(client.lmpop(2, "{l}none", "l", direction="LEFT"), ["l", ["d"]])
    expect(client.sort("{l}2", alpha=True), ["c"])


@feature
def sets():
    expect(client.sadd("{s}1", *"abc"), 3)
    client.sadd("{s}2", *"bcd")
    expect(set(client.sinter("{s}1", "{s}2")), {"b", "c"})
    expect(client.sunionstore("{s}3", "{s}1", "{s}2"), 4)
    expect(client.smismember("{s}1", "a", "z"), [1, 0])
    expect(client.smove("{s}1", "{s}2", "a"), True)
    expect(client.sintercard(2, ["{s}1", "{s}2"]), 2)
    expect(set(client.spop("{s}1", 5)), {"b", "c"})
    expect(client.scard("{s}2"), 4)


@feature
def sorted_sets():
    expect(client.zadd("z", {"a": 1, "b": 2.5, "c": 3}), 3)
    expect([tuple(pair) for pair in client.zrange("z", 0, -1, withscores=True)], [("a", 1.0), ("b", 2.5), ("c", 3.0)])
    expect(client.zscore("z", "b"), 2.5)
    expect(client.zincrby("z", 2, "a"), 3.0)
    expect(client.zrangebyscore("z", "-inf", "(3"), ["b"])
    expect(client.zrank("z", "c"), 2)
    expect(client.zmscore("z", ["a", "none"]), [3.0, None])
    expect("b" in str(client.zpopmin("z")), True)
    expect(client.zunionstore("{z}2", {"z": 2}), 2)
    expect(client.zrangestore("{z}3", "{z}2", 0, 0), 1)


def fields(reply):
    """Entries of XREAD, which are a map in RESP3 and a list in RESP2."""
    pairs = reply.items() if isinstance(reply, dict) else reply
    return {name: entries[0] if entries and isinstance(entries[0], list) else entries for name, entries in pairs}


@feature
def streams():
    first = client.xadd("st", {"n": 1})
    second = client.xadd("st", {"n": 2}, maxlen=100, approximate=True)
    expect(client.xlen("st"), 2)
    expect(client.xrange("st"), [(first, {"n": "1"}), (second, {"n": "2"})])
    expect(fields(client.xread({"st": 0}, count=1)), {"st": [(first, {"n": "1"})]})
    expect(client.xgroup_create("st", "g", id="0"), True)
    expect(fields(client.xreadgroup("g", "me", {"st": ">"}, count=1)), {"st": [(first, {"n": "1"})]})
    expect(client.xpending("st", "g")["pending"], 1)
    expect(client.xautoclaim("st", "g", "you", min_idle_time=0)[1], [(first, {"n": "1"})])
    expect(client.xack("st", "g", first), 1)
    expect(client.xinfo_groups("st")[0]["name"], "g")
    expect(client.xinfo_stream("st")["length"], 2)
    expect(client.xtrim("st", maxlen=1, approximate=False), 1)


@feature
def many_keys_over_slots():
    names = [f"many:{n}" for n in range(100)]
    expect(client.mset({name: name for name in names}), True)
    expect(client.mget(names + ["none"]), names + [None])
    expect(client.exists(*names, "none"), 100)
    expect(client.touch(*names), 100)
    expect(sorted(client.keys("many:*")), sorted(names))
    expect(client.randomkey() is not None, True)
    expect(client.dbsize() >= 100, True)
    expect(client.delete(*names[:50]), 50)
    expect(client.unlink(*names), 50)


@feature
def keys_of_one_slot():
    client.set("{k}1", "v")
    expect(client.rename("{k}1", "{k}2"), True)
    expect(client.copy("{k}2", "{k}3"), True)
    expect(client.msetnx({"{k}4": 1, "{k}2": 1}), False)
    expect(client.type("{k}3"), "string")
    expect(client.object("encoding", "{k}3"), "embstr")
    expect(client.memory_usage("{k}3") > 0, True)
    with client_class(**{**options, "decode_responses": False}) as raw:
        raw.restore("{k}5", 0, raw.dump("{k}3"))
    expect(client.get("{k}5"), "v")


@feature
def pipeline():
    with client.pipeline(transaction=False) as pipe:
        for n in range(2000):
            pipe.incrby(f"p:{n % 100}", n)
        pipe.lpush("p:0", "x")
        pipe.get("p:1")
        replies = pipe.execute(raise_on_error=False)
    expect(len(replies), 2002)
    expect("WRONGTYPE" in str(replies[2000]), True)
    expect(replies[2001], str(sum(range(1, 2000, 100))))


@feature
def transaction_in_one_slot():
    with client.pipeline() as pipe:
        replies = pipe.set("{t}a", 1).incr("{t}a").rpush("{t}l", "x", "y").lrange("{t}l", 0, -1).execute()
    expect(replies, [True, 2, 2, ["x", "y"]])
    with client.pipeline() as pipe:
        expect_error(library.ResponseError, "WRONGTYPE", pipe.incr("{t}a").lpush("{t}a", "x").execute)
    expect(client.get("{t}a"), "3")


@feature
def watch():
    def add(pipe):
        current = int(pipe.get("{w}a") or 0)
        pipe.multi()
        pipe.set("{w}a", current + 1)

    for _ in range(5):
        client.transaction(add, "{w}a")
    expect(client.get("{w}a"), "5")
    with client.pipeline() as pipe:
        pipe.watch("{w}a", "{w}b")
        client.set("{w}b", "changed")
        pipe.multi()
        pipe.set("{w}a", "lost")
        expect_error(library.WatchError, "", pipe.execute)
    expect(client.get("{w}a"), "5")


@feature
def transaction_over_slots():
    with client.pipeline() as pipe:
        for n in range(20):
            pipe.set(f"over:{n}", n)
        for n in range(20):
            pipe.get(f"over:{n}")
        replies = pipe.execute()
    expect(replies, [True] * 20 + [str(n) for n in range(20)])


@feature
def scripts():
    script = client.register_script(ADD)
    expect(script(keys=["lua"], args=[7]), 7)
    expect(script(keys=["lua"], args=[7]), 14)
    client.script_flush()
    expect(script(keys=["lua"], args=[7]), 21)
    expect_error(library.exceptions.NoScriptError, "", client.evalsha, "0" * 40, 1, "lua")
    sha = client.script_load(ADD)
    expect(client.script_exists(sha, "0" * 40), [True, False])
    expect(client.evalsha(sha, 1, "lua", 1), 22)
    expect(client.eval("return {1, 'two', false}", 0), [1, "two", None])
    with client.pipeline(transaction=False) as pipe:
        for n in range(30):
            script(keys=[f"lua:{n}"], args=[n], client=pipe)
        expect(pipe.execute(), list(range(30)))


@feature
def functions():
    body = ADD.replace("KEYS", "keys").replace("ARGV", "args")
    code = f"#!lua name=matrix\nredis.register_function('matrix_add', function(keys, args) {body} end)"
    expect(client.function_load(code, replace=True), "matrix")
    expect([client.fcall("matrix_add", 1, f"fn:{n}", n) for n in range(20)], list(range(20)))
    client.function_delete("matrix")
    expect_error(library.ResponseError, "Function not found", client.fcall, "matrix_add", 1, "fn", 1)


@feature
def blocking_pops():
    expect(client.blpop(["{b}none"], timeout=0.1), None)

    def later(call, *args):
        threading.Timer(0.2, lambda: call(*args)).start()

    later(client.rpush, "{b}2", "x")
    expect(tuple(client.blpop(["{b}1", "{b}2"], timeout=5)), ("{b}2", "x"))
    later(client.rpush, "{b}2", "y")
    expect(client.blmove("{b}2", "{b}3", 5), "y")
    later(client.zadd, "{b}z", {"m": 1})
    expect(tuple(client.bzpopmin("{b}z", 5)), ("{b}z", "m", 1.0))
    later(client.xadd, "{b}st", {"n": 1})
    expect(list(fields(client.xread({"{b}st": "$"}, block=5000))), ["{b}st"])


def next_message(pubsub, kind):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        message = pubsub.get_message(timeout=0.5)
        if message and message["type"] == kind:
            return message["channel"], message["data"]
    raise TimeoutError(f"no {kind}")


@feature
def publish_and_subscribe():
    with client.pubsub() as pubsub:
        pubsub.subscribe("news", "sport")
        pubsub.psubscribe("we*")
        expect(next_message(pubsub, "psubscribe"), ("we*", 3))
        expect(client.pubsub_numsub("news"), [("news", 1)])
        expect(client.pubsub_numpat(), 1)
        expect(sorted(client.pubsub_channels()), ["news", "sport"])
        expect(client.publish("news", "hello"), 1)
        expect(next_message(pubsub, "message"), ("news", "hello"))
        client.publish("weather", "rain")
        expect(next_message(pubsub, "pmessage"), ("weather", "rain"))
        pubsub.unsubscribe("news")
        expect(next_message(pubsub, "unsubscribe"), ("news", 2))
        pubsub.ping()
        pubsub.unsubscribe()
        pubsub.punsubscribe()
    got = []
    listener = client.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(thread=lambda message: got.append(message["data"]))
    thread = listener.run_in_thread(sleep_time=0.05)
    time.sleep(0.2)
    for n in range(100):
        client.publish("thread", n)
    deadline = time.monotonic() + 5
    while len(got) < 100 and time.monotonic() < deadline:
        time.sleep(0.02)
    thread.stop()
    thread.join()
    expect(got, [str(n) for n in range(100)])


@feature
def scan_iterators():
    names = {f"scan:{n}" for n in range(1000)}
    client.mset({name: 1 for name in names})
    expect(set(client.scan_iter("scan:*", count=50)), names)
    expect(set(client.scan_iter("scan:*", _type="hash")), set())
    client.hset("scan-h", mapping={f"f{n}": n for n in range(600)})
    expect(len(dict(client.hscan_iter("scan-h"))), 600)
    client.sadd("scan-s", *range(600))
    expect(len(set(client.sscan_iter("scan-s"))), 600)
    client.zadd("scan-z", {f"m{n}": n for n in range(600)})
    expect(len(dict(client.zscan_iter("scan-z"))), 600)
    client.delete(*names)


@feature
def locks():
    lock = client.lock("lock", timeout=10)
    expect(lock.acquire(blocking=False), True)
    expect(client.lock("lock", timeout=10).acquire(blocking=False), False)
    expect(lock.extend(5), True)
    lock.release()
    with client.lock("lock", timeout=5, blocking_timeout=1):
        expect(client.exists("lock"), 1)


@feature
def connection_pool():
    pool = library.BlockingConnectionPool(max_connections=8, timeout=10, **options)
    shared = client_class(connection_pool=pool)
    failed = []

    def work(number):
        try:
            for n in range(100):
                key = f"pool:{number}:{n}"
                shared.set(key, key)
                expect(shared.get(key), key)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(24)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if failed:
        raise failed[0]
    pool.disconnect()


@feature
def reconnect():
    with client_class(**options) as own:
        for _ in range(3):
            number = own.client_id()
            expect(client.client_kill_filter(_id=number), 1)
            time.sleep(0.05)
            expect(own.set("again", "1"), True)
            expect(own.client_id() != number, True)


@feature
def emptying():
    client.set("left", 1)
    expect(client.flushdb(), True)
    expect(client.dbsize(), 0)


main()
