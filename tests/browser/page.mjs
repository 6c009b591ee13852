// The status page in a real Chromium, in front of the demo's cluster: it loads, shows slots and nodes, follows a
// reshard and a failover while they happen, names the sick node, and logs no error.
//
//   node tests/browser/page.mjs SLOTWAY [FOLDER]     SLOTWAY is the binary; screenshots go to FOLDER
//
// Needs redis-server, Chromium (CHROMIUM names another one) and playwright-core in NODE_PATH.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const { chromium } = createRequire(import.meta.url)(join(process.env.NODE_PATH ?? "", "playwright-core"));
const [slotway, folder] = process.argv.slice(2);
const LIMIT = 30_000;

const step = (text) => console.log(text);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(what, check) {
  const end = Date.now() + LIMIT;
  for (;;) {
    const found = await check();
    if (found) return found;
    assert(Date.now() < end, `it did not happen: ${what}`);
    await pause(100);
  }
}

const freePort = () => new Promise((done) => {
  const server = net.createServer().listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => done(port));
  });
});

// One command on a connection of its own; the raw reply.
function ask(addr, ...words) {
  const [host, port] = addr.split(":");
  return new Promise((done, fail) => {
    const socket = net.connect(Number(port), host, () => {
      socket.write(`*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join(""));
    });
    let text = "";
    socket.setTimeout(5000, () => socket.destroy(new Error(`no answer from ${addr} to ${words.join(" ")}`)));
    socket.on("error", fail);
    socket.on("data", (data) => {
      text += data;
      const bulk = /^\$(\d+)\r\n/.exec(text);
      if (bulk ? text.length >= bulk[0].length + Number(bulk[1]) + 2 : text.endsWith("\r\n")) {
        socket.end();
        done(text);
      }
    });
  });
}

async function must(addr, ...words) {
  const answer = await ask(addr, ...words);
  assert(!answer.startsWith("-"), `${addr}: ${words.join(" ")}: ${answer}`);
  return answer;
}

// A few requests a second, so that there is something to see.
function load(proxy) {
  const [host, port] = proxy.split(":");
  const socket = net.connect(Number(port), host);
  socket.on("error", () => {});
  socket.on("data", () => {});
  let count = 0;
  const timer = setInterval(() => {
    for (let n = 0; n < 40; n += 1) {
      count += 1;
      const key = `key:${count % 997}`;
      socket.write(count % 4 === 0 ? `SET ${key} value\r\n` : `GET ${key}\r\n`);
    }
  }, 20);
  return () => { clearInterval(timer); socket.destroy(); };
}

// Asks for one key, over and over.
function hammer(proxy, key) {
  const [host, port] = proxy.split(":");
  const socket = net.connect(Number(port), host);
  socket.on("error", () => {});
  socket.on("data", () => {});
  const timer = setInterval(() => socket.write(`GET ${key}\r\n`.repeat(30)), 20);
  return () => { clearInterval(timer); socket.destroy(); };
}

async function startDemo(admin) {
  const demo = spawn(slotway, ["demo", "--listen", "127.0.0.1:0", "--admin", `127.0.0.1:${admin}`], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  demo.stdout.on("data", (data) => { said += data; });
  await until("the demo starts", () => {
    assert.equal(demo.exitCode, null, "the demo ended");
    return said.includes("Ctrl-C");
  });
  const proxy = /proxy +(\S+)/.exec(said)[1];
  const shards = [...said.matchAll(/primary +(\S+) +slots (\S+) +replica (\S+)/g)].map(([, primary, , replica]) => ({ primary, replica }));
  assert.equal(shards.length, 3, said);
  const end = new Promise((done) => demo.on("exit", done));
  return { proxy, shards, stop: async () => { demo.kill("SIGINT"); await end; } };
}

async function main() {
  const admin = await freePort();
  const demo = await startDemo(admin);
  const stopLoad = load(demo.proxy);
  const profile = mkdtempSync(join(tmpdir(), "slotway-browser-"));
  let browser;
  try {
    browser = await chromium.launchPersistentContext(profile, {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
      viewport: { width: 1280, height: 1080 },
    });
    await look(browser, `http://127.0.0.1:${admin}/`, demo);
  } finally {
    await browser?.close();
    stopLoad();
    await demo.stop();
    rmSync(profile, { recursive: true, force: true });
  }
  step("the status page is as it should be");
}

async function look(browser, url, { proxy, shards }) {
  const page = await browser.newPage();
  const errors = [];
  page.on("console", (message) => { if (["error", "warning"].includes(message.type())) errors.push(message.text()); });
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("request", (request) => { if (!request.url().startsWith(url) && !request.url().startsWith("data:")) errors.push(`asked for ${request.url()}`); });
  const shot = async (name) => { if (folder) await page.screenshot({ path: join(folder, `${name}.png`) }); };
  const texts = (selector) => page.locator(selector).allTextContents();
  const owner = async (slot) => page.evaluate((slot) => {
    const ranges = [...document.querySelectorAll("#slots rect[data-first]")];
    const found = ranges.find((rect) => Number(rect.dataset.first) <= slot && slot <= Number(rect.dataset.last));
    return found && [found.dataset.node, found.style.fill];
  }, slot);

  step("the page loads and shows three shards");
  await page.goto(url);
  await until("ready", async () => (await page.textContent("#state")) === "ready");
  assert.equal((await page.locator("#slots rect[data-first]").count()), 3);
  assert.equal((await page.locator("#nodes tbody tr").count()), 6);
  for (const { primary } of shards) assert((await texts("#nodes tr.primary")).some((row) => row.includes(primary)), primary);
  await until("all is well", async () => (await texts("#problems .ok")).length === 1);
  await until("requests are counted", async () => /[1-9]/.test((await texts(".tile .value"))[0]));
  await pause(8000);
  await shot("page");

  step("hot keys and large values are shown once somebody asks for them");
  assert((await texts("#hotkeys")).join().includes("PROXY HOTKEYS ON"));
  await must(proxy, "PROXY", "HOTKEYS", "ON");
  const stopHot = hammer(proxy, "product:4711");
  await must(proxy, "SET", "report:2026", "x".repeat(300_000));
  await must(proxy, "GET", "report:2026");
  await ask(proxy, "LPUSH", "report:2026", "x");
  await until("the hot key is at the top", async () => (await texts("#hotkeys tr"))[0]?.includes("product:4711"));
  await until("the large value is shown", async () => (await texts("#bigkeys tr"))[0]?.includes("report:2026"));
  await until("an error tells for what it was", async () => (await texts("#errors .sample")).join().includes("LPUSH report:2026: WRONGTYPE"));
  await pause(5000);
  if (folder) await page.locator(".columns").screenshot({ path: join(folder, "keys.png") });
  stopHot();
  await page.evaluate(() => scrollTo(0, 0));

  step("a slot on the move is marked, and then has another owner");
  const [from, to] = [shards[0].primary, shards[1].primary];
  const id = async (addr) => /[0-9a-f]{40}/.exec(await must(addr, "CLUSTER", "MYID"))[0];
  const [fromId, toId] = [await id(from), await id(to)];
  const colour = (await owner(9000))[1];
  for (let slot = 0; slot < 600; slot += 1) {
    // No keys are moved: the slots are given over as they are, and this cluster is thrown away.
    if (slot === 300) {
      await must(to, "CLUSTER", "SETSLOT", "300", "IMPORTING", fromId);
      await must(from, "CLUSTER", "SETSLOT", "300", "MIGRATING", toId);
      await until("the move is marked", async () => (await page.locator("#slots rect[data-moving='300']").count()) === 1);
      assert((await texts("#migrations li")).join().includes(`${from} → ${to}`));
      await shot("moving");
    }
    await must(to, "CLUSTER", "SETSLOT", String(slot), "NODE", toId);
    await ask(from, "CLUSTER", "SETSLOT", String(slot), "NODE", toId);
  }
  await until("the new owner is shown", async () => (await owner(5))?.[0] === to && (await owner(599))?.[0] === to);
  assert.equal((await owner(5))[1], colour, "in the colour of its shard");
  await until("the change is told", async () => (await texts("#changes li")).some((text) => text.includes(`moved from ${from} to ${to}`)));
  await until("no move is marked any longer", async () => (await page.locator("#slots rect[data-moving]").count()) === 0);

  step("a failover is seen: the replica owns the slots, in the same colour");
  const { primary, replica } = shards[2];
  const before = await owner(16000);
  assert.equal(before[0], primary);
  await until("the replica takes over", async () => (await ask(replica, "CLUSTER", "FAILOVER")).startsWith("+OK"));
  await until("the replica is shown as the owner", async () => (await owner(16000))?.[0] === replica);
  assert.equal((await owner(16000))[1], before[1]);
  await until("the roles have changed", async () => (await texts("#nodes tr.primary")).some((row) => row.includes(replica)));
  await until("the failover is told", async () => (await texts("#changes li")).some((text) => text.includes(`${replica} took over`)));
  await shot("failover");

  step("a node that hangs is named within seconds");
  const sick = shards[1].primary;
  await must(sick, "CLIENT", "PAUSE", "12000", "ALL");
  await until("the banner names it", async () => (await texts("#problems .bad")).some((text) => text.includes(sick)));
  await until("its row is marked", async () => (await page.locator(`#nodes tr.bad[data-node="${sick}"]`).count()) === 1);
  await shot("sick");

  step("it can be read on a phone, and in the dark");
  await page.setViewportSize({ width: 390, height: 844 });
  await page.emulateMedia({ colorScheme: "dark" });
  await pause(1500);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert(wide <= 0, `${wide} pixels stick out`);
  if (folder) await page.screenshot({ path: join(folder, "phone.png"), fullPage: true });
  await page.setViewportSize({ width: 1280, height: 1080 });
  await pause(1200);
  await shot("dark");

  assert.deepEqual(errors, [], "nothing is complained of in the console");
}

await main();
