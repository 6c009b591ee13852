"""limits for Python: every strategy, and the storage's own calls.

usage: limits_app.py PORT
"""

import asyncio

from check import URL, expect, feature, main

import limits
from limits.aio import strategies as aio_strategies
from limits.storage import storage_from_string

storage = storage_from_string(URL)
KINDS = ["FixedWindowRateLimiter", "MovingWindowRateLimiter", "SlidingWindowCounterRateLimiter"]


@feature
def every_strategy():
    limit = limits.parse("5/minute")
    for kind in KINDS:
        limiter = getattr(limits.strategies, kind)(storage)
        for user in ("a", "b", "c", "d"):
            expect([limiter.hit(limit, kind, user) for _ in range(6)], [True] * 5 + [False])
            expect(limiter.test(limit, kind, user), False)
            expect(limiter.get_window_stats(limit, kind, user).remaining, 0)
            limiter.clear(limit, kind, user)
            expect(limiter.test(limit, kind, user), True)


@feature
async def every_strategy_with_asyncio():
    limit = limits.parse("3/minute")
    store = storage_from_string(f"async+{URL}", implementation="redispy")
    for kind in KINDS:
        limiter = getattr(aio_strategies, kind)(store)
        hits = [await limiter.hit(limit, "aio", kind) for _ in range(4)]
        expect(hits, [True] * 3 + [False])
    await asyncio.sleep(0)


@feature
def check():
    expect(storage.check(), True)


@feature
def reset():
    storage.incr("LIMITS:x", 60)
    expect(storage.reset() >= 1, True)


main()
