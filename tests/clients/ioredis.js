// ioredis against one endpoint: connects as programs do, in both protocols, and does real work.
//
// usage: ioredis.js PORT [USER PASSWORD]
// Prints "ok" and nothing else when all went well.
"use strict";

const assert = require("node:assert/strict");
const { Redis } = require("ioredis");

const [port, username, password] = process.argv.slice(2);
const login = username ? { username, password } : {};

async function work(name, options) {
  const client = new Redis({ host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: 0, ...login, ...options });
  client.on("error", (error) => fail(`${name}: ${error.message}`));
  await new Promise((resolve) => client.once("ready", resolve));
  const keys = Array.from({ length: 50 }, (_, n) => `${name}:${n}`);

  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.set(`${name}:a`, "1", "EX", 100), "OK");
  assert.equal(await client.get(`${name}:a`), "1");
  assert.equal(await client.get(`${name}:none`), null);
  assert.equal(await client.mset(new Map(keys.map((key) => [key, `value of ${key}`]))), "OK");
  assert.deepEqual(await client.mget(keys), keys.map((key) => `value of ${key}`));
  assert.equal(await client.hset(`${name}:h`, { f: "v", g: "w" }), 2);
  assert.deepEqual({ ...(await client.hgetall(`${name}:h`)) }, { f: "v", g: "w" });

  const pipeline = client.pipeline();
  for (let n = 0; n < 500; n++) pipeline.incrby(`${name}:n:${n % 100}`, n);
  pipeline.get(`${name}:a`);
  const results = await pipeline.exec();
  assert.equal(results.length, 501);
  assert.ok(results.every(([error]) => error === null));
  assert.equal(results[500][1], "1");

  // Many calls at once share the connection.
  const values = await Promise.all(keys.map((key) => client.get(key)));
  assert.deepEqual(values, keys.map((key) => `value of ${key}`));

  client.defineCommand("add", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
  assert.equal(await client.add(`${name}:script`, 7), 7);
  assert.equal(await client.add(`${name}:script`, 7), 14);
  await assert.rejects(client.lpush(`${name}:a`, "x"), /WRONGTYPE/);
  const used = ["a", "h", "script", ...Array.from({ length: 100 }, (_, n) => `n:${n}`)].map((key) => `${name}:${key}`);
  assert.equal(await client.del(...keys, ...used), keys.length + used.length);
  await client.quit();
}

function fail(why) {
  console.error(why);
  process.exit(1);
}

(async () => {
  await work("io:default", {});
  await work("io:2", { protocol: 2 });
  await work("io:3", { protocol: 3 });
  await work("io:auto", { enableAutoPipelining: true, connectionName: "programs", db: 0 });
  console.log("ok");
})().catch((error) => fail(error.stack));
