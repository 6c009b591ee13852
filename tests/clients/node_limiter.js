// rate-limiter-flexible: limits by scripts, over ioredis and node-redis.
//
// usage: node_limiter.js PORT
"use strict";

const { assert, port, feature, main } = require("./check.js");
const { Redis } = require("ioredis");
const { createClient } = require("redis");
const { RateLimiterRedis, RateLimiterQueue, BurstyRateLimiter } = require("rate-limiter-flexible");

async function consume(limiter) {
  for (const key of ["a", "b", "c", "d"]) {
    for (let n = 0; n < 5; n++) assert.equal((await limiter.consume(key)).remainingPoints, 4 - n);
    const refused = await limiter.consume(key).then(() => null, (why) => why);
    assert.equal(refused.remainingPoints, 0);
    assert.equal((await limiter.get(key)).consumedPoints, 6);
    await limiter.reward(key, 2);
    assert.equal(await limiter.delete(key), true);
  }
}

feature("over ioredis", async () => {
  const storeClient = new Redis({ host: "127.0.0.1", port });
  await consume(new RateLimiterRedis({ storeClient, points: 5, duration: 10, keyPrefix: "io" }));
});

feature("over node-redis", async () => {
  const storeClient = createClient({ url: `redis://127.0.0.1:${port}` });
  await storeClient.connect();
  await consume(new RateLimiterRedis({ storeClient, useRedisPackage: true, points: 5, duration: 10, keyPrefix: "nr" }));
});

feature("blocking, bursts and queues", async () => {
  const storeClient = new Redis({ host: "127.0.0.1", port });
  const blocking = new RateLimiterRedis({ storeClient, points: 1, duration: 1, blockDuration: 30, keyPrefix: "bl" });
  await blocking.consume("x");
  await assert.rejects(blocking.consume("x"), (why) => why.msBeforeNext > 20_000);
  const make = (points, keyPrefix) => new RateLimiterRedis({ storeClient, points, duration: 1, keyPrefix });
  const bursty = new BurstyRateLimiter(make(1, "slow"), make(2, "burst"));
  for (let n = 0; n < 3; n++) await bursty.consume("x");
  const queue = new RateLimiterQueue(make(5, "queue"));
  for (let n = 0; n < 7; n++) await queue.removeTokens(1, "x");
});

main();
