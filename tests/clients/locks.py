"""Locks for Python: redlock-py, python-redis-lock and pottery.

usage: locks.py PORT redlock|redis_lock|pottery [NAME], where NAME is what a lock is called
"""

import sys
import threading
import time

from check import PORT, expect, feature, main

from redis import Redis

client = Redis(host="127.0.0.1", port=PORT)
NAME = "".join(sys.argv[3:4])
NAMES = [f"lock:{n}" for n in range(30)]


def redlock():
    from redlock import Redlock

    @feature
    def lock_and_unlock():
        manager = Redlock([{"host": "127.0.0.1", "port": PORT, "db": 0}], retry_count=2)
        held = [manager.lock(name, 5000) for name in NAMES]
        expect(all(held), True)
        expect(manager.lock(NAMES[0], 100), False)
        [manager.unlock(one) for one in held]
        expect(bool(manager.lock(NAMES[0], 100)), True)


def redis_lock():
    import redis_lock as library

    @feature
    def lock_and_release():
        with library.Lock(client, NAME, expire=5):
            expect(library.Lock(client, NAME).acquire(blocking=False), False)
        expect(library.Lock(client, NAME).acquire(blocking=False), True)
        library.reset_all(client)

    @feature
    def waiting_for_the_signal():
        first = library.Lock(client, NAME + "2", expire=10)
        first.acquire()
        threading.Timer(0.3, first.release).start()
        expect(library.Lock(client, NAME + "2").acquire(timeout=3), True)

    @feature
    def renewal():
        lock = library.Lock(client, NAME + "3", expire=1, auto_renewal=True)
        lock.acquire()
        time.sleep(1.5)
        expect(lock.locked(), True)
        lock.extend(5)
        lock.release()


def pottery():
    from pottery import NextID, RedisCounter, RedisDict, RedisList, RedisSet, Redlock

    @feature
    def redlock():
        lock = Redlock(key="pottery", masters={client}, auto_release_time=5)
        expect(lock.acquire(), True)
        expect(Redlock(key="pottery", masters={client}).acquire(blocking=False), False)
        expect(lock.locked() > 0, True)
        lock.extend()
        lock.release()

    @feature
    def next_id():
        ids = NextID(key="ids", masters={client})
        expect([next(ids) for _ in range(3)], [1, 2, 3])

    @feature
    def containers():
        stock = RedisDict({"tea": 3}, redis=client, key="stock")
        stock["milk"] = 1
        expect(dict(stock), {"tea": 3, "milk": 1})
        tags = RedisSet({1, 2}, redis=client, key="tags")
        expect(1 in tags and len(tags) == 2, True)
        steps = RedisList([1, 2, 3], redis=client, key="steps")
        steps.append(4)
        expect(list(steps), [1, 2, 3, 4])
        expect(RedisCounter("aab", redis=client, key="letters")["a"], 2)


{"redlock": redlock, "redis_lock": redis_lock, "pottery": pottery}[sys.argv[2]]()
main()
