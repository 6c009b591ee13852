"""The asyncio clients of redis-py and valkey-py: what their users do, through one endpoint.

usage: python_async.py PORT redis|valkey PROTOCOL
"""

import asyncio
import contextlib
import importlib
import sys

from check import PORT, expect, feature, main

library = importlib.import_module(f"{sys.argv[2]}.asyncio")
errors = importlib.import_module(f"{sys.argv[2]}.exceptions")
client_class = getattr(library, "Valkey", None) or library.Redis
options = dict(host="127.0.0.1", port=PORT, protocol=int(sys.argv[3]), decode_responses=True)


def connected(body):
    """A feature with a client of its own, since each feature has an event loop of its own."""

    async def run():
        async with client_class(**options) as client:
            await body(client)

    run.__name__ = body.__name__
    return feature(run)


@connected
async def connect(client):
    expect(await client.ping(), True)
    expect((await client.info("server"))["redis_mode"], "standalone")


@connected
async def all_types(client):
    expect(await client.set("s", "1", ex=100), True)
    expect(await client.get("s"), "1")
    expect(await client.hset("h", mapping={"f": "v"}), 1)
    expect(await client.hgetall("h"), {"f": "v"})
    expect(await client.rpush("l", "a", "b"), 2)
    expect(await client.lrange("l", 0, -1), ["a", "b"])
    expect(await client.sadd("set", "m"), 1)
    expect(set(await client.smembers("set")), {"m"})
    expect(await client.zadd("z", {"x": 1.5}), 1)
    expect(await client.zscore("z", "x"), 1.5)
    expect(len(await client.xrange("st")), 0)
    await client.xadd("st", {"n": 1})
    expect(await client.xlen("st"), 1)


@connected
async def many_at_once(client):
    names = [f"once:{n}" for n in range(80)]
    expect(await asyncio.gather(*(client.set(name, name) for name in names)), [True] * 80)
    expect(await asyncio.gather(*(client.get(name) for name in names)), names)
    expect(await client.mget(names), names)
    expect(await client.delete(*names), 80)


@connected
async def pipeline(client):
    async with client.pipeline(transaction=False) as pipe:
        for n in range(500):
            pipe.incrby(f"p:{n % 50}", n)
        expect(len(await pipe.execute()), 500)


@connected
async def transaction_in_one_slot(client):
    async with client.pipeline(transaction=True) as pipe:
        expect(await pipe.set("{t}a", 1).incr("{t}a").get("{t}a").execute(), [True, 2, "2"])


@connected
async def watch(client):
    async with client.pipeline() as pipe:
        await pipe.watch("{w}a")
        await client.set("{w}a", "changed")
        pipe.multi()
        pipe.set("{w}a", "lost")
        try:
            await pipe.execute()
        except errors.WatchError:
            pass
        else:
            raise AssertionError("the watch saw nothing")


@connected
async def transaction_over_slots(client):
    async with client.pipeline(transaction=True) as pipe:
        for n in range(20):
            pipe.set(f"over:{n}", n)
        expect(await pipe.execute(), [True] * 20)


@connected
async def scripts(client):
    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    expect(await script(keys=["lua"], args=[7]), 7)
    await client.script_flush()
    expect(await script(keys=["lua"], args=[7]), 14)


@connected
async def blocking_pops(client):
    waiting = asyncio.create_task(client.blpop(["{b}1", "{b}2"], timeout=5))
    await asyncio.sleep(0.1)
    await client.rpush("{b}2", "x")
    expect(tuple(await waiting), ("{b}2", "x"))
    expect(await client.brpop(["{b}1"], timeout=0.1), None)
    # One that waits and is given up takes nothing with it.
    waiting = asyncio.create_task(client.blpop(["{b}1"], timeout=5))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0.1)
    await client.rpush("{b}1", "kept")
    expect(await client.lpop("{b}1"), "kept")


@connected
async def publish_and_subscribe(client):
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("async")
        await pubsub.psubscribe("as*c")
        await asyncio.sleep(0.1)
        for n in range(50):
            expect(await client.publish("async", n), 2)
        got = []
        async for message in pubsub.listen():
            if message["type"] in ("message", "pmessage"):
                got.append((message["type"], message["data"]))
            if len(got) == 100:
                break
        expect(sorted(got), sorted((kind, str(n)) for kind in ("message", "pmessage") for n in range(50)))


@connected
async def scan_iterators(client):
    names = {f"scan:{n}" for n in range(300)}
    await client.mset({name: 1 for name in names})
    expect({name async for name in client.scan_iter("scan:*", count=20)}, names)


@connected
async def locks(client):
    async with client.lock("lock", timeout=5):
        expect(await client.lock("lock", timeout=5).acquire(blocking=False), False)
    expect(await client.exists("lock"), 0)


@connected
async def connection_pool(client):
    pool = library.BlockingConnectionPool(max_connections=4, timeout=10, **options)
    shared = client_class(connection_pool=pool)
    expect(await asyncio.gather(*(shared.incr("pool") for _ in range(100))) != [], True)
    expect(await shared.get("pool"), "100")
    await pool.disconnect()


@connected
async def reconnect(client):
    async with client_class(single_connection_client=True, **options) as own:
        number = await own.client_id()
        expect(await client.client_kill_filter(_id=number), 1)
        await asyncio.sleep(0.05)
        # valkey-py tells the program of the lost connection once; redis-py tries again by itself.
        with contextlib.suppress(errors.ConnectionError):
            await own.ping()
        expect(await own.set("again", 1), True)
        expect(await own.client_id() != number, True)


main()
