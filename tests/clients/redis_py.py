"""redis-py against one endpoint: connects as programs do, in both protocols, and does real work.

usage: redis_py.py PORT [USER PASSWORD]
Prints "ok" and nothing else when all went well.
"""

import asyncio
import sys

import redis
import redis.asyncio

PORT = int(sys.argv[1])
LOGIN = dict(zip(("username", "password"), sys.argv[2:4]))


def expect(found, wanted):
    if found != wanted:
        raise SystemExit(f"expected {wanted!r}, found {found!r}")


def work(client, name):
    expect(client.ping(), True)
    expect(client.set(f"{name}:a", "1", ex=100), True)
    expect(client.get(f"{name}:a"), "1")
    expect(client.get(f"{name}:none"), None)
    expect(client.mset({f"{name}:{n}": str(n) for n in range(50)}), True)
    expect(client.mget([f"{name}:{n}" for n in range(50)]), [str(n) for n in range(50)])
    expect(client.hset(f"{name}:h", mapping={"f": "v", "g": "w"}), 2)
    expect(client.hgetall(f"{name}:h"), {"f": "v", "g": "w"})
    client.zadd(f"{name}:z", {"x": 1.5, "y": 2})
    pairs = [tuple(pair) for pair in client.zrange(f"{name}:z", 0, -1, withscores=True)]
    expect(pairs, [("x", 1.5), ("y", 2.0)])
    expect(client.sadd(f"{name}:s", "m"), 1)
    expect(set(client.smembers(f"{name}:s")), {"m"})

    pipeline = client.pipeline(transaction=False)
    for n in range(500):
        pipeline.incrby(f"{name}:n:{n % 100}", n)
    pipeline.get(f"{name}:a")
    expect(pipeline.execute()[-1], "1")

    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    expect(script(keys=[f"{name}:script"], args=[7]), 7)
    expect(script(keys=[f"{name}:script"], args=[7]), 14)
    try:
        client.lpush(f"{name}:a", "x")
    except redis.ResponseError as error:
        expect(str(error).startswith("WRONGTYPE"), True)
    else:
        raise SystemExit("WRONGTYPE was not told")
    expect(client.exists(*[f"{name}:{n}" for n in range(60)]), 50)
    expect(client.delete(*[f"{name}:{n}" for n in range(60)]), 50)
    names = ["a", "h", "z", "s", "script", *(f"n:{n}" for n in range(100))]
    expect(client.unlink(*[f"{name}:{key}" for key in names]), len(names))
    expect(int(client.client_id()) > 0, True)
    expect(client.client_getname(), "programs")
    expect("redis_version" in client.info("server"), True)


async def work_async(protocol):
    options = dict(host="127.0.0.1", port=PORT, protocol=protocol, decode_responses=True, **LOGIN)
    async with redis.asyncio.Redis(**options) as client:
        names = [f"py:async:{protocol}:{n}" for n in range(50)]
        await asyncio.gather(*(client.set(name, name) for name in names))
        expect(await asyncio.gather(*(client.get(name) for name in names)), names)
        expect(await client.mget(names), names)
        expect(await client.delete(*names), len(names))


def main():
    options = dict(host="127.0.0.1", port=PORT, decode_responses=True, client_name="programs", **LOGIN)
    for protocol in (2, 3):
        with redis.Redis(protocol=protocol, **options) as client:
            work(client, f"py:{protocol}")
        asyncio.run(work_async(protocol))
    # As most programs do it: nothing chosen, by URL, database 0.
    login = ":".join(LOGIN.values()) + "@" if LOGIN else ""
    with redis.Redis.from_url(f"redis://{login}127.0.0.1:{PORT}/0?client_name=programs", decode_responses=True) as client:
        work(client, "py:url")
    print("ok")


main()
