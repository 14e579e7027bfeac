// A page of the server's own, in Chromium, through each proxy and under a path too; check.py starts this.
//
//     node pages.mjs '[{"name": "nginx", "address": "https://localhost:PORT", "prefix": ""}, ...]'
//
// A problem is a line that begins with FAILED; the last line says how many pages have connected.

import { inShort } from "../interop/checks.mjs";
import { launch } from "../interop/ancestor-client.mjs";

const fronts = JSON.parse(process.argv[2]);
let connected = 0;

// Runs in the page: its script has come from our server, and it connects to where it comes from, by polling, then WebSocket.
async function connect() {
  const socket = io({ path: `${location.pathname}socket.io` });
  const upgraded = new Promise((resolve) => { socket.io.engine.on("upgrade", resolve); });
  await new Promise((resolve, reject) => { socket.on("connect", resolve).on("connect_error", reject); });
  await upgraded;
  const who = await socket.timeout(10_000).emitWithAck("who");
  const polls = performance.getEntriesByType("resource").filter(({ name }) => name.includes("transport=polling"));
  return { who, spoken: [...new Set(polls.map(({ nextHopProtocol }) => nextHopProtocol))] };
}

async function visit(browser, { name, address, prefix }) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  try {
    await page.goto(`${address}${prefix}/`);
    const { who, spoken } = await page.evaluate(connect);
    const got = JSON.stringify([who.transport, who.scheme, who.dialect, spoken]);
    if (got !== '["websocket","https","EIO4",["h2"]]') {
      throw new Error(`the page got ${got}`);
    }
    connected += 1;
  } catch (error) {
    console.log(`FAILED ${name}: ${inShort(error)}`);
  }
  await context.close();
}

const browser = await launch();
try {
  await Promise.all(fronts.map((front) => visit(browser, front)));
} finally {
  await browser.close();
}
console.log(`${connected} pages`);
process.exit();
