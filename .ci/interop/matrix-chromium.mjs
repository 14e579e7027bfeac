// One client of the matrix in a headless Chromium, on a page whose origin is not the server's; matrix.mjs starts it.
//
//     node matrix-chromium.mjs http://127.0.0.1:PORT CLIENT [words]      prints one JSON object per check

import { readFile } from "node:fs/promises";
import http from "node:http";
import { launch } from "./ancestor-client.mjs";
import { clientOf, transportsOf } from "./matrix-clients.mjs";
import { surroundings } from "./matrix-lines.mjs";

const [server, title, words = ""] = process.argv.slice(2);

const PAGE = `<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>A client</title><link rel="icon" href="data:,"><script src="client.js"></script></head>
<body></body></html>`;

const client = clientOf(title);
const world = surroundings(server);
const SCRIPTS = ["checks.mjs", "matrix-asking.mjs", "matrix-checks.mjs", "matrix-clients.mjs"];    // pages load these

// Each transport has a page and a context of its own: Chromium opens six connections to a server per context.
async function actOnPage(browser, address, transport) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`${title} ${transport}: ${error.message}`));
  for (const name of ["openLine", "cutLine", "closeReason", "report"]) {
    await page.exposeFunction(name, world[name]);
  }
  await page.goto(address);
  await page.evaluate(async ({ title, transport, words, server }) => {
    const { actOver } = await import("/matrix-checks.mjs");
    const { clientOf, wayOf } = await import("/matrix-clients.mjs");
    const client = clientOf(title);
    const bytes = (numbers) => new Uint8Array(numbers).buffer;
    const stage = { io: window.io, server, openLine, cutLine, closeReason, report, bytes };
    await actOver(client, wayOf(client, transport), stage, words);
  }, { title, transport, words, server });
  await context.close();
}

async function servePages() {
  const files = {
    "/": ["text/html", PAGE],
    "/client.js": ["text/javascript", await readFile(new URL(`node_modules/${client.bundle}`, import.meta.url))],
  };
  for (const script of SCRIPTS) {
    files[`/${script}`] = ["text/javascript", await readFile(new URL(script, import.meta.url))];
  }
  const listener = http.createServer((request, response) => {
    const [type, content] = files[request.url] ?? ["text/plain", ""];
    response.writeHead(content ? 200 : 404, { "Content-Type": `${type}; charset=utf-8` }).end(content);
  });
  await new Promise((resolve) => { listener.listen(0, "127.0.0.1", resolve); });
  return `http://127.0.0.1:${listener.address().port}/`;
}

const address = await servePages();
const browser = await launch();
try {
  await Promise.all(transportsOf(client).map((transport) => actOnPage(browser, address, transport)));
} finally {
  await browser.close();
}
process.exit();
