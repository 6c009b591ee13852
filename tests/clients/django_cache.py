"""Django's own Redis cache, and sessions kept in it: what views, templates and the session middleware do.

usage: django_cache.py PORT BACKEND DATABASE PREFIX, where BACKEND is the class of the cache
"""

import sys
import threading
import time

from check import URL, expect, feature, main

import django
from django.conf import settings

BACKEND, DATABASE, PREFIX = sys.argv[2:5]
settings.configure(
    CACHES={"default": {"BACKEND": BACKEND, "LOCATION": f"{URL}/{DATABASE}", "KEY_PREFIX": PREFIX}},
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SECRET_KEY="of the test",
)
django.setup()

from django.core.cache import cache  # noqa: E402


@feature
def values():
    cache.set("a", {"any": ["thing", 1]}, 60)
    expect(cache.get("a"), {"any": ["thing", 1]})
    expect(cache.get("none", "default"), "default")
    expect(cache.add("a", 1), False)
    expect(cache.add("b", 1, 60), True)
    expect(cache.touch("b", 90), True)
    expect(cache.get_or_set("c", lambda: 3), 3)
    expect(cache.has_key("c"), True)
    expect(cache.delete("c"), True)
    cache.set("short", 1, 1)
    time.sleep(1.2)
    expect(cache.get("short"), None)


@feature
def counters():
    cache.set("n", 1)
    expect(cache.incr("n"), 2)
    expect(cache.decr("n", 2), 0)
    try:
        cache.incr("missing")
    except ValueError:
        pass
    else:
        raise AssertionError("a missing counter was counted on")


@feature
def versions():
    cache.set("v", 1, version=1)
    expect(cache.incr_version("v"), 2)
    expect((cache.get("v"), cache.get("v", version=2)), (None, 1))


@feature
def sessions():
    from importlib import import_module

    store = import_module(settings.SESSION_ENGINE).SessionStore
    session = store()
    session["cart"] = [1, 2]
    session.save()
    again = store(session.session_key)
    expect(again["cart"], [1, 2])
    again.cycle_key()
    again.flush()


@feature
def threads():
    failed = []

    def work(number):
        try:
            for n in range(50):
                cache.set(f"t:{number}:{n}", n)
                expect(cache.get(f"t:{number}:{n}"), n)
        except Exception as error:
            failed.append(error)

    workers = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    [worker.start() for worker in workers]
    [worker.join() for worker in workers]
    if failed:
        raise failed[0]


@feature
async def asynchronous_calls():
    await cache.aset("async", 1)
    expect(await cache.aget("async"), 1)
    expect(await cache.adelete("async"), True)


@feature
def set_many_with_a_timeout():
    expect(cache.set_many({f"m{n}": n for n in range(50)}, 60) or [], [])
    expect(cache.get("m7"), 7)


@feature
def get_many_and_delete_many():
    for n in range(20):
        cache.set(f"g{n}", n)
    expect(cache.get_many([f"g{n}" for n in range(25)]), {f"g{n}": n for n in range(20)})
    cache.delete_many([f"g{n}" for n in range(20)])
    expect(cache.get_many([f"g{n}" for n in range(20)]), {})


if "django_redis" in BACKEND:
    from django_redis import get_redis_connection

    @feature
    def patterns():
        for n in range(100):
            cache.set(f"pattern:{n}", n)
        expect(len(cache.keys("pattern:*")), 100)
        expect(len(list(cache.iter_keys("pattern:1*"))), 11)
        expect(cache.ttl("pattern:1") > 0, True)
        expect(cache.delete_pattern("pattern:*"), 100)

    @feature
    def lock_and_raw_connection():
        with cache.lock("lock", timeout=5):
            expect(cache.lock("lock", timeout=5).acquire(blocking=False), False)
        expect(get_redis_connection("default").ping(), True)

    @feature
    def set_operations():
        expect(cache.sadd("set", "a", "b"), 2)
        expect(cache.smembers("set"), {"a", "b"})


@feature
def clear():
    cache.set("left", 1)
    cache.clear()
    expect(cache.get("left"), None)


main()
