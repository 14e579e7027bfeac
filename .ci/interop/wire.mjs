// Compares, byte by byte, the answers of app.py to clients of 2010 to 2012 with those of the servers of their time.
//
//     node wire.mjs http://127.0.0.1:PORT [words that the names of the scenarios must contain]
//
// The servers of their time are socket.io 0.6.18 and 0.9.19 from npm (wire-reference.cjs). Both sides get the same raw
// bytes in the same order. Ids and dates are taken out of the answers, and the old server's answers are rewritten as
// wire-scenarios.mjs says, each rewrite for the reason that stands there. After that nothing may differ, and a rewrite
// that no answer needs is a failure too.

import { spawn } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { check, finish, within } from "./checks.mjs";
import { REWRITES, SCENARIOS } from "./wire-scenarios.mjs";

const SECONDS = 20;
const NOT_THE_PROTOCOLS = new Set(["date", "keep-alive"]);    // headers of the HTTP server beneath

const [server, words = ""] = process.argv.slice(2);

// -- Talking ------------------------------------------------------------------------------

// One raw connection. Bytes that come are kept until they are taken from the front.
class Line {
  constructor(port) {
    this.bytes = Buffer.alloc(0);
    this.ended = false;
    this.changed = () => {};
    this.socket = net.connect(port, "127.0.0.1");
    this.socket.on("data", (data) => {
      this.bytes = Buffer.concat([this.bytes, data]);
      this.changed();
    });
    this.socket.on("error", () => {});
    this.socket.on("close", () => {
      this.ended = true;
      this.changed();
    });
  }

  send(bytes) {
    this.socket.write(bytes);
  }

  end() {
    this.socket.end();
  }

  // Waits until `look` returns something for the bytes that are there, and returns that.
  async until(what, look) {
    return within(SECONDS, what, (async () => {
      for (;;) {
        const found = look(this.bytes);
        if (found !== undefined) {
          return found;
        }
        if (this.ended) {
          throw new Error(`the connection ended before ${what}; it brought ${JSON.stringify(this.bytes.toString())}`);
        }
        await new Promise((resolve) => { this.changed = resolve; });
      }
    })());
  }

  take(length) {
    const taken = this.bytes.subarray(0, length);
    this.bytes = this.bytes.subarray(length);
    return taken;
  }

  async head() {
    const length = await this.until("the head of an answer", (bytes) => {
      const end = bytes.indexOf("\r\n\r\n");
      return end < 0 ? undefined : end + 4;
    });
    const [line, ...rest] = this.take(length).toString("latin1").trimEnd().split("\r\n");
    const headers = Object.fromEntries(rest.map((header) => {
      const colon = header.indexOf(":");
      return [header.slice(0, colon).toLowerCase(), header.slice(colon + 1).trim()];
    }).filter(([name]) => !NOT_THE_PROTOCOLS.has(name)));
    return { status: line.split(" ").slice(0, 2).join(" "), headers };
  }

  async chunk() {
    const [start, size] = await this.until("a chunk", (bytes) => {
      const end = bytes.indexOf("\r\n");
      return end < 0 ? undefined : [end + 2, parseInt(bytes.subarray(0, end).toString(), 16)];
    });
    await this.until("the rest of a chunk", (bytes) => (bytes.length >= start + size + 2 ? true : undefined));
    return this.take(start + size + 2).subarray(start, -2).toString();
  }

  async ending() {
    await this.until("the end of the connection", () => (this.ended ? true : undefined));
    return this.take(this.bytes.length).toString();
  }

  // Reads a whole answer. An answer of unknown length ends with its connection.
  async answer() {
    const { status, headers } = await this.head();
    const length = headers["content-length"];
    let body = "";
    if (length !== undefined) {
      await this.until("the body", (bytes) => (bytes.length >= Number(length) ? true : undefined));
      body = this.take(Number(length)).toString();
    } else if (headers["transfer-encoding"] === "chunked") {
      for (let chunk = await this.chunk(); chunk; chunk = await this.chunk()) {
        body += chunk;
      }
    } else if (!status.endsWith("204") && !status.endsWith("304")) {
      body = await this.ending();
    }
    return { status, headers, body };
  }
}

// One run of a scenario at one server. The values that `note` gets are compared.
class Stage {
  constructor({ port, policy, isReference = false }) {
    this.port = port;
    this.policy = policy;
    this.isReference = isReference;
    this.lines = [];
    this.noted = [];
    this.sids = [];
  }

