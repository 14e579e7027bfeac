// Clients from npm, which speak through one front of proxies.py, and hear what they have said.
//
//     node proxies-clients.mjs http://127.0.0.1:PORT SECONDS
//
// Prints a line for each problem, then how often a client has heard itself.

import { createRequire } from "node:module";

const [server, seconds] = process.argv.slice(2);
const require = createRequire(new URL("../interop/package.json", import.meta.url));
const KINDS = [
  ["4.8", require("client-4.8.4"), ["polling"]],
  ["4.8", require("client-4.8.4"), ["polling", "websocket"]],
  ["2.5", require("client-2.5.0"), ["polling"]],
  ["2.5", require("client-2.5.0"), ["polling", "websocket"]],
];
const EACH = 3;
const PATIENCE = 20;    // seconds

const end = Date.now() + 1000 * seconds;
const problems = [];
let heard = 0;

function next(socket, name) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`waited ${PATIENCE} s for "${name}"`)), 1000 * PATIENCE);
    socket.once(name, (value) => { clearTimeout(timer); resolve(value); });
  });
}

async function speak([version, io, transports], number) {
  const name = `npm${version.replace(".", "")}${transports.length}x${number}p${process.pid}`;
  const socket = io(server, { transports, forceNew: true, reconnection: false });
  socket.on("disconnect", (reason) => Date.now() < end && problems.push(`${name} was disconnected: ${reason}`));
  await next(socket, "connect");
  for (let count = 0; Date.now() < end; count += 1) {
    const text = `tag-${name}-${count}-${"x".repeat(count % 20 === 7 ? 950_000 : count)}`;
    const echoed = next(socket, "message");
    socket.send(text);
    const got = await echoed;
    if (got !== text) {
      throw new Error(`${name} hears ${String(got).slice(0, 80)}, not ${text.slice(0, 80)}`);
    }
    heard += 1;
  }
  socket.disconnect();
}

const speaking = KINDS.flatMap((kind) => Array.from({ length: EACH }, (_, number) => speak(kind, number)));
const ended = await Promise.allSettled(speaking);
problems.push(...ended.filter(({ reason }) => reason).map(({ reason }) => reason.message));
console.log([...problems, `${heard} heard`].join("\n"));
process.exit(problems.length > 0 ? 1 : 0);
