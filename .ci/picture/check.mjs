// Opens the pages of example_app.py in a headless Chromium, uses them with mouse and keyboard, and saves the picture.
//
//     node check.mjs PYTHON FILE

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cp, mkdtemp, rm, stat } from "node:fs/promises";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { launch } from "../interop/ancestor-client.mjs";

const [python, file] = process.argv.slice(2);
const EXAMPLE = fileURLToPath(new URL("../../example_app.py", import.meta.url));
const MODULES = fileURLToPath(new URL("../interop/node_modules/", import.meta.url));
const CLIENTS = {
  "0.6": "server-0.6.18/support/socket.io-client/socket.io.js",
  "0.9": "client-0.9.17/dist/socket.io.js",
  "2.5": "client-2.5.0/dist/socket.io.js",
  "4.8": "client-4.8.4/dist/socket.io.js",
};
const LARGEST_PICTURE = 200_000;    // bytes; the README shows it

// -- The server ----------------------------------------------------------------------------

class Example {
  static async start(...options) {
    const port = await freePort();
    const server = spawn(python, [EXAMPLE, `--port=${port}`, ...options]);
    process.on("exit", () => server.kill());    // also when a check has failed
    const example = new Example(server, `http://localhost:${port}/`);
    await eventually("the server listens", () => example.log.includes("listening on port"));
    return example;
  }

  constructor(server, address) {
    Object.assign(this, { server, address, log: "" });
    server.stderr.on("data", (data) => { this.log += data; });
  }

  // The transports that sessions ended with, by the dialect of the client.
  lastTransports() {
    const ends = this.log.matchAll(/an (\S+) client from \S+, last over (\S+)/g);
    return Object.fromEntries([...ends].map(([, dialect, transport]) => [dialect, transport]));
  }