  line(port = this.port) {
    const line = new Line(port);
    this.lines.push(line);
    return line;
  }

  note(step, heard) {
    this.noted.push([step, heard]);
    return heard;
  }

  // Remembers a sid, which is different in each run, so that a number can take its place in what is compared.
  knows(sid) {
    this.sids.push(sid);
    return sid;
  }

  closeAll() {
    this.lines.forEach((line) => line.socket.destroy());
  }

  // Private.

  anonymous(heard) {
    let text = JSON.stringify(heard);
    this.sids.forEach((sid, index) => {
      text = text.replaceAll(`~m~${sid.length}~m~${sid}`, `~m~{n}~m~${sid}`).replaceAll(sid, `{sid ${index + 1}}`);
    });
    return JSON.parse(text);
  }

  result() {
    return this.noted.map(([step, heard]) => {
      const known = this.anonymous(heard);
      if (known?.headers?.["content-length"] !== undefined) {    // `answer` has read just so many bytes
        known.headers["content-length"] = "{length}";
      }
      return [step, known];
    });
  }
}

async function act(scenario, address) {
  const stage = new Stage(address);
  try {
    await scenario(stage);
  } catch (error) {
    stage.note("it stopped", error.message);
  } finally {
    stage.closeAll();
  }
  return stage.result();
}

// -- Comparing ----------------------------------------------------------------------------

const used = new Set();

function rewritten(name, step, theirs) {
  let heard = theirs;
  for (const rewrite of REWRITES) {
    if (rewrite.where.test(`${name}: ${step}`)) {
      const next = rewrite.rewrite(structuredClone(heard));
      if (canonical(next) !== canonical(heard)) {
        used.add(rewrite);
        heard = next;
      }
    }
  }
  return heard;
}

function canonical(value) {
  return JSON.stringify(value, (_key, item) => (
    item && typeof item === "object" && !Array.isArray(item) ? Object.fromEntries(Object.entries(item).sort()) : item));
}

async function compare(name, scenario, theirAddress, ourAddress) {
  const [theirs, ours] = await Promise.all([theirAddress, ourAddress].map((address) => act(scenario, address)));
  const differences = [];
  for (let index = 0; index < Math.max(theirs.length, ours.length); index += 1) {
    const [step, heard] = theirs[index] ?? ["nothing more", null];
    const [ourStep, ourHeard] = ours[index] ?? ["nothing more", null];
    const [expected, got] = [canonical(rewritten(name, step, heard)), canonical(ourHeard)];
    if (step !== ourStep || expected !== got) {
      differences.push(`\n    ${step}\n      theirs ${canonical(heard)}\n      wanted ${expected}\n      ours   ${step === ourStep ? "" : `(${ourStep}) `}${got}`);
    }
  }
  if (differences.length > 0) {
    console.log(`${name}:${differences.join("")}`);
    throw new Error(`${differences.length} of ${theirs.length} answers differ`);
  }
}

// -- The servers --------------------------------------------------------------------------

const processes = [];

async function startReference(version) {
  const script = fileURLToPath(new URL("wire-reference.cjs", import.meta.url));
  const child = spawn(process.execPath, ["--no-deprecation", script, version], { stdio: ["pipe", "pipe", "inherit"] });
  processes.push(child);
  const [ready] = await within(SECONDS, `the server of ${version}`, once(createInterface({ input: child.stdout }), "line"));
  const [, port, policy] = ready.split(" ").map(Number);
  return { port, policy, isReference: true };
}

const { "flash policy": policy } = await (await fetch(`${server}/ports`)).json();
const ours = { port: Number(new URL(server).port), policy };
const references = { "0.6": await startReference("0.6"), "0.9": await startReference("0.9") };

const wanted = Object.entries(SCENARIOS).filter(([name]) => name.includes(words));
await Promise.all(wanted.map(([name, scenario]) => (
  check(name, () => compare(name, scenario, references[name.split(" ")[0]], ours), 90))));
if (!words) {
  await check("every expected difference is one", () => {
    const stale = REWRITES.filter((rewrite) => !used.has(rewrite)).map(({ reason }) => reason);
    if (stale.length > 0) {
      throw new Error(`nothing needs: ${stale.join("; ")}`);
    }
  });
}
processes.forEach((child) => child.kill());
finish();
