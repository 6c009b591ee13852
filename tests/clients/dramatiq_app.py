"""Dramatiq: actors, retries, delays and results; and its rate limiters.

usage: dramatiq_app.py PORT NAMESPACE
"""

import sys
import time

from check import PORT, expect, feature, main

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.rate_limits import ConcurrentRateLimiter, WindowRateLimiter
from dramatiq.rate_limits.backends import RedisBackend as LimitsBackend
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(host="127.0.0.1", port=PORT, namespace=sys.argv[2])
broker.add_middleware(Results(backend=RedisBackend(host="127.0.0.1", port=PORT)))
dramatiq.set_broker(broker)
seen = []


@dramatiq.actor(store_results=True)
def add(a, b):
    return a + b


@dramatiq.actor(max_retries=2, min_backoff=50, max_backoff=100)
def failing():
    seen.append(1)
    raise ValueError("on purpose")


worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
worker.start()


@feature
def messages_and_results():
    messages = [add.send(n, n) for n in range(50)]
    expect([m.get_result(block=True, timeout=10_000) for m in messages], [2 * n for n in range(50)])


@feature
def delays():
    expect(add.send_with_options(args=(1, 2), delay=300).get_result(block=True, timeout=10_000), 3)


@feature
def retries():
    import logging

    logging.disable(logging.CRITICAL)
    failing.send()
    deadline = time.monotonic() + 10
    while len(seen) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    expect(len(seen), 3)


@feature
def groups_and_pipelines():
    group = dramatiq.group([add.message(n, 1) for n in range(5)]).run()
    expect(list(group.get_results(block=True, timeout=10_000)), [1, 2, 3, 4, 5])
    expect((add.message(1, 1) | add.message(2)).run().get_result(block=True, timeout=10_000), 4)


@feature
def rate_limits():
    backend = LimitsBackend(host="127.0.0.1", port=PORT)
    mutex = ConcurrentRateLimiter(backend, f"{sys.argv[2]}-mutex", limit=1)
    with mutex.acquire():
        with mutex.acquire(raise_on_failure=False) as acquired:
            expect(acquired, False)
    window = WindowRateLimiter(backend, f"{sys.argv[2]}-window", limit=2, window=5)
    acquired = []
    for _ in range(3):
        with window.acquire(raise_on_failure=False) as one:
            acquired.append(one)
    expect(acquired, [True, True, False])


@feature
def joining_and_flushing():
    broker.join("default", timeout=10_000)
    worker.join()
    broker.flush_all()


main()
