// The Socket.IO 0.6 browser client, of 2010, on pages in a headless Chromium whose origin is not the server's.
//
// CHROMIUM in the environment names another browser than /usr/bin/chromium.

import { readFile } from "node:fs/promises";
import http from "node:http";
import { chromium } from "playwright-core";

const CLIENT = "node_modules/server-0.6.18/support/socket.io-client/socket.io.js";

const BROWSER = {
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync"],
};

export async function launch() {
  return chromium.launch({ ...BROWSER, timeout: 30_000 });
}

// Serves the page that an Ancestor opens; resolves to its address.
export async function servePage() {
  const files = {
    "/": ["text/html", await readFile(new URL("ancestor.html", import.meta.url))],
    "/socket.io.js": ["text/javascript", await readFile(new URL(CLIENT, import.meta.url))],
  };
  const listener = http.createServer((request, response) => {
    const [type, content] = files[request.url] ?? ["text/plain", ""];
    response.writeHead(content ? 200 : 404, { "Content-Type": `${type}; charset=utf-8` }).end(content);
  });
  await new Promise((resolve) => { listener.listen(0, "127.0.0.1", resolve); });
  return `http://127.0.0.1:${listener.address().port}/`;
}

// One page with one client, because two jsonp-polling clients on one page break each other. The page has a context of
// its own, because pages of one context share connections.
export class Ancestor {
  static async open(browser, address, transport) {
    const context = await browser.newContext();
    const ancestor = new Ancestor(await context.newPage(), transport);
    await ancestor.page.goto(address);
    return ancestor;
  }

  constructor(page, transport) {
    this.page = page;
    this.transport = transport;
  }

  // Begins to connect; `options` are those of io.Socket.
  begin(server, options = {}) {
    const all = { resource: "socket.io", transports: [this.transport], reconnect: false, ...options };
    return this.page.evaluate(([port, given]) => connectTo(port, given), [Number(new URL(server).port), all]);
  }

  async connect(server, options) {
    await this.begin(server, options);
    await this.until("it is connected", () => connects === 1);
  }

  send(...messages) {
    return this.page.evaluate((all) => sendAll(all), messages);
  }

  wish(name, ...args) {
    return this.send({ wish: name, args });
  }

  // Waits until this client has heard `count` messages, and returns all of them.
  async hears(count) {
    await this.until(`it has heard ${count} messages`, (number) => heard.length >= number, count);
    return this.page.evaluate(() => heard);
  }

  // Waits until `count` texts with this tag at their end were told, and returns these.
  async isTold(count, tag) {
    const find = ([number, end]) => told.filter((text) => text.slice(-end.length) === end).length >= number;
    await this.until(`it is told ${count} texts`, find, [count, tag]);
    const texts = await this.page.evaluate(() => told);
    return texts.filter((text) => text.endsWith(tag)).map((text) => text.slice(0, -tag.length));
  }

  forget() {
    return this.page.evaluate(() => { heard = []; });
  }

  async whoAmI() {
    await this.wish("who am i");
    const [answer] = await this.hears(1);
    await this.forget();
    return answer;
  }

  sid() {
    return this.page.evaluate(() => client.transport.sessionid);
  }

  async until(what, condition, argument, seconds = 15) {
    try {
      await this.page.waitForFunction(condition, argument, { timeout: seconds * 1000, polling: 20 });
    } catch {
      throw new Error(`waited ${seconds} s until ${what}; the page heard ${await this.page.evaluate(() => JSON.stringify(heard).slice(0, 300))}`);
    }
  }

  close() {
    return this.page.context().close();
  }
}
