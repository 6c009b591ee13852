// ioredis: what its users do, through one endpoint.
//
// usage: node_ioredis.js PORT PROTOCOL
"use strict";

const { Redis } = require("ioredis");
const { assert, port, feature, sleep, until, main } = require("./check.js");

const protocol = Number(process.argv[3]);
const connect = (more) => {
  const client = new Redis({ host: "127.0.0.1", port, protocol, ...more });
  client.on("error", () => {});
  return client;
};
const client = connect();
const plain = (value) => (value && typeof value === "object" && !Array.isArray(value) ? { ...value } : value);

feature("connect", async () => {
  assert.equal(await client.ping(), "PONG");
  const named = connect({ connectionName: "matrix", db: 0 });
  assert.equal(await named.client("GETNAME"), "matrix");
  assert.match(await named.info(), /redis_mode:standalone/);
  await named.quit();
});

feature("all types", async () => {
  assert.equal(await client.set("s", "1", "EX", 100), "OK");
  assert.equal(await client.get("s"), "1");
  assert.ok((await client.ttl("s")) > 90);
  assert.deepEqual(await client.getBuffer("s"), Buffer.from("1"));
  assert.equal(await client.hset("h", { f: "v", g: "w" }), 2);
  assert.deepEqual(plain(await client.hgetall("h")), { f: "v", g: "w" });
  assert.equal(await client.rpush("l", "a", "b", "c"), 3);
  assert.deepEqual(await client.lrange("l", 0, -1), ["a", "b", "c"]);
  assert.equal(await client.sadd("set", "m", "n"), 2);
  assert.deepEqual([...(await client.smembers("set"))].sort(), ["m", "n"]);
  assert.equal(await client.zadd("z", 1.5, "x", 2, "y"), 2);
  assert.equal(Number(await client.zscore("z", "x")), 1.5);
  assert.deepEqual(await client.zrange("z", 0, -1), ["x", "y"]);
  assert.equal(await client.pfadd("hll", "a"), 1);
  await assert.rejects(client.lpush("s", "x"), /WRONGTYPE/);
});

feature("streams", async () => {
  const id = await client.xadd("st", "*", "n", "1");
  assert.equal((await client.xrange("st", "-", "+")).length, 1);
  assert.equal(await client.xgroup("CREATE", "st", "g", "0"), "OK");
  const read = await client.xreadgroup("GROUP", "g", "me", "COUNT", 5, "STREAMS", "st", ">");
  assert.ok(JSON.stringify(Array.isArray(read) ? read : [...Object.entries(read)]).includes(id));
  assert.equal(await client.xack("st", "g", id), 1);
});

feature("many keys over slots", async () => {
  const keys = Array.from({ length: 100 }, (_, n) => `many:${n}`);
  assert.equal(await client.mset(new Map(keys.map((key) => [key, key]))), "OK");
  assert.deepEqual(await client.mget(keys), keys);
  assert.equal(await client.exists(keys), 100);
  assert.deepEqual((await client.keys("many:*")).sort(), [...keys].sort());
  assert.equal(await client.del(keys), 100);
});

feature("pipeline", async () => {
  const pipeline = client.pipeline();
  for (let n = 0; n < 1000; n++) pipeline.incr(`p:${n % 50}`);
  const replies = await pipeline.exec();
  assert.ok(replies.every(([error]) => error === null));
  const automatic = connect({ enableAutoPipelining: true });
  const values = await Promise.all(Array.from({ length: 50 }, (_, n) => automatic.get(`p:${n}`)));
  assert.ok(values.every((value) => value === "20"));
  await automatic.quit();
});

feature("transaction in one slot", async () => {
  const replies = await client.multi().set("{t}a", 1).incr("{t}a").lpush("{t}a", "x").get("{t}a").exec();
  assert.deepEqual([replies[0], replies[1], replies[3]], [[null, "OK"], [null, 2], [null, "2"]]);
  assert.match(replies[2][0].message, /WRONGTYPE/);
  await client.multi({ pipeline: false });
  assert.equal(await client.set("{t}b", 1), "QUEUED");
  assert.deepEqual(await client.exec(), [[null, "OK"]]);
});

