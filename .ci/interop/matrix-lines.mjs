// TCP proxies before the server: lines that are cut as by a tunnel, and a slow one.

import net from "node:net";
import { Transform } from "node:stream";
import { closeReason } from "./checks.mjs";
import { transportsOf } from "./matrix-clients.mjs";

export class Line {
  constructor({ port, hostname }, delay = 0) {
    this.requests = 0;    // HTTP requests that have come
    this.ends = new Set();
    this.listener = net.createServer((near) => {
      const far = net.connect(port, hostname);
      near.on("data", (data) => { this.requests += /^(GET|POST|OPTIONS) /.test(data.toString("latin1")); });
      near.pipe(slowly(delay)).pipe(far).pipe(slowly(delay)).pipe(near);
      [near, far].forEach((end) => this.watch(end));
    });
  }

  async start() {
    await new Promise((resolve) => { this.listener.listen(0, "127.0.0.1", resolve); });
    return `http://127.0.0.1:${this.listener.address().port}`;
  }

  cut() {
    this.ends.forEach((end) => end.destroy());
  }

  // Private.

  watch(end) {
    this.ends.add(end);
    end.on("error", () => {});
    end.on("close", () => this.ends.delete(end));
  }
}

function slowly(delay) {
  return new Transform({
    transform: (chunk, _encoding, done) => { setTimeout(done, delay * 1000, null, chunk); },
  });
}

// What the checks need of the world outside a client.
export async function surroundings(server, client) {
  const address = new URL(server);
  const lines = Object.fromEntries(transportsOf(client).map((transport) => [transport, new Line(address)]));
  const addresses = {};
  for (const [transport, line] of Object.entries(lines)) {
    addresses[transport] = await line.start();
  }
  return {
    server,
    lines: addresses,
    slowLine: await new Line(address, 0.02).start(),
    cut: (transport) => lines[transport].cut(),
    closeReason: (id) => closeReason(server, id, 15),
    report: (result) => { process.stdout.write(`${JSON.stringify(result)}\n`); },
  };
}
