// One client of the matrix in a headless Chromium, on a page whose origin is not the server's; matrix.mjs starts it.
//
//     node matrix-chromium.mjs http://127.0.0.1:PORT CLIENT [words]      prints one JSON object per check

import { readFile } from "node:fs/promises";
import http from "node:http";
import { launch } from "./ancestor-client.mjs";
import { CLIENTS, titleOf, transportsOf } from "./matrix-clients.mjs";
import { surroundings } from "./matrix-lines.mjs";

const [server, title, words = ""] = process.argv.slice(2);

const PAGE = `<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>A client</title><link rel="icon" href="data:,"><script src="client.js"></script></head>
<body></body></html>`;

const client = CLIENTS.find((one) => titleOf(one) === title);

// Each transport has a page and a context of its own: Chromium opens six connections to a server per context.
async function actOnPage(browser, world, transport) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on("pageerror", (error) => console.error(`${title} ${transport}: ${error.message}`));
  await page.exposeFunction("cut", world.cut);
  await page.exposeFunction("closeReason", world.closeReason);
  await page.exposeFunction("report", world.report);
  await page.goto(world.page);
  await page.evaluate(async ({ title, transport, words, server, lines, slowLine }) => {
    const { actOver } = await import("/matrix-checks.mjs");
    const { CLIENTS, titleOf, wayOf } = await import("/matrix-clients.mjs");
    const client = CLIENTS.find((one) => titleOf(one) === title);
    const bytes = (numbers) => new Uint8Array(numbers).buffer;
    const stage = { io: window.io, server, lines, slowLine, cut, closeReason, report, bytes };
    await actOver(client, wayOf(client, transport), stage, words);
  }, { title, transport, words, server: world.server, lines: world.lines, slowLine: world.slowLine });
  await context.close();
}

async function servePages() {
  const files = {
    "/": ["text/html", PAGE],
    "/client.js": ["text/javascript", await readFile(new URL(`node_modules/${client.bundle}`, import.meta.url))],
    "/matrix-checks.mjs": ["text/javascript", await readFile(new URL("matrix-checks.mjs", import.meta.url))],
    "/matrix-clients.mjs": ["text/javascript", await readFile(new URL("matrix-clients.mjs", import.meta.url))],
  };
  const listener = http.createServer((request, response) => {
    const [type, content] = files[request.url] ?? ["text/plain", ""];
    response.writeHead(content ? 200 : 404, { "Content-Type": `${type}; charset=utf-8` }).end(content);
  });
  await new Promise((resolve) => { listener.listen(0, "127.0.0.1", resolve); });
  return `http://127.0.0.1:${listener.address().port}/`;
}

const world = { ...await surroundings(server, client), page: await servePages() };
const browser = await launch();
try {
  await Promise.all(transportsOf(client).map((transport) => actOnPage(browser, world, transport)));
} finally {
  await browser.close();
}
process.exit();