feature("watch", async () => {
  const other = connect();
  await client.watch("{w}a");
  await other.set("{w}a", "changed");
  assert.equal(await client.multi().set("{w}a", "lost").exec(), null);
  await other.quit();
});

feature("transaction over slots", async () => {
  const transaction = client.multi();
  for (let n = 0; n < 20; n++) transaction.set(`over:${n}`, n);
  assert.deepEqual(await transaction.exec(), Array.from({ length: 20 }, () => [null, "OK"]));
});

feature("scripts", async () => {
  client.defineCommand("add", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
  assert.equal(await client.add("lua", 7), 7);
  assert.equal(await client.add("lua", 7), 14);
  await client.script("FLUSH");
  assert.equal(await client.add("lua", 7), 21);
  const replies = await client.pipeline().add("lua:1", 1).add("lua:2", 2).exec();
  assert.deepEqual(replies, [[null, 1], [null, 2]]);
  assert.deepEqual(await client.eval("return {KEYS[1], ARGV[1], 3}", 1, "k", "v"), ["k", "v", 3]);
});

feature("blocking pops", async () => {
  const other = connect();
  assert.equal(await client.blpop("{b}1", 0.1), null);
  setTimeout(() => other.rpush("{b}2", "x"), 100);
  assert.deepEqual(await client.blpop("{b}1", "{b}2", 5), ["{b}2", "x"]);
  setTimeout(() => other.zadd("{b}z", 1, "m"), 100);
  assert.deepEqual((await client.bzpopmin("{b}z", 5)).map(String), ["{b}z", "m", "1"]);
  setTimeout(() => other.xadd("{b}st", "*", "n", "1"), 100);
  assert.ok(await client.xread("BLOCK", 5000, "STREAMS", "{b}st", "$"));
  await other.quit();
});

feature("publish and subscribe", async () => {
  const subscriber = connect();
  const got = [];
  subscriber.on("message", (channel, message) => got.push(`${channel} ${message}`));
  subscriber.on("pmessage", (pattern, channel, message) => got.push(`${pattern} ${channel} ${message}`));
  assert.equal(await subscriber.subscribe("news", "sport"), 2);
  assert.equal(await subscriber.psubscribe("we*"), 3);
  assert.equal(await client.publish("news", "hello"), 1);
  assert.equal(await client.publish("weather", "rain"), 1);
  await until(() => got.length === 2);
  assert.deepEqual(got.sort(), ["news hello", "we* weather rain"]);
  assert.equal(await subscriber.unsubscribe("news"), 2);
  // Subscriptions come back with the connection.
  const before = await client.client("LIST");
  const id = /id=(\d+)[^\n]*psub=1/.exec(before)[1];
  assert.equal(await client.client("KILL", "ID", id), 1);
  await until(async () => (await client.publish("weather", "again")) === 1);
  await until(() => got.includes("we* weather again"));
  await subscriber.quit();
});

feature("scan iterators", async () => {
  const keys = Array.from({ length: 1000 }, (_, n) => `scan:${n}`);
  await client.mset(new Map(keys.map((key) => [key, "1"])));
  const found = new Set();
  for await (const some of client.scanStream({ match: "scan:*", count: 50 })) some.forEach((key) => found.add(key));
  assert.equal(found.size, 1000);
  await client.hset("scan-h", Object.fromEntries(keys.map((key) => [key, "1"])));
  let fields = 0;
  for await (const some of client.hscanStream("scan-h")) fields += some.length;
  assert.ok(fields >= 1000);
  await client.del(keys);
});

feature("reconnect", async () => {
  const own = connect();
  for (let n = 0; n < 3; n++) {
    const id = await own.client("ID");
    assert.equal(await client.client("KILL", "ID", id), 1);
    await until(async () => (await own.client("ID")) !== id);
    assert.equal(await own.set("again", "1"), "OK");
  }
  await own.quit();
});

feature("monitor", async () => {
  const monitor = await connect().monitor();
  const seen = [];
  monitor.on("monitor", (_time, words) => seen.push(words.join(" ")));
  await until(async () => (await client.set("seen", "1")) && seen.some((line) => /^set seen 1$/i.test(line)));
  monitor.disconnect();
});

main();
