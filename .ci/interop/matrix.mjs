// The matrix: real clients of every generation, each in a process of its own, over each of its transports.
//
//     node matrix.mjs http://127.0.0.1:PORT [--python PYTHON] [--clients WORDS] [--checks WORDS] [--table FILE]
//     node matrix.mjs http://127.0.0.1:PORT --newest [--checks WORDS]
//
// Prints a table of passed/total, which --table also writes to a file, then a line for each failed check. WORDS must be
// contained in the names of the clients ("1.7.4 Node") or of the checks. Without --python there are no Python clients.
// With --newest there is one client, the newest, which is asked in depth.

import { spawn } from "node:child_process";
import { access, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CLIENTS, NEWEST, TRANSPORTS, titleOf, transportsOf } from "./matrix-clients.mjs";

const AT_ONCE = { "Node": 3, "Python": 2, "Chromium": 2 };    // processes; a browser needs the processor most
const SECONDS = 300;    // for one client, over all its transports
const SCRIPTS = { "Node": "matrix-node.mjs", "Chromium": "matrix-chromium.mjs" };

const { values: options, positionals: [server] } = parseArgs({
  allowPositionals: true,
  options: {
    python: { type: "string" },
    clients: { type: "string", default: "" },
    checks: { type: "string", default: "" },
    table: { type: "string" },
    newest: { type: "boolean", default: false },
  },
});

const failures = [];    // a line for each, printed at once and again at the end, where readers of a long log look

// -- Running ------------------------------------------------------------------------------

// Counts, for each transport, the checks that one client reports. A client that ends early or reports nothing has failed.
async function run(client) {
  const title = titleOf(client);
  const cells = Object.fromEntries(transportsOf(client).map((transport) => [transport, { passed: 0, failed: 0 }]));
  const started = Date.now();
  try {
    const commands = await commandsFor(client);
    await Promise.all(commands.map((command) => runCommand(command, (line) => count(title, cells, JSON.parse(line)))));
  } catch (error) {
    fail(title, cells, transportsOf(client)[0], "gets to the end", error.message);
  }
  console.log(`${title}: ${Math.round((Date.now() - started) / 1000)} s`);
  for (const [transport, { passed, failed }] of Object.entries(cells)) {
    if (passed + failed === 0) {
      fail(title, cells, transport, "does anything at all", "it reported no check");
    }
  }
  return cells;
}

// The commands that make a client act.
async function commandsFor(client) {
  if (client.place === "Python") {
    const python = await environmentOf(client);
    return transportsOf(client).map((transport) => [
      python, fileOf("matrix_client.py"), server, client.library, transport, client.dialect.name, options.checks,
      Object.keys({ ...client.skips?.["*"], ...client.skips?.[transport] }).join(";")]);
  }
  return [[process.execPath, "--no-deprecation", fileOf(client.script ?? SCRIPTS[client.place]), server, titleOf(client), options.checks]];
}

// The interpreter of an environment with just this client; made once, beside the clients from npm.
async function environmentOf({ version, requirements }) {
  const folder = fileOf(`node_modules/.venv-${version.replaceAll(" ", "-")}`);
  const python = `${folder}/bin/python`;
  if (await access(`${folder}/ready`).then(() => false, () => true)) {
    await runCommand([options.python, "-m", "venv", "--clear", folder]);
    await runCommand([python, "-m", "pip", "install", "--quiet", "--quiet", "--disable-pip-version-check", ...requirements]);
    await writeFile(`${folder}/ready`, "");
  }
  return python;
}

async function runCommand([program, ...args], onLine = () => {}) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
  const clock = setTimeout(() => child.kill("SIGKILL"), SECONDS * 1000);
  const ended = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => resolve(signal ?? status));
  });
  ended.catch(() => {});
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      onLine(line);
    }
    const how = await ended;
    if (how !== 0) {
      throw new Error(`${args.slice(0, 2).join(" ")} ended with ${how}`);
    }
  } finally {
    clearTimeout(clock);
    child.kill("SIGKILL");
  }
}

function fileOf(name) {
  return fileURLToPath(new URL(name, import.meta.url));
}

function count(title, cells, { transport, check, error }) {
  if (error) {
    fail(title, cells, transport, check, error);
  } else {
    cells[transport].passed += 1;
  }
}

function fail(title, cells, transport, check, error) {
  cells[transport].failed += 1;
  failures.push(`FAILED ${title} ${transport}: ${check}: ${error}`);
  console.log(failures.at(-1));
}

async function runAll(clients) {
  const rows = new Map(clients.map((client) => [client, {}]));
  const runSome = async (waiting) => {
    while (waiting.length > 0) {
      const client = waiting.shift();
      rows.set(client, await run(client));
    }
  };
  await Promise.all(Object.entries(AT_ONCE).flatMap(([place, count]) => {
    const waiting = clients.filter((client) => client.place === place);
    return Array.from({ length: count }, () => runSome(waiting));
  }));
  return rows;
}

// -- The table ----------------------------------------------------------------------------

// Clients of one place with the same results share a line.
function tableOf(rows) {
  const columns = options.newest ? transportsOf(NEWEST) : TRANSPORTS;
  const lines = new Map();
  for (const [{ place, version }, cells] of rows) {
    const line = [place, ...columns.map((transport) => cellOf(cells[transport]))].join(" | ");
    lines.set(line, [...(lines.get(line) ?? []), version]);
  }
  const head = ["Clients", "in", ...columns].join(" | ");
  const body = [...lines].map(([line, versions]) => `${versions.join(", ")} | ${line}`);
  const ruler = ["---", "---", ...columns.map(() => "---")].join(" | ");
  return [...[head, ruler, ...body].map((line) => `| ${line} |`), "", ...notesOf([...rows.keys()])].join("\n");
}

function cellOf(cell) {
  return cell ? `${cell.passed}/${cell.passed + cell.failed}` : "-";
}

// The reasons for each dash and for each check that is left out.
function notesOf(clients) {
  if (options.newest) {
    return [];
  }
  const notes = new Map();
  const note = (reason, who) => notes.set(reason, [...(notes.get(reason) ?? []), who]);
  for (const client of clients) {
    for (const [transport, reason] of Object.entries(client.cannot).filter(([, reason]) => reason)) {
      note(`no ${transport}: ${reason}`, titleOf(client));
    }
    for (const [transport, skipped] of Object.entries(client.skips ?? {})) {
      for (const [check, reason] of Object.entries(skipped)) {
        note(`not "${check}"${transport === "*" ? "" : ` over ${transport}`}: ${reason}`, titleOf(client));
      }
    }
  }
  return [...notes].map(([reason, who]) => `* ${who.length > 6 ? `${who.length} clients` : who.join(", ")}: ${reason}`);
}

const wanted = (client) => titleOf(client).includes(options.clients) && (client.place !== "Python" || options.python);
const rows = await runAll(options.newest ? [NEWEST] : CLIENTS.filter(wanted));
const cells = [...rows.values()].flatMap((row) => Object.values(row));
const [passed, failed] = ["passed", "failed"].map((key) => cells.reduce((sum, cell) => sum + cell[key], 0));
const table = tableOf(rows);
console.log(table);
if (options.table) {
  await writeFile(options.table, `${table}\n`);
}
console.log([...failures, `${passed} passed, ${failed} failed`].join("\n"));
process.exit(failed === 0 && passed > 0 ? 0 : 1);
