// One client of the matrix in Node, in a process of its own; matrix.mjs starts it.
//
//     node matrix-node.mjs http://127.0.0.1:PORT CLIENT [words]      prints one JSON object per check

import events from "node:events";
import { createRequire } from "node:module";
import { act } from "./matrix-checks.mjs";
import { CLIENTS, titleOf, transportsOf } from "./matrix-clients.mjs";
import { surroundings } from "./matrix-lines.mjs";

const [server, title, words = ""] = process.argv.slice(2);

const require = createRequire(import.meta.url);
const client = CLIENTS.find((one) => titleOf(one) === title);
process.EventEmitter = events.EventEmitter;    // where 0.7 looks for it, as Node had it there in 2011
const io = require(client.package);
const fetchTransport = transportsOf(client).includes("fetch") ? engineOf(client).Fetch : undefined;

await act(client, { ...await surroundings(server, client), io, bytes: Buffer.from }, words, fetchTransport);
process.exit();

// The engine that this client itself uses.
function engineOf({ package: name }) {
  return createRequire(require.resolve(name))("engine.io-client");
}
