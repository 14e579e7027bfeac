// What both scripts share: checks that run one after the other, waits that end, and the count at the end.

const counted = { passed: 0, failed: 0 };

// Runs one check and prints its line. The limit catches what no wait inside the check caught.
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

export function within(seconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${seconds} s for ${what}`)), seconds * 1000);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Asks again and again until `ask` answers something true, and returns that.
export async function eventually(seconds, what, ask) {
  const end = Date.now() + seconds * 1000;
  while (Date.now() < end) {
    const answer = await ask();
    if (answer) {
      return answer;
    }
    await pause(0.05);
  }
  throw new Error(`waited ${seconds} s for ${what}`);
}

export function pause(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

// Why the server thinks that the client with this public id has left; waits until it has.
export function closeReason(server, id, seconds = 5) {
  return eventually(seconds, `the server to notice that ${id} left`, async () => {
    const response = await fetch(`${server}/close-reasons`);
    return (await response.json())[id];
  });
}

// One line: an assertion about 300 kB would otherwise print them.
export function inShort(error) {
  return String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 400);
}
