// TCP proxies before the server: lines that are slow, or are cut as by a tunnel.

import net from "node:net";
import { Transform } from "node:stream";
import { closeReason, pause } from "./checks.mjs";

export class Line {
  constructor({ port, hostname }, delay = 0) {
    this.requests = 0;    // HTTP requests that have come
    this.isDown = false;
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

  // Ends all connections, and takes no new ones for so many seconds.
  async cut(seconds = 0) {
    this.isDown = seconds > 0;
    this.ends.forEach((end) => end.destroy());
    await pause(seconds);
    this.isDown = false;
  }

  // Private.

  watch(end) {
    this.ends.add(end);
    end.on("error", () => {});
    end.on("close", () => this.ends.delete(end));
    if (this.isDown) {
      end.destroy();
    }
  }
}

function slowly(delay) {
  return new Transform({
    transform: (chunk, _encoding, done) => { setTimeout(done, delay * 1000, null, chunk); },
  });
}

// What the checks need of the world outside a client, as matrix-asking.mjs describes it; the rest depends on the client.
export function surroundings(server) {
  const lines = [];
  return {
    server,
    async openLine(delay) {
      const line = new Line(new URL(server), delay);
      return { address: await line.start(), number: lines.push(line) - 1 };
    },
    cutLine: (number, seconds) => lines[number].cut(seconds),
    closeReason: (id) => closeReason(server, id, 15),
    report: (result) => { process.stdout.write(`${JSON.stringify(result)}\n`); },
  };
}
