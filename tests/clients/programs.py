"""The programs of the matrix: which client each stands for, how it is started, and under which settings it works.

The first setting is tried first; the page shows the first one under which every feature works. What a client cannot
do through any cluster stands in `cannot`, with the reason: it is tried all the same, and must fail.
"""

from dataclasses import dataclass, field

DEFAULT = ""
PER_SLOT = '[commands]\ntransactions = "per_slot"\n'
PIN = '[keyspace]\npin = "app1"\n'
# Settings in the order in which they are tried: what gives up least comes first.
ALL = [DEFAULT, PER_SLOT, PIN]
# For those that transactions by slot cannot help.
PINNED = [DEFAULT, PIN]
DATABASES = [DEFAULT, PER_SLOT, PER_SLOT + '[compat]\nselect = "ignore"\n', PIN]
DJANGO = "django.core.cache.backends.redis.RedisCache"
DJANGO_REDIS = "django_redis.cache.RedisCache"

MADE_UP = "its scripts make up names of keys; use a hash tag as its prefix"
BULLMQ = dict.fromkeys(
    [
        "jobs", "delayed and prioritized jobs", "retries and failures", "waiting for a result", "repeated jobs",
        "flows", "pause, drain, obliterate",
    ],
    MADE_UP,
)


@dataclass
class Program:
    name: str
    package: str
    protocol: str
    command: list
    variant: str = ""
    settings: list = field(default_factory=lambda: [DEFAULT])
    cannot: dict = field(default_factory=dict)


def python(script, *words):
    return ["python3", f"{{here}}/{script}.py", "{port}", *words]


def node(script, *words):
    return ["node", f"{{here}}/{script}.js", "{port}", *words]


def ruby(script):
    return ["ruby", f"{{here}}/{script}.rb", "{port}"]


def php(script):
    return ["php", f"{{here}}/{script}.php", "{port}"]


PROGRAMS = [
    Program("redis-py", "python:redis", "RESP3", python("python_sync", "redis", "3"), "synchronous", ALL),
    Program("redis-py", "python:redis", "RESP2", python("python_sync", "redis", "2"), "synchronous", ALL),
    Program("redis-py", "python:redis", "RESP3", python("python_async", "redis", "3"), "asyncio", ALL),
    Program("redis-py", "python:redis", "RESP2", python("python_async", "redis", "2"), "asyncio", ALL),
    Program("valkey-py", "python:valkey", "RESP2", python("python_sync", "valkey", "2"), "synchronous", ALL),
    Program("valkey-py", "python:valkey", "RESP3", python("python_sync", "valkey", "3"), "synchronous", ALL),
    Program("valkey-py", "python:valkey", "RESP2", python("python_async", "valkey", "2"), "asyncio", ALL),
    Program("ioredis", "node:ioredis", "RESP2", node("node_ioredis", "2"), settings=ALL),
    Program("ioredis", "node:ioredis", "RESP3", node("node_ioredis", "3"), settings=ALL),
    Program("node-redis 5", "node:redis5", "RESP2", node("node_redis", "redis5", "2"), settings=ALL),
    Program("node-redis 5", "node:redis5", "RESP3", node("node_redis", "redis5", "3"), settings=ALL),
    Program("node-redis 6", "node:redis", "RESP2", node("node_redis", "redis", "2"), settings=ALL),
    Program("node-redis 6", "node:redis", "RESP3", node("node_redis", "redis", "3"), settings=ALL),
    Program("BullMQ", "node:bullmq", "RESP3", node("node_bullmq"), cannot=BULLMQ),
    Program("BullMQ", "node:bullmq", "RESP3", node("node_bullmq", "{{bull}}"), "with a hash tag as its prefix"),
    Program("Bee-Queue", "node:bee-queue", "RESP2", node("node_bee", "bq"), settings=PINNED),
    Program("Bee-Queue", "node:bee-queue", "RESP2", node("node_bee", "{{bq}}"), "with a hash tag as its prefix"),
    Program("connect-redis", "node:connect-redis", "RESP3", node("node_session"), "express-session over node-redis 6"),
    Program("redlock", "node:redlock", "RESP3", node("node_redlock"), "over ioredis"),
    Program("rate-limiter-flexible", "node:rate-limiter-flexible", "RESP3", node("node_limiter")),
    Program("Django cache", "python:django", "RESP3", python("django_cache", DJANGO, "0", "shop"), settings=ALL),
    Program(
        "Django cache", "python:django", "RESP3", python("django_cache", DJANGO, "0", "{{shop}}"),
        "with a hash tag as its prefix",
    ),
    Program(
        "Django cache", "python:django", "RESP3", python("django_cache", DJANGO, "1", "shop"),
        "database 1", DATABASES,
    ),
    Program(
        "django-redis", "python:django-redis", "RESP3", python("django_cache", DJANGO_REDIS, "0", "shop"),
        settings=ALL,
    ),
    Program(
        "django-redis", "python:django-redis", "RESP3", python("django_cache", DJANGO_REDIS, "0", "{{shop}}"),
        "with a hash tag as its prefix",
    ),
    Program("Flask-Caching", "python:flask-caching", "RESP3", python("flask_cache"), settings=ALL),
    Program("Celery", "python:celery", "RESP3", python("celery_app"), settings=ALL),
    Program(
        "Celery", "python:celery", "RESP3", python("celery_app", "{{celery}}"),
        "with a hash tag as its key prefix",
    ),
    Program(
        "RQ", "python:rq", "RESP3", python("rq_app"), settings=ALL,
        cannot={"emptying a queue": "its script makes up names of keys"},
    ),
    Program("Dramatiq", "python:dramatiq", "RESP3", python("dramatiq_app", "dramatiq"), settings=PINNED),
    Program(
        "Dramatiq", "python:dramatiq", "RESP3", python("dramatiq_app", "{{dramatiq}}"),
        "with a hash tag as its namespace",
    ),
    Program("Huey", "python:huey", "RESP3", python("huey_app"), settings=PINNED),
    Program("redlock-py", "python:redlock-py", "RESP3", python("locks", "redlock")),
    Program(
        "python-redis-lock", "python:python-redis-lock", "RESP3", python("locks", "redis_lock", "report"),
        settings=PINNED,
    ),
    Program(
        "python-redis-lock", "python:python-redis-lock", "RESP3", python("locks", "redis_lock", "{{report}}"),
        "with a hash tag in names",
    ),
    Program("pottery", "python:pottery", "RESP3", python("locks", "pottery"), settings=PINNED),
    Program("limits", "python:limits", "RESP3", python("limits_app"), settings=PINNED),
    Program("redis-rb", "debian:ruby-redis", "RESP2", ruby("ruby_redis"), settings=ALL),
    Program("Sidekiq", "debian:ruby-sidekiq", "RESP2", ruby("ruby_sidekiq"), "over redis-rb", ALL),
    Program("phpredis", "debian:php-redis", "RESP2", php("php_redis"), settings=ALL),
    Program("Predis", "debian:php-predis", "RESP2", php("php_predis"), settings=ALL),
    Program("redis-cli", "debian:redis-tools", "RESP2, RESP3", python("redis_cli"), "with its special modes"),
    Program("redis-rs", "cargo:redis", "RESP2", ["{examples}/redis_rs", "{port}", "2"], settings=ALL),
    Program("redis-rs", "cargo:redis", "RESP3", ["{examples}/redis_rs", "{port}", "3"], settings=ALL),
]