  async end() {
    this.server.kill();
    await eventually("the server has ended", () => this.server.exitCode !== null || this.server.signalCode !== null);
    assert.equal(this.server.exitCode, 0, this.log);
    assert.doesNotMatch(this.log, /Traceback|ERROR|\[[EC] /, this.log);
  }
}

function freePort() {
  return new Promise((resolve) => {
    const listener = net.createServer().listen(0, "127.0.0.1", () => {
      const { port } = listener.address();
      listener.close(() => resolve(port));
    });
  });
}

async function eventually(what, condition, seconds = 10) {
  const end = Date.now() + seconds * 1000;
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`waited ${seconds} s until ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

async function open(browser, address, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1000, height: 646 }, colorScheme: "light", ...options });
  const page = await context.newPage();
  page.on("pageerror", (error) => errors.push(`${address}: ${error.message}`));
  await page.goto(address);
  return page;
}

// -- The chat ------------------------------------------------------------------------------

async function enter(browser, example, name, options) {
  const page = await open(browser, example.address, options);
  await page.fill("#name", name);
  await page.click("#door .main");
  await page.waitForSelector("#app.on");
  return page;
}

async function write(page, text) {
  await page.fill("#text", text);
  await page.keyboard.press("Enter");
}

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

async function checkChat(browser, ...options) {
  const example = await Example.start(...options);
  const [ada, bob] = [await enter(browser, example, "Ada"), await enter(browser, example, "Bob 🦊", PHONE)];
  await ada.locator("#people li", { hasText: "Bob 🦊socket.io 4 · websocket" }).waitFor();
  await write(ada, "hello");
  await bob.locator("#log li:not(.secret)", { hasText: "hello" }).waitFor();
  await ada.click("#people li:last-child");
  assert.match(await ada.textContent("#to"), /Privately to Bob 🦊/);
  await write(ada, "for you");
  await bob.locator("#log li.secret", { hasText: "for you" }).waitFor();
  await ada.locator("#log li.secret", { hasText: "delivered ✓" }).waitFor();
  assert.ok(await ada.isHidden("#to"), "a private message was sent, and its receiver is still chosen");
  await Promise.all([ada, bob].map((page) => page.context().close()));
  await example.end();
  assert.deepEqual(example.lastTransports(), { EIO4: "websocket" });
}

// -- The picture ---------------------------------------------------------------------------

const numbers = (count) => Array.from({ length: count }, (_, number) => number);
const curve = (from, to, y, steps = 40) => numbers(steps + 1).map((n) => from + (to - from) * n / steps).map((x) => [x, y(x)]);
const circle = (x, y, radius) =>
  numbers(25).map((n) => n * Math.PI / 12).map((angle) => [x + radius * Math.cos(angle), y + radius * Math.sin(angle)]);
const ray = (n) => [82, 112].map((radius) => circle(790, 150, radius)[n * 2 % 24]);
const hills = (x) => 300 - 60 * Math.sin((x - 40) / 150) - 20 * Math.sin(x / 61);
const wave = (y) => (x) => y + 9 * Math.sin(x / 22);

// The strokes of each client, in thousandths of the width of its paper.
const STROKES = {
  "2.5": [curve(30, 970, hills)],
  "0.9": [circle(790, 150, 55), ...numbers(12).map(ray)],
  "0.6": [
    [[180, hills(180)], [180, 170], [320, 170], [320, hills(320)]],    // a house on the first hill
    [[160, 180], [250, 95], [340, 180]],
    [[232, hills(232)], [232, 205], [268, 205], [268, hills(268)]],
    [[295, 138], [295, 90], [312, 90], [312, 154]],
    curve(0, 1, (n) => n).map(([n]) => [303 + 9 * Math.sin(n * 12) + 30 * n, 78 - 60 * n]),
  ],
  "4.8": [
    curve(30, 970, wave(430), 90),
    curve(30, 970, wave(465), 90),
    [[560, 395], [580, 420], [680, 420], [705, 395], [560, 395]],    // a boat
    [[630, 393], [630, 285], [690, 378], [630, 378]],
  ],
};

async function drawWith(page, pane, strokes) {
  const paper = await pane.locator("#paper").boundingBox();
  const scale = paper.width / 1000;
  for (const [first, ...rest] of strokes) {
    await page.mouse.move(paper.x + first[0] * scale, paper.y + first[1] * scale);
    await page.mouse.down();
    for (const [x, y] of rest) {
      await page.mouse.move(paper.x + x * scale, paper.y + y * scale, { steps: rest.length > 5 ? 1 : 4 });
    }
    await page.mouse.up();
  }
}

async function checkPicture(browser, folder) {
  const example = await Example.start("--generations", `--client-path=${folder}`);
  const page = await open(browser, example.address, { deviceScaleFactor: 2 });
  const paneOf = (version) => page.frameLocator(`iframe[src*="version=${version}"]`);
  const panes = Object.keys(CLIENTS).map(paneOf);
  const transports = () => Promise.all(panes.map((pane) => pane.locator("#transport").textContent()));
  const drawn = () => Promise.all(panes.map((pane) => pane.locator("#paper").innerHTML()));
  const show = async (...expected) => {
    await eventually(`the transports are ${expected}`, async () => String(await transports()) === String(expected));
  };

  await show("websocket", "websocket", "websocket", "websocket");
  await paneOf("0.6").locator("#transport").click();
  await show("xhr-polling", "websocket", "websocket", "websocket");
  for (const [version, strokes] of Object.entries(STROKES)) {
    const [before] = await drawn();
    await drawWith(page, paneOf(version), strokes);
    await eventually(`all panes show what ${version} has drawn`, async () => {
      const own = await paneOf(version).locator("#paper").innerHTML();
      return own.length > before.length && (await drawn()).every((picture) => picture === own);
    });
    console.log(`ok     ${version} draws, and all panes show it`);
  }
  await page.mouse.move(0, 0);
  await page.screenshot({ path: file });

  const late = await open(browser, `${example.address}pane?version=4.8&year=2024&ink=3`);
  const [picture] = await drawn();
  await eventually("who comes later sees the picture", async () => await late.innerHTML("#paper") === picture);
  await page.click("text=Clear");
  await eventually("the picture is cleared in all panes", async () => String(await drawn()) === ",,,");
  await Promise.all([late, page].map((each) => each.context().close()));
  await example.end();
  assert.deepEqual(example.lastTransports(), {
    "0.6": "xhr-polling", "0.9": "websocket", "EIO3": "websocket", "EIO4": "websocket",
  });
}

async function step(name, work) {
  await work();
  assert.deepEqual(errors, [], "pages had errors");
  console.log(`ok     ${name}`);
}

const errors = [];
process.on("SIGTERM", () => process.exit(1));    // so that the servers are ended
const folder = await mkdtemp(path.join(os.tmpdir(), "clients-"));
for (const [version, script] of Object.entries(CLIENTS)) await cp(MODULES + script, path.join(folder, `${version}.js`));
const browser = await launch();
try {
  const official = `--client-path=${MODULES}socket.io-client/dist`;
  await step("people talk in the chat", () => checkChat(browser, official));
  await step("they do without the official client", () => checkChat(browser, `--client-path=${folder}`));
  await step("four generations draw one picture", () => checkPicture(browser, folder));
  const { size } = await stat(file);
  assert.ok(size < LARGEST_PICTURE, `${file} has ${size} bytes`);
  console.log(`saved  ${file}, ${size} bytes`);
} finally {
  await browser.close();
  await rm(folder, { recursive: true });
}
process.exit();
