// The requests that wire.mjs sends to both servers, and the reasons for which their answers differ.

import { pause } from "./checks.mjs";

const PAGE = "http://good.example";
const STRANGER = "http://bad.example";
const UNUSUAL = "é€😀";
const FORM = "application/x-www-form-urlencoded; charset=utf-8";
const PLAIN = "text/plain;charset=UTF-8";
const KEY = "dGhlIHNhbXBsZSBub25jZQ==";

// -- Requests -----------------------------------------------------------------------------

function request(method, path, headers = {}, body = "") {
  const all = { Host: "server.example", ...headers, ...(method === "POST" ? { "Content-Length": Buffer.byteLength(body) } : {}) };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}`);
  return [`${method} ${path} HTTP/1.1`, ...lines, "", body].join("\r\n");
}

const from = (origin) => ({ Origin: origin });
const REFERRED = { Referer: `${PAGE}/page` };    // the 0.9 server wants Origin or Referer
const get = (path, headers) => request("GET", `/wire/${path}`, headers);
const post = (path, headers, type, body) => request("POST", `/wire/${path}`, { ...headers, "Content-Type": type }, body);

const framed06 = (...messages) => messages.map((message) => `~m~${message.length}~m~${message}`).join("");
const form = (field, text) => `${field}=${encodeURIComponent(text)}`;
const event = (name, ...args) => `5:::${JSON.stringify({ name, args })}`;

// A WebSocket frame of a client, with a mask that changes nothing.
function frame(text) {
  const data = Buffer.from(text);
  return Buffer.concat([Buffer.from([0x81, 0x80 | data.length, 0, 0, 0, 0]), data]);    // every text here is short
}

const upgrade = (path, headers) => get(path, {
  ...headers, "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY,
});

// -- 0.6 ----------------------------------------------------------------------------------

const POLLING_06 = {
  "xhr-polling": {
    poll: (sid) => `xhr-polling/${sid}/1290000000000`,
    send: (sid) => `xhr-polling/${sid}/send`,
  },
  "jsonp-polling": {
    poll: (sid) => `jsonp-polling/${sid}/1290000000000/3`,
    send: (sid) => `jsonp-polling/${sid}/1290000000000/3`,
  },
};

// The text that is sent, the end of its echo, and how often the echo comes if not once.
const TEXTS_06 = {
  "a text": [framed06("hello"), "hello"],
  "a text beyond ASCII": [framed06(UNUSUAL), "~m~4~m~"],
  "an empty text": [framed06(""), "~m~0~m~"],
  "a text like a frame": [framed06("~m~3~m~abc"), "abc"],
  "quotes and tags": [framed06("\"'\\ </script> &amp;"), "&amp;"],
  "an object": [framed06('~j~{"a":[1,"two",null],"b":{}}'), "{}}"],
  "an object beyond ASCII": [framed06(`~j~{"${UNUSUAL}":"${UNUSUAL}"}`), "}"],
  "two at once": [framed06("one", "two"), "two"],
  "one that is answered twice": [framed06("twice"), "twice", 2],
};

function sidIn06(stage, text) {
  return stage.knows(/~m~\d+~m~([\w-]+)/.exec(text)[1]);
}

// Two connections, as a browser would have them: one polls, one posts.
async function polls06(stage, { poll, send }, headers) {
  const [polling, posting] = [stage.line(), stage.line()];
  polling.send(get(poll(""), headers));
  const sid = sidIn06(stage, stage.note("the handshake", await polling.answer()).body);
  for (const [what, [payload]] of Object.entries(TEXTS_06)) {
    posting.send(post(send(sid), headers, FORM, form("data", payload)));
    stage.note(`the post of ${what}`, await posting.answer());
    polling.send(get(poll(sid), headers));
    stage.note(`the poll after ${what}`, await polling.answer());
  }
  polling.send(get(poll(sid), headers));
  stage.note("a poll that nothing ends", await polling.answer());
}

const STREAMS_06 = {
  "xhr-multipart": {
    path: "xhr-multipart/",
    part: async (line) => {
      const length = await line.until("a part", (bytes) => {
        const end = bytes.indexOf("--socketio\n");
        return end < 0 ? undefined : end + "--socketio\n".length;
      });
      return line.take(length).toString();
    },
  },
  "htmlfile": { path: "htmlfile//1290000000000", part: (line) => line.chunk() },
};

// Reads parts until `last` has come so often.
async function partsUntil(part, line, last, times = 1) {
  const parts = [];
  while (parts.join("").split(last).length <= times) {
    parts.push(await part(line));
  }
  return parts;
}

async function streams06(stage, name, headers) {
  const { path, part } = STREAMS_06[name];
  const [stream, posting] = [stage.line(), stage.line()];
  stream.send(get(path, headers));
  stage.note("the head", await stream.head());
  const opening = stage.note("what it opens with", await partsUntil(part, stream, /~m~\d+~m~/));
  const sid = sidIn06(stage, opening.join(""));
  const send = async (what, payload) => {
    posting.send(post(`${name}/${sid}/send`, headers, FORM, form("data", payload)));
    stage.note(`the post of ${what}`, await posting.answer());
  };
  for (const [what, [payload, last, times]] of Object.entries(TEXTS_06)) {
    await send(what, payload);
    stage.note(`the parts after ${what}`, await partsUntil(part, stream, last, times));
  }
  stage.note("the first heartbeat", await part(stream));
  await send("its echo", framed06("~h~1"));
  stage.note("the second heartbeat", await part(stream));
}

// The WebSocket of 2010 has its texts between 0x00 and 0xff, ours has the frames of RFC 6455. The texts are compared.
async function flash06(stage, name) {
  const line = stage.line();
  const old = stage.isReference;
  line.send(old ? get(name, { Upgrade: "WebSocket", Connection: "Upgrade", Origin: PAGE }) : upgrade(name, { Origin: PAGE }));
  stage.note("the status", (await line.head()).status);
  const hear = () => (old ? oldText(line) : unframe(line));
  sidIn06(stage, stage.note("the first", await hear()));
  for (const [what, [payload, last, times = 1]] of Object.entries(TEXTS_06)) {
    line.send(old ? Buffer.concat([Buffer.from([0]), Buffer.from(payload), Buffer.from([0xff])]) : frame(payload));
    stage.note(what, await partsUntil(hear, line, last, times));
  }
  stage.note("a heartbeat", await hear());
}

async function oldText(line) {
  const end = await line.until("a text", (bytes) => (bytes.includes(0xff) ? bytes.indexOf(0xff) + 1 : undefined));
  return line.take(end).subarray(1, -1).toString();
}

async function unframe(line) {
  const [start, size] = await line.until("a frame", (bytes) => {
    if (bytes.length < 4) {
      return undefined;
    }
    return bytes[1] < 126 ? [2, bytes[1]] : [4, bytes.readUInt16BE(2)];
  });
  await line.until("the rest of a frame", (bytes) => (bytes.length >= start + size ? true : undefined));
  return line.take(start + size).subarray(start).toString();
}

// -- 0.9 ----------------------------------------------------------------------------------

const POLLING_09 = {
  "xhr-polling": {
    handshake: "1/?t=1330000000000",
    poll: (sid) => `1/xhr-polling/${sid}?t=1330000000000`,
    type: PLAIN,
    body: (payload) => payload,
  },
  "jsonp-polling": {
    handshake: "1/?t=1330000000000&jsonp=2",
    poll: (sid) => `1/jsonp-polling/${sid}?t=1330000000000&i=2`,
    type: FORM,
    body: (payload) => form("d", JSON.stringify(payload)),
  },
};

// The packet that is sent, and the number of packets that come back.
const PACKETS_09 = {
  "a text": ["3:::hello", 1],
  "a text with colons": ["3:::a:b:c", 1],
  "a text beyond ASCII": [`3:::${UNUSUAL}`, 1],
  "an object": ['4:::{"a":[1,"two",null]}', 1],
  "an object beyond ASCII": [`4:::{"${UNUSUAL}":"${UNUSUAL}"}`, 1],
  "an event": [event("echo", 1, "two", { three: null }), 1],
  "an event beyond ASCII": [event("echo", UNUSUAL), 1],
  "an event with a slash and a tag": [event("echo", "</script>"), 1],
  "an event without arguments": ['5:::{"name":"echo"}', 1],
  "a text that wants an ack": ["3:7::hello", 2],
  "an event that wants an ack": [`5:8+::{"name":"ask","args":["${UNUSUAL}",2]}`, 1],
  "an event that is answered twice": [event("twice", "x"), 2],
  "a namespace": ["1::/chat", 1],
  "a text in it": ["3::/chat:hello", 1],
  "an event in it": ['5::/chat:{"name":"echo","args":[1]}', 1],
  "a namespace that is closed": ["1::/closed", 1],
  "a question": [event("question me", "how"), 1],
  "its answer": [(stage) => `6:::${stage.isReference ? 1 : 0}+["fine"]`, 1],
};

const payloadFor = (stage, payload) => (typeof payload === "function" ? payload(stage) : payload);

async function shakesHands09(stage, path, headers) {
  const line = stage.line();
  line.send(get(path, headers));
  const { body } = stage.note("the handshake", await line.answer());
  return stage.knows(/[\w-]{20}/.exec(body)[0]);
}

async function polls09(stage, { handshake, poll, type, body }, headers) {
  const sid = await shakesHands09(stage, handshake, headers);
  const [polling, posting] = [stage.line(), stage.line()];
  const send = async (what, payload) => {
    posting.send(post(poll(sid), headers, type, body(payload)));
    stage.note(`the post of ${what}`, await posting.answer());
  };
  const hear = async (what) => {
    polling.send(get(poll(sid), headers));
    return stage.note(what, await polling.answer());
  };
  await hear("the first poll");
  for (const [what, [payload]] of Object.entries(PACKETS_09)) {
    await send(what, payloadFor(stage, payload));
    await hear(`the poll after ${what}`);
  }
  await send("two at once", framed09("3:::one", "3:::€2"));
  await hear("the poll after two at once");
  await hear("a poll that nothing ends");
  await send("leaving a namespace", "0::/chat");
  await send("a last word", "3:::last");
  await hear("the poll after a last word");
}

const framed09 = (...packets) => packets.map((packet) => `\ufffd${packet.length}\ufffd${packet}`).join("");

// Four ends of a client: its own packet, its page's last request, the server's packet, and a stranger's id.
async function ends09(stage, { handshake, poll, type, body }) {
  const begin = async () => {
    const sid = await shakesHands09(stage, handshake, REFERRED);
    const polling = stage.line();
    polling.send(get(poll(sid), {}));
    stage.note("the first poll", await polling.answer());
    polling.send(get(poll(sid), {}));
    await pause(0.1);    // the poll waits at the server before the other connection says anything
    return [sid, polling];
  };
  const posting = stage.line();
  let [sid, polling] = await begin();
  posting.send(post(poll(sid), {}, type, body("0::")));
  stage.note("the post of a disconnect", await posting.answer());
  stage.note("the poll that waited for it", await polling.answer());

  [sid, polling] = await begin();
  posting.send(get(`1//${sid}/?disconnect=1`));
  stage.note("the last request of a page", await posting.answer());
  stage.note("the poll of that page", await polling.answer());

  [sid, polling] = await begin();
  posting.send(post(poll(sid), {}, type, body(event("kick"))));
  stage.note("the post that asks to be kicked", await posting.answer());
  stage.note("the poll that hears it", await polling.answer());
  posting.send(get(poll(sid), {}));
  stage.note("a poll after the end", await posting.answer());

  posting.send(get(poll("AAAAAAAAAAAAAAAAAAAA"), {}));
  stage.note("a poll of nobody", await posting.answer());
}

