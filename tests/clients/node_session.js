// connect-redis with express-session: sessions of a web application over node-redis.
//
// usage: node_session.js PORT
"use strict";

const { assert, port, feature, main } = require("./check.js");
const express = require("express");
const session = require("express-session");
const { RedisStore } = require("connect-redis");
const { createClient } = require("redis");

const client = createClient({ url: `redis://127.0.0.1:${port}` });
client.on("error", () => {});
const store = new RedisStore({ client, prefix: "shop:" });
const call = (name, ...args) =>
  new Promise((resolve, reject) => store[name](...args, (error, found) => (error ? reject(error) : resolve(found))));
let base;

feature("a session over requests", async () => {
  await client.connect();
  const app = express();
  app.use(session({ store, secret: "of the test", resave: false, saveUninitialized: false }));
  app.get("/", (request, response) => {
    request.session.views = (request.session.views || 0) + 1;
    response.send(String(request.session.views));
  });
  app.get("/out", (request, response) => request.session.destroy(() => response.send("out")));
  const server = await new Promise((resolve) => { const own = app.listen(0, "127.0.0.1", () => resolve(own)); });
  base = `http://127.0.0.1:${server.address().port}`;
  const first = await fetch(base);
  assert.equal(await first.text(), "1");
  const headers = { cookie: first.headers.get("set-cookie").split(";")[0] };
  assert.equal(await (await fetch(base, { headers })).text(), "2");
  assert.equal(await (await fetch(`${base}/out`, { headers })).text(), "out");
  assert.equal(await (await fetch(base, { headers })).text(), "1");
});

feature("the store over many sessions", async () => {
  for (let n = 0; n < 50; n++) await call("set", `id${n}`, { cookie: { maxAge: 60_000 }, n });
  assert.equal((await call("get", "id7")).n, 7);
  await call("touch", "id7", { cookie: { maxAge: 90_000 } });
  assert.ok((await call("length")) >= 50);
  assert.ok((await call("ids")).includes("id7"));
  assert.ok((await call("all")).length >= 50);
  await call("clear");
  assert.equal(await call("length"), 0);
});

main();
