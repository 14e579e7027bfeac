// Waits that end, and checks that run one after the other and are counted.
//
// This file imports nothing, so that pages can load it; `check`, `finish` and `closeReason` are for Node.

const counted = { passed: 0, failed: 0 };

// Runs one check and prints its line. The limit catches what no wait inside the check has caught.
export async function check(name, body, seconds = 30) {
  try {
    await within(seconds, "the end of the check", body());
    counted.passed += 1;
    console.log(`ok ${name}`);
  } catch (error) {
    counted.failed += 1;
    console.log(`FAILED ${name}: ${inShort(error)}`);
  }
}

// Prints the count and ends the process: sockets that a failed check left open must not keep it alive.
export function finish() {
  console.log(`${counted.passed} passed, ${counted.failed} failed`);
  process.exit(counted.failed === 0 && counted.passed > 0 ? 0 : 1);
}

// Waits for a promise at most so many seconds. `what` names it, as a text or as a function that is called in the end.
export function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`waited ${seconds} s for ${typeof what === "function" ? what() : what}`));
    }, seconds * 1000);
  });
  const result = Promise.race([promise, late]).finally(() => clearTimeout(timer));
  result.catch(() => {});    // a check that failed earlier never awaits this promise
  return result;
}

// The arguments of the next `name`. Listening starts at once, so call this before what brings the event about.
export function next(emitter, name, seconds = 15) {
  return within(seconds, `"${name}"`, new Promise((resolve) => { emitter.once(name, (...args) => resolve(args)); }));
}

// Asks again and again until `ask` answers something true, and returns that.
export async function eventually(seconds, what, ask) {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const answer = await ask();
    if (answer) {
      return answer;
    }
    await pause(0.02);
  }
  throw new Error(`waited ${seconds} s for ${what}`);
}

export function pause(seconds) {
  return new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });
}

// Why the server thinks that the client with this public id has left; waits until the server knows that it has.
export function closeReason(server, id, seconds = 5) {
  return eventually(seconds, `the server to notice that ${id} left`, async () => {
    const response = await fetch(`${server}/close-reasons`);
    return (await response.json())[id];
  });
}

// One line of a message: an assertion about 300 kB would otherwise print all of them.
export function inShort(error) {
  return String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 400);
}