async function streams09(stage, headers) {
  const sid = await shakesHands09(stage, "1/?t=1330000000000", headers);
  const [stream, posting] = [stage.line(), stage.line()];
  stream.send(get(`1/htmlfile/${sid}?t=1330000000000`, headers));
  stage.note("the head", await stream.head());
  stage.note("what it opens with", [await stream.chunk(), await stream.chunk()]);
  const send = async (what, payload) => {
    posting.send(post(`1/htmlfile/${sid}`, headers, PLAIN, payload));
    stage.note(`the post of ${what}`, await posting.answer());
  };
  for (const [what, [payload, count]] of Object.entries(PACKETS_09)) {
    await send(what, payloadFor(stage, payload));
    stage.note(`the parts after ${what}`, await packetsIn(stream, count));
  }
  stage.note("a heartbeat", await stream.chunk());
  await send("its answer", "2::");
  stage.note("the next heartbeat", await stream.chunk());
  await send("the wish to be kicked", event("kick"));
  stage.note("the last part", await stream.chunk());
  stage.note("the end", await stream.chunk());
}

async function packetsIn(stream, count) {
  const chunks = [];
  const packets = () => chunks.join("").match(/("|ufffd)[0-8]:/g) ?? [];
  while (packets().length < count) {
    chunks.push(await stream.chunk());
  }
  return chunks;
}

async function flash09(stage, name) {
  const sid = await shakesHands09(stage, "1/?t=1330000000000", { Origin: PAGE });
  const line = stage.line();
  line.send(upgrade(`1/${name}/${sid}`, { Origin: PAGE }));
  stage.note("the head", await line.head());
  stage.note("the first frame", await rawFrame(line));
  for (const [what, [payload, count]] of Object.entries(PACKETS_09)) {
    line.send(frame(payloadFor(stage, payload)));
    const frames = [];
    while (frames.length < count) {
      frames.push(await rawFrame(line));
    }
    stage.note(`the frames after ${what}`, frames);
  }
  stage.note("a heartbeat", await rawFrame(line));
  line.send(frame("2::"));
  stage.note("the next heartbeat", await rawFrame(line));
  line.send(frame(event("kick")));
  stage.note("the goodbye", await rawFrame(line));
}

async function rawFrame(line) {
  const size = await line.until("a frame", (bytes) => (bytes.length < 2 ? undefined : 2 + bytes[1]));
  await line.until("the rest of a frame", (bytes) => (bytes.length >= size ? true : undefined));
  const bytes = line.take(size);
  return `${bytes.subarray(0, 2).toString("hex")} ${bytes.subarray(2).toString()}`;
}

// -- Scenarios ----------------------------------------------------------------------------

async function answers(stage, requests) {
  for (const [what, bytes] of Object.entries(requests)) {
    const line = stage.line();
    line.send(bytes);
    stage.note(what, await line.answer());
  }
}

// The status of a refusal, or "nothing" where a server just hangs up.
async function goodbyes(stage, requests) {
  for (const [what, bytes] of Object.entries(requests)) {
    const line = stage.line();
    line.send(bytes);
    const said = line.head().then(({ status }) => status, () => "nothing");
    stage.note(what, await said);
  }
}

async function policy(stage) {
  const line = stage.line(stage.policy);
  line.send("<policy-file-request/>\0");
  stage.note("the policy", await line.ending());
}

export const SCENARIOS = {
  "0.6 xhr-polling": (stage) => polls06(stage, POLLING_06["xhr-polling"]),
  "0.6 xhr-polling from a page": (stage) => polls06(stage, POLLING_06["xhr-polling"], from(PAGE)),
  "0.6 xhr-polling from a page with a cookie": (stage) => polls06(stage, POLLING_06["xhr-polling"], { ...from(PAGE), Cookie: "a=b" }),
  "0.6 jsonp-polling": (stage) => polls06(stage, POLLING_06["jsonp-polling"]),
  "0.6 xhr-multipart": (stage) => streams06(stage, "xhr-multipart"),
  "0.6 xhr-multipart from a page with a cookie": (stage) => streams06(stage, "xhr-multipart", { ...from(PAGE), Cookie: "a=b" }),
  "0.6 htmlfile": (stage) => streams06(stage, "htmlfile"),
  "0.6 websocket": (stage) => flash06(stage, "websocket"),
  "0.6 flashsocket": (stage) => flash06(stage, "flashsocket"),
  "0.6 refusals": async (stage) => {
    const line = stage.line();
    line.send(get("xhr-polling//1290000000000"));
    const sid = sidIn06(stage, stage.note("the handshake", await line.answer()).body);
    await answers(stage, {
      "a post of a page that may not": post(`xhr-polling/${sid}/send`, from(STRANGER), FORM, form("data", framed06("x"))),
      "a jsonp page that may not": get("jsonp-polling//1290000000000/3", from(STRANGER)),
      "a preflight": request("OPTIONS", "/wire/xhr-multipart/", { ...from(PAGE), "Access-Control-Request-Method": "POST" }),
    });
  },
  "0.6 hang-ups": (stage) => goodbyes(stage, {
    "a poll of nobody": get("xhr-polling/12345/1290000000000"),
    "a post of nobody": post("xhr-polling/12345/send", {}, FORM, "data=x"),
  }),
  "0.6 policy": policy,
  "0.9 xhr-polling": (stage) => polls09(stage, POLLING_09["xhr-polling"], REFERRED),
  "0.9 xhr-polling from a page": (stage) => polls09(stage, POLLING_09["xhr-polling"], from(PAGE)),
  "0.9 jsonp-polling": (stage) => polls09(stage, POLLING_09["jsonp-polling"], REFERRED),
  "0.9 ends of xhr-polling": (stage) => ends09(stage, POLLING_09["xhr-polling"]),
  "0.9 ends of jsonp-polling": (stage) => ends09(stage, POLLING_09["jsonp-polling"]),
  "0.9 htmlfile": (stage) => streams09(stage, REFERRED),
  "0.9 htmlfile from a page": (stage) => streams09(stage, from(PAGE)),
  "0.9 websocket": (stage) => flash09(stage, "websocket"),
  "0.9 flashsocket": (stage) => flash09(stage, "flashsocket"),
  "0.9 refusals": (stage) => answers(stage, {
    "a page that may not": get("1/?t=1330000000000", from(STRANGER)),
    "a jsonp page that may not": get("1/?t=1330000000000&jsonp=0", from(STRANGER)),
    "another version": get("2/?t=1330000000000"),
    "nothing in particular": get(""),
  }),
  "0.9 policy": policy,
};

// -- Expected differences -----------------------------------------------------------------

// In the steps that `where` matches, `rewrite` turns the old server's answer into ours; `reason` says why we differ.
export const REWRITES = [
  {
    reason: "HTTP/1.1 keeps connections without being asked",
    where: /^(?!.*: the head$)/,
    rewrite: (heard) => withHeaders(heard, { "connection": undefined }),
  },
  {
    reason: "an answer that is whole says its length",
    where: /^(?!.*: the head$)/,
    rewrite: (heard) => (heard.headers?.["transfer-encoding"] ? withHeaders(heard, { "transfer-encoding": undefined, "content-length": "{length}" }) : heard),
  },
  {
    reason: "no cache keeps an answer, and no browser guesses what it is",
    where: /./,
    rewrite: (heard) => (heard.headers?.["content-length"] ? withHeaders(heard, { "cache-control": "no-store", "x-content-type-options": "nosniff" }) : heard),
  },
  {
    reason: "an answer says in which encoding it is, and a refusal that it is text",
    where: /0\.9.*(: the handshake|may not|another version|the last request of a page)$|a post of a page that may not$/,
    rewrite: (heard) => withHeaders(heard, {
      "content-type": /javascript/.test(heard.headers["content-type"]) ? "text/javascript; charset=UTF-8" : "text/plain; charset=UTF-8",
    }),
  },
  {
    reason: "the page that may read an answer is named, so that it may bring cookies, and caches are told so",
    where: /^(?!.*preflight)/,
    rewrite: (heard) => (heard.headers?.["access-control-allow-origin"] ? withHeaders(heard, { "access-control-allow-origin": PAGE, "vary": "Origin" }) : heard),
  },
  {
    reason: "a stream is granted to its page like any other answer",
    where: /0\.9 htmlfile from a page: the head/,
    rewrite: (heard) => withHeaders(heard, {
      "access-control-allow-origin": PAGE, "access-control-allow-credentials": "true", "vary": "Origin",
    }),
  },
  {
    reason: "no browser has the filter any more that this header switched off",
    where: /./,
    rewrite: (heard) => withHeaders(heard, { "x-xss-protection": undefined }),
  },
  {
    reason: "nginx would keep the parts of a stream until there are 4 kB of them",
    where: /(xhr-multipart|htmlfile).*: the head/,
    rewrite: (heard) => withHeaders(heard, { "x-accel-buffering": "no" }),
  },
  {
    reason: "a version that is not served is the client's mistake, not the server's",
    where: /0\.9 refusals: another version/,
    rewrite: (heard) => ({ ...heard, status: "HTTP/1.1 400" }),
  },
  {
    reason: "the stream is ASCII, in whatever encoding it is read",
    where: /0\.9 htmlfile.*: the head/,
    rewrite: (heard) => withHeaders(heard, { "content-type": "text/html" }),
  },
  {
    reason: "JSON is ASCII, so that every way of counting it agrees and no line separator of Unicode breaks a script",
    where: /beyond ASCII|wants an ack/,
    rewrite: (heard) => inside(heard, (text) => text
      .replace(/~m~\d+~m~(~j~.*)/su, (_, message) => framed06(ascii(message)))
      .replace(/^([4-6]:.*)/su, (packet) => ascii(packet))),
  },
  {
    reason: "in a script, a string is ASCII and has no <, so that nothing in it ends the script",
    where: /jsonp|htmlfile/,
    rewrite: (heard) => inside(heard, (text) => text),
  },
  {
    reason: "an event says that it has no arguments",
    where: /without arguments/,
    rewrite: (heard) => inside(heard, (text) => text.replace('"echo"}', '"echo","args":[]}')),
  },
  {
    reason: "an ack says that the message has been handled, not that it has come",
    where: /a text that wants an ack/,
    rewrite: (heard) => (Array.isArray(heard)
      ? heard.reverse()
      : inside(heard, (text) => text.replace(/(\ufffd5\ufffd6:::7)(.*)/su, "$2$1"))),
  },
  {
    reason: "questions are numbered from 0, as they are since 1.0",
    where: /a question$/,
    rewrite: (heard) => inside(heard, (text) => text.replace("5:1+::", "5:0+::")),
  },
  {
    reason: "all packets of one turn of the server leave in one part",
    where: /0\.6 (xhr-multipart|htmlfile).*the parts after (two at once|one that is answered twice)$/,
    rewrite: ([first, second]) => [first.replace(/(~m~[a-z]+)(?=["\n])/, (one) => one + /~m~\d+~m~[a-z]+/.exec(second)[0])],
  },
  {
    reason: "a client that has said goodbye is told nothing more",
    where: /0\.9.*(the poll that waited for it|the poll of that page)$/,
    rewrite: (heard) => inside(heard, (text) => text.replace("0::", "8::")),
  },
  {
    reason: "no 0.9 client asks for the bare path, so Engine.IO answers it",
    where: /0\.9.*nothing in particular/,
    rewrite: (heard) => ({
      ...withHeaders(heard, { "content-type": "application/json" }), status: "HTTP/1.1 400", body: '{"code":0,"message":"Transport unknown"}',
    }),
  },
  {
    reason: "a preflight is answered for all transports alike",
    where: /a preflight/,
    rewrite: () => ({
      status: "HTTP/1.1 204",
      headers: {
        "access-control-allow-origin": PAGE, "access-control-allow-credentials": "true", "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "Content-Type", "access-control-max-age": "600", "vary": "Origin",
      },
      body: "",
    }),
  },
  {
    reason: "a client with an unknown id is told so by a status, not by a connection that is cut",
    where: /0\.6 hang-ups/,
    rewrite: () => "HTTP/1.1 400",
  },
  {
    reason: "Flash reads a policy up to a NUL; the origin (or flash_policy_file) decides which pages may come",
    where: /policy/,
    rewrite: (text) => `${text.replaceAll(/>\n?(?=.)/gs, ">\n").replace('"good.example"', '"*"').trimEnd()}\n\0`,
  },
];

// A script that hands a string to the client, in three parts: before the string, the string, behind it.
const SCRIPT = /^(io\.JSONP\[3\]\._\(|io\.j\[2\]\(|<script>parent\.s\._\(|<script>_\()(".*")(, document\);<\/script>|\);<\/script>|\);)$/su;

function withHeaders(heard, headers) {
  if (!heard.headers) {
    return heard;
  }
  const all = Object.entries({ ...heard.headers, ...headers }).filter(([, value]) => value !== undefined);
  return { ...heard, headers: Object.fromEntries(all) };
}

// Applies `change` to the text inside an answer, a part, a script or a frame.
function inside(heard, change) {
  if (Array.isArray(heard)) {
    return heard.map((part) => inside(part, change));
  }
  if (typeof heard !== "string") {
    return heard.body === undefined ? heard : { ...heard, body: inside(heard.body, change) };
  }
  const script = SCRIPT.exec(heard);
  if (script) {
    return scripted(heard, change(JSON.parse(script[2])));
  }
  const part = /^(Content-Type: text\/plain\n\n)(.*)(\n--socketio\n)$/su.exec(heard);
  if (part) {
    return part[1] + change(part[2]) + part[3];
  }
  const framed = /^81([0-9a-f]{2}) (.*)$/su.exec(heard);
  if (framed) {
    const text = change(framed[2]);
    return `81${Buffer.byteLength(text).toString(16).padStart(2, "0")} ${text}`;
  }
  return change(heard);
}

// Returns the script `old` with another text in it.
function scripted(old, text) {
  const [, before, , after] = SCRIPT.exec(old);
  return before + ascii(JSON.stringify(text)).replaceAll("<", "\\u003c") + after;
}

function ascii(text) {
  return text.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
