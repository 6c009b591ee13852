"""Flask-Caching: views, functions and values kept in a cache.

usage: flask_cache.py PORT
"""

from check import URL, expect, feature, main

from flask import Flask
from flask_caching import Cache

app = Flask("matrix")
app.config.update(
    CACHE_TYPE="RedisCache", CACHE_REDIS_URL=f"{URL}/0", CACHE_DEFAULT_TIMEOUT=60, CACHE_KEY_PREFIX="shop:"
)
cache = Cache(app)
calls = []


@app.route("/")
@cache.cached(timeout=50)
def view():
    calls.append("view")
    return str(len(calls))


@cache.memoize(50)
def add(a, b):
    calls.append("add")
    return a + b


@feature
def views():
    with app.test_client() as web:
        expect(web.get("/").data, web.get("/").data)
    expect(calls.count("view"), 1)


@feature
def functions():
    with app.app_context():
        expect((add(1, 2), add(1, 2), add(2, 2)), (3, 3, 4))
        expect(calls.count("add"), 2)
        cache.delete_memoized(add, 1, 2)
        add(1, 2)
        expect(calls.count("add"), 3)
        cache.delete_memoized(add)
        add(2, 2)
        expect(calls.count("add"), 4)


@feature
def values():
    with app.app_context():
        expect(cache.set("a", [1, 2]), True)
        expect(cache.get("a"), [1, 2])
        expect(cache.add("a", 1), False)
        expect(cache.has("a"), True)
        expect(cache.delete("a"), True)
        expect(cache.cache.inc("n", 5), 5)


@feature
def many_at_once():
    with app.app_context():
        cache.set_many({f"m{n}": n for n in range(50)})
        expect(cache.get_many(*[f"m{n}" for n in range(50)]), list(range(50)))
        expect(cache.get_dict("m1", "m2"), {"m1": 1, "m2": 2})
        cache.delete_many(*[f"m{n}" for n in range(50)])
        expect(cache.get("m1"), None)


@feature
def clear():
    with app.app_context():
        cache.set("left", 1)
        expect(cache.clear(), True)
        expect(cache.get("left"), None)


main()
