// node-redis: what its users do, through one endpoint.
//
// usage: node_redis.js PORT MODULE PROTOCOL, where MODULE is redis or redis5, the name under which it is installed
"use strict";

const { assert, port, feature, until, main } = require("./check.js");
const { createClient, createClientPool, defineScript, WatchError } = require(process.argv[3]);

const RESP = Number(process.argv[4]);
const scripts = {
  add: defineScript({
    SCRIPT: "return redis.call('incrby', KEYS[1], ARGV[1])",
    NUMBER_OF_KEYS: 1,
    parseCommand(parser, key, by) {
      parser.pushKey(key);
      parser.push(String(by));
    },
    transformReply: undefined,
  }),
};
const connect = async (more) => {
  const client = createClient({ url: `redis://127.0.0.1:${port}`, RESP, unstableResp3: true, scripts, ...more });
  client.on("error", () => {});
  return client.connect();
};
let client;

feature("connect", async () => {
  client = await connect({ name: "matrix" });
  assert.equal(await client.ping(), "PONG");
  assert.equal(await client.clientGetName(), "matrix");
  assert.match(await client.info(), /redis_mode:standalone/);
});

feature("all types", async () => {
  assert.equal(await client.set("s", "1", { EX: 100 }), "OK");
  assert.equal(await client.get("s"), "1");
  assert.ok((await client.ttl("s")) > 90);
  assert.equal(await client.hSet("h", { f: "v", g: "w" }), 2);
  assert.deepEqual({ ...(await client.hGetAll("h")) }, { f: "v", g: "w" });
  assert.equal(await client.rPush("l", ["a", "b"]), 2);
  assert.deepEqual(await client.lRange("l", 0, -1), ["a", "b"]);
  assert.equal(await client.sAdd("set", ["m", "n"]), 2);
  assert.deepEqual([...(await client.sMembers("set"))].sort(), ["m", "n"]);
  assert.equal(await client.zAdd("z", [{ score: 1.5, value: "x" }]), 1);
  assert.deepEqual(await client.zRangeWithScores("z", 0, -1), [{ value: "x", score: 1.5 }]);
  assert.equal(await client.geoAdd("geo", { longitude: 13.3, latitude: 38.1, member: "Palermo" }), 1);
  await assert.rejects(client.lPush("s", "x"), /WRONGTYPE/);
});

feature("streams", async () => {
  const id = await client.xAdd("st", "*", { n: "1" });
  assert.equal(await client.xGroupCreate("st", "g", "0"), "OK");
  const read = await client.xReadGroup("g", "me", { key: "st", id: ">" });
  assert.ok(JSON.stringify(read instanceof Map ? [...read] : read).includes(id));
  assert.equal(await client.xAck("st", "g", id), 1);
});

feature("many keys over slots", async () => {
  const keys = Array.from({ length: 100 }, (_, n) => `many:${n}`);
  assert.equal(await client.mSet(keys.map((key) => [key, key])), "OK");
  assert.deepEqual(await client.mGet(keys), keys);
  assert.equal(await client.del(keys), 100);
});

feature("pipeline", async () => {
  const replies = await Promise.all(Array.from({ length: 1000 }, (_, n) => client.incr(`p:${n % 50}`)));
  assert.equal(replies.at(-1), 20);
  assert.equal((await client.multi().set("p:1", "1").get("p:2").execAsPipeline()).length, 2);
});

feature("transaction in one slot", async () => {
  assert.deepEqual(await client.multi().set("{t}a", "1").incr("{t}a").get("{t}a").exec(), ["OK", 2, "2"]);
  await assert.rejects(client.multi().incr("{t}a").lPush("{t}a", "x").exec());
});

feature("watch", async () => {
  const other = await connect();
  await client.watch("{w}a");
  await other.set("{w}a", "changed");
  await assert.rejects(client.multi().set("{w}a", "lost").exec(), WatchError);
  await other.close();
});

feature("transaction over slots", async () => {
  const transaction = client.multi();
  for (let n = 0; n < 20; n++) transaction.set(`over:${n}`, String(n));
  assert.deepEqual(await transaction.exec(), Array(20).fill("OK"));
});

feature("scripts", async () => {
  assert.equal(await client.add("lua", 7), 7);
  assert.equal(await client.add("lua", 7), 14);
  await client.scriptFlush();
  assert.equal(await client.add("lua", 7), 21);
  assert.equal(await client.eval("return ARGV[1]", { keys: ["lua"], arguments: ["x"] }), "x");
});

feature("blocking pops", async () => {
  const other = await connect();
  assert.equal(await client.blPop("{b}1", 0.1), null);
  setTimeout(() => other.rPush("{b}2", "x"), 100);
  assert.deepEqual({ ...(await client.blPop(["{b}1", "{b}2"], 5)) }, { key: "{b}2", element: "x" });
  setTimeout(() => other.xAdd("{b}st", "*", { n: "1" }), 100);
  assert.ok(await client.xRead({ key: "{b}st", id: "$" }, { BLOCK: 5000 }));
  await other.close();
});

feature("publish and subscribe", async () => {
  const subscriber = await connect();
  const got = [];
  await subscriber.subscribe(["news", "sport"], (message, channel) => got.push(`${channel} ${message}`));
  await subscriber.pSubscribe("we*", (message, channel) => got.push(`${channel} ${message}`));
  await subscriber.sSubscribe("shard", (message, channel) => got.push(`${channel} ${message}`));
  assert.equal(await client.publish("news", "hello"), 1);
  assert.equal(await client.publish("weather", "rain"), 1);
  assert.equal(await client.sPublish("shard", "glass"), 1);
  await until(() => got.length === 3);
  assert.deepEqual(got.sort(), ["news hello", "shard glass", "weather rain"]);
  await subscriber.unsubscribe("news");
  assert.equal(await client.publish("news", "nobody"), 0);
  await subscriber.close();
});

feature("scan iterators", async () => {
  const keys = Array.from({ length: 1000 }, (_, n) => `scan:${n}`);
  await client.mSet(keys.map((key) => [key, "1"]));
  const found = new Set();
  for await (const some of client.scanIterator({ MATCH: "scan:*", COUNT: 50 })) some.forEach((key) => found.add(key));
  assert.equal(found.size, 1000);
  await client.del(keys);
});

feature("connection pool", async () => {
  const pool = createClientPool({ url: `redis://127.0.0.1:${port}`, RESP }, { minimum: 2, maximum: 8 });
  pool.on("error", () => {});
  await pool.connect();
  const replies = await Promise.all(Array.from({ length: 500 }, () => pool.incr("pool")));
  assert.equal(Math.max(...replies), 500);
  await pool.close();
});

feature("reconnect", async () => {
  const own = await connect();
  for (let n = 0; n < 3; n++) {
    const id = await own.clientId();
    assert.equal(await client.clientKill({ filter: "ID", id }), 1);
    await until(async () => (await own.clientId().catch(() => id)) !== id);
    assert.equal(await own.set("again", "1"), "OK");
  }
  await own.close();
});

main();
