// What real clients must manage, over each of their transports: the one catalogue of questions.
//
// CHECKS, BYTES, UPGRADE and PATIENT are for every client of the matrix that has such a thing; the rest is for the newest
// client, which is asked in depth. This file runs in Node and in pages: it imports only what runs there too.

import { eventually, inShort, next, pause, within } from "./checks.mjs";
import {
  Clients, PATIENCE, SECONDS, answered, answerQuestions, answersWithin, ask, comesBack, echoOf, isTrue, matches,
  messageOf, nextSeveral, numbers, patientEchoOf, plain, same,
} from "./matrix-asking.mjs";
import { transportsOf, wayOf, whySkipped } from "./matrix-clients.mjs";

const UNUSUAL = "é€😀";
const SEPARATORS = "\u2028\u2029";
const COUNT = 200;
const LONG_ENOUGH = 26;    // seconds, in which a server that hears no heartbeat gives up: app.py has 5 + 20

// -- For every client -------------------------------------------------------------------

const FIRST = "connects, and both sides agree on who it is";
const CHECKS = {
  async [FIRST](clients) {
    const socket = await clients.connect();
    const [who] = await ask(socket, "who am i");
    same(who.dialect, clients.dialect.name);
    isTrue(clients.way.protocols.includes(who.protocol), `the server says ${who.protocol}`);
    matches(clients.dialect.knownId(socket), /^[\w-]+$/);
    if (clients.dialect.hidesTheSid) {
      same(who.id, socket.id);
      matches(socket.id, /^[\w-]{20}$/);
      isTrue(socket.id !== socket.io.engine.id, "the secret id of the connection is public");
    }
  },

  async "gets a message back"(clients) {
    const socket = await clients.connect();
    for (const message of ["hello", "a:b:c::", UNUSUAL, '"\\/\b<&>\\n']) {
      same(await messageOf(socket, message), [message]);
    }
  },

  async "gets a message of several lines back"(clients) {
    const socket = await clients.connect();
    same(await messageOf(socket, "two\nlines\n"), ["two\nlines\n"]);
  },

  async "gets a JSON message back"(clients) {
    const socket = await clients.connect();
    const send = clients.dialect.hasJSONFlag ? (value) => socket.json.send(value) : undefined;
    for (const message of [{ a: [1, null], [UNUSUAL]: UNUSUAL }, [1, "two"], 17, {}]) {
      same(await messageOf(socket, message, send), [message]);
    }
  },

  async "gets an event back with all its arguments"(clients) {
    const socket = await clients.connect();
    const args = [1, -2.5, "text", null, true, [], {}, { deep: [{ er: [false] }] }, '"\\/\b\u0001\n\\n\\\\n'];
    same(await echoOf(socket, ...args), args);
    same(await echoOf(socket), []);
  },

  async "gets emoji and friends back, in names, arguments and keys"(clients) {
    const socket = await clients.connect();
    const name = "écho €😀";
    const echoed = next(socket, name);
    socket.emit(name, UNUSUAL, { [UNUSUAL]: [UNUSUAL] }, "ÿ\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10ffff}");
    same(await echoed, [UNUSUAL, { [UNUSUAL]: [UNUSUAL] }, "ÿ\u0080\u07ff\u0800\ud7ff\ue000\uffff\u{10ffff}"]);
  },

  // A server that undoes the double encoding of 1.x might take these for it.
  async "gets letters of Latin-1 back, alone"(clients) {
    const socket = await clients.connect();
    for (const text of ["é", "ÿ÷", "Größe", "£ §"]) {
      same(await echoOf(socket, text), [text]);
      same(await messageOf(socket, text), [text]);
    }
  },

  async "gets the separators of lines and paragraphs back, also in acks"(clients) {
    const socket = await clients.connect();
    same(await echoOf(socket, SEPARATORS), [SEPARATORS]);
    same(await ask(socket, "ask", SEPARATORS), [SEPARATORS]);
  },

  async "gets acks: none, one and several arguments"(clients) {
    const socket = await clients.connect();
    const [nothing = null] = await ask(socket, "ask");
    same(nothing, null);
    same(await ask(socket, "ask", "one"), ["one"]);
    same(await ask(socket, "ask", ["a", "list"]), [["a", "list"]]);
    same(await ask(socket, "ask", 1, "two", { three: UNUSUAL }), [1, "two", { three: UNUSUAL }]);
    same(await ask(socket, "ask a slow one", 1, 2), [1, 2]);
  },

  async "gets each of many acks for its own question"(clients) {
    const socket = await clients.connect();
    const answers = await Promise.all(numbers(50).map((number) => ask(socket, "ask", number)));
    same(answers.flat(), numbers(50));
  },

  async "answers the server's questions"(clients) {
    const socket = await clients.connect();
    const asked = answerQuestions(socket, UNUSUAL);
    same(await answered(socket, "question me", "how", "are you"), [UNUSUAL]);
    same(await answered(socket, "question me by callback", UNUSUAL), [UNUSUAL]);
    same(asked, [["how", "are you"], [UNUSUAL]]);
  },

  async "answers the server with several arguments, or none"(clients) {
    const [talker, mute] = await clients.connectSeveral(2);
    answerQuestions(talker, 1, ["two"]);
    answerQuestions(mute);
    same(await answered(talker, "question me"), [[1, ["two"]]]);
    same(await answered(mute, "question me"), [null]);
  },

  async "hears what is told to its rooms, and only that"(clients) {
    const [ann, bob, eve] = await clients.connectSeveral(3);
    const [annHeard, bobHeard, eveHeard] = [ann, bob, eve].map((socket) => clients.earOf(socket));
    const [tea, coffee] = [`${UNUSUAL} ${clients.tag}`, `coffee ${clients.tag}`];
    same(await ask(ann, "enter", tea), [`entered ${tea}`]);
    await ask(bob, "enter", tea);
    await ask(eve, "enter", coffee);
    ann.emit("tell the room", tea, clients.tagged("to all"));
    ann.emit("tell my room mates", tea, clients.tagged("to the others"));
    await ask(ann, "ask", "done");
    same(await annHeard(), ["to all"]);
    same(await bobHeard(), ["to all", "to the others"]);
    same(await eveHeard(), []);
    await ask(bob, "exit", tea);
    ann.emit("tell the room", tea, clients.tagged("after bob left"));
    await ask(ann, "ask", "done");
    same(await annHeard(), ["to all", "after bob left"]);
    same(await bobHeard(), ["to all", "to the others"]);
  },

  async "is found under the id that it knows"(clients) {
    const [ann, bob] = await clients.connectSeveral(2);
    const bobHeard = clients.earOf(bob);
    ann.emit("tell the room", clients.dialect.knownId(bob), clients.tagged("psst"));
    await ask(ann, "ask", "done");
    same(await bobHeard(), ["psst"]);
  },

  async "broadcasts to all others but not to itself"(clients) {
    const [ann, bob, eve] = await clients.connectSeveral(3);
    const [annHeard, bobHeard, eveHeard] = [ann, bob, eve].map((socket) => clients.earOf(socket));
    ann.emit("tell the others", clients.tagged(UNUSUAL));
    await ask(ann, "ask", "done");
    same(await annHeard(), []);
    same(await bobHeard(), [UNUSUAL]);
    same(await eveHeard(), [UNUSUAL]);
  },

  async "is admitted to a namespace"(clients) {
    const socket = await clients.connect({ namespace: "/admin", parameters: { token: "secret" } });
    same(await echoOf(socket, UNUSUAL), [UNUSUAL]);
    same(await ask(socket, "ask", 1, "two"), [1, "two"]);
    answerQuestions(socket, "fine");
    same(await answered(socket, "question me"), ["fine"]);
    const heard = clients.earOf(socket);
    socket.emit("tell the room", clients.dialect.knownIdIn(socket, "/admin"), clients.tagged("psst"));
    same(await heard(), ["psst"]);
  },

  async "is refused in a namespace"(clients) {
    const socket = clients.open({ namespace: "/admin", parameters: { token: "wrong" } });
    same(await within(SECONDS, "the refusal", clients.dialect.refused(socket)), clients.dialect.refusal);
    isTrue(!socket.connected, "it is connected");
  },

  async "is not let into a namespace that does not exist"(clients) {
    const socket = clients.open({ namespace: "/nowhere" });
    if (clients.dialect.hearsOfNoNamespace) {
      same(await within(SECONDS, "the refusal", clients.dialect.refused(socket)), clients.dialect.refusalOfNoNamespace);
    } else {
      const admitted = await Promise.race([next(socket, "connect").then(() => true, () => false), pause(0.5)]);
      isTrue(!admitted, "it is connected");
    }
  },

  async "shares one connection between namespaces"(clients) {
    const parameters = { token: "secret" };
    const root = await clients.connect({ parameters: clients.dialect.connectionParameters(parameters) });
    const admin = await clients.join(root, "/admin", parameters);
    const [rootHeard, adminHeard] = [clients.earOf(root), clients.earOf(admin)];
    const friend = await clients.connect();
    friend.emit("tell the others", clients.tagged("not across namespaces"));
    await ask(friend, "ask", "done");
    same(await rootHeard(), ["not across namespaces"]);
    same(await adminHeard(), []);
    const [fromRoot, fromAdmin] = [next(root, "echo"), next(admin, "echo")];
    root.emit("echo", "root");
    admin.emit("echo", "admin");
    same([await fromRoot, await fromAdmin], [["root"], ["admin"]]);
    const left = next(admin, "disconnect");
    admin.emit("kick");
    await left;
    same(await echoOf(root, "still here"), ["still here"]);
  },

  async "sends and gets a string of 300 kB"(clients) {
    const socket = await clients.connect();
    await comesBack(socket, "0123456789".repeat(30_000));
  },

  async "sends and gets 300 kB of three-byte letters"(clients) {
    const socket = await clients.connect();
    await comesBack(socket, "€".repeat(100_000));
  },

  async "gets 200 events in order"(clients) {
    const socket = await clients.connect();
    const ticks = nextSeveral(socket, "tick", COUNT);
    socket.emit("burst", COUNT);
    same(await ticks, numbers(COUNT));
  },

  async "sends 200 events in order"(clients) {
    const socket = await clients.connect();
    numbers(COUNT).forEach((number) => socket.emit("note", number));
    same(await ask(socket, "read the notes"), [numbers(COUNT)]);
  },

  async "is disconnected by the server"(clients) {
    const socket = await clients.connect();
    const [{ id }] = await ask(socket, "who am i");
    const disconnected = next(socket, "disconnect");
    socket.emit("kick");
    const [reason] = await disconnected;
    matches(reason, clients.dialect.serverDisconnect);
    matches(await clients.stage.closeReason(id), clients.dialect.closeReasonOfAKick);
  },

  async "disconnects itself, and the server knows"(clients) {
    const socket = await clients.connect();
    const [{ id }] = await ask(socket, "who am i");
    await eventually(SECONDS, "the end of its post", () => clients.dialect.isSettled(socket));
    const disconnected = next(socket, "disconnect");
    socket.disconnect();
    const [reason] = await disconnected;
    matches(reason, clients.dialect.clientDisconnect);
    matches(await clients.stage.closeReason(id), clients.dialect.closeReason);
  },
};

const BYTES = {
  async "sends and gets bytes, nested ones too"(clients) {
    const socket = await clients.connect();
    const { bytes } = clients.stage;
    const args = [bytes(numbers(256)), { list: [1, bytes([195, 169]), { deep: bytes(numbers(256)) }] }, "last", UNUSUAL];
    same(await echoOf(socket, ...args), args);
  },

  async "gets bytes that the server made"(clients) {
    const socket = await clients.connect();
    const { bytes } = clients.stage;
    const picture = next(socket, "picture");
    socket.emit("send the picture");
    const layers = [bytes([]), { deep: bytes(numbers(256).reverse()) }];
    same(await picture, [bytes(numbers(256)), { name: "é", layers }]);
  },

  async "gets and gives bytes in acks"(clients) {
    const socket = await clients.connect();
    const { bytes } = clients.stage;
    const parcel = { inside: [bytes(numbers(256))] };
    same(await ask(socket, "ask", parcel, bytes([1, 2])), [parcel, bytes([1, 2])]);
    const asked = answerQuestions(socket, parcel);
    same(await answered(socket, "question me", parcel), [parcel]);
    same(asked, [[parcel]]);
  },

  async "keeps the order of events with and without bytes"(clients) {
    const socket = await clients.connect();
    const values = numbers(30).map((number) => (number % 3 ? number : clients.stage.bytes([number])));
    const echoed = nextSeveral(socket, "echo", values.length);
    values.forEach((value) => socket.emit("echo", value));
    same(await echoed, values);
  },

  async "sends and gets 300 kB of bytes"(clients) {
    const socket = await clients.connect();
    const blob = clients.stage.bytes(numbers(300_000).map((number) => (number * 7919) % 251));
    const [echoed] = await patientEchoOf(socket, PATIENCE, blob);
    isTrue(plain(echoed) === plain(blob), "other bytes came back");
  },
};

const UPGRADE = {
  async "begins with polling and then really upgrades"(clients) {
    const socket = clients.open();
    const upgraded = clients.upgrade(socket);
    same(socket.io.engine.transport.name, "polling");
    await next(socket, "connect");
    await upgraded;
    same(socket.io.engine.transport.name, "websocket");
    same(await echoOf(socket, "over the new transport", UNUSUAL), ["over the new transport", UNUSUAL]);
    const [who] = await ask(socket, "who am i");
    same(who.protocol, "websocket");
  },

  async "loses, doubles and reorders nothing while it upgrades"(clients) {
    const { address } = await clients.openLine(0.02);    // at once, the upgrade would be over too soon
    const socket = clients.open({ address });
    const upgraded = next(socket.io.engine, "upgrade", SECONDS);
    const [sent, echoed] = [[], []];
    socket.on("echo", (text) => echoed.push(text));
    const sending = setInterval(() => socket.emit("echo", sent[sent.push(`${UNUSUAL} ${sent.length}`) - 1]), 2);
    await upgraded.finally(() => clearInterval(sending));
    await ask(socket, "ask", "done");
    isTrue(sent.length > 0, "nothing was sent during the upgrade");
    same(echoed, sent);
  },
};

// These checks mostly wait, and run beside the others.
const PATIENT = {
  // A polling client repeats a poll that was cut, as browsers do, and may never tell that anything happened.
  async "is reached again after its connections were cut"(clients) {
    const line = await clients.openLine();
    const socket = await clients.connect({ address: line.address, reconnects: true });
    if (clients.way.upgrades) {    // some clients whose upgrade is cut wait for their heartbeat to find out
      await eventually(SECONDS, "the upgrade", () => socket.io.engine.transport.name === "websocket");
    }
    await pause(0.2);    // the next poll waits at the server after that
    await line.cut();
    await eventually(3 * SECONDS, "an answer", () => answersWithin(1, socket));
    const [friend, heard] = [await clients.connect(), clients.earOf(socket)];
    await eventually(3 * SECONDS, "the welcome", async () => {    // a client may have answered just before it reconnects
      const id = clients.dialect.knownId(socket);
      if (id) {    // it has none while it reconnects
        friend.emit("tell the room", id, clients.tagged("welcome"));
      }
      await ask(friend, "ask", "done");
      return heard().then((texts) => texts.includes("welcome"), () => false);
    });
  },

  // A server that hears no heartbeat would have given the client up by then.
  async "lives through its heartbeats"(clients) {
    const socket = await clients.connect();
    const left = [];
    socket.on("disconnect", (reason) => left.push(reason));
    await pause(LONG_ENOUGH);
    same(left, []);
    same(await echoOf(socket, "alive"), ["alive"]);
  },
};

// -- For the newest client, in depth -----------------------------------------------------

const SECRET = { token: "secret" };    // the auth that "/admin" accepts

const IN_DEPTH = {
  async "brings its auth to the handler"(clients) {
    const auth = { token: "tea", cups: [1, 2], name: UNUSUAL + SEPARATORS };
    const socket = await clients.connect({ parameters: auth });
    const [who] = await ask(socket, "who am i");
    same(who.auth, auth);
  },

  async "gets a separator of lines back, wherever text may stand"(clients) {
    const text = `${UNUSUAL}\u2028`;
    const [ann, bob] = await clients.connectSeveral(2);
    same(await messageOf(ann, text), [text]);
    const echoed = next(ann, `echo ${text}`);
    ann.emit(`echo ${text}`, text, { [text]: [text] }, "\u2029\ud7ff\uffff");
    same(await echoed, [text, { [text]: [text] }, "\u2029\ud7ff\uffff"]);
    answerQuestions(ann, text);
    same(await answered(ann, "question me by callback", text), [text]);
    const [room, bobHeard] = [text + clients.tag, clients.earOf(bob)];
    same(await ask(bob, "enter", room), [`entered ${room}`]);
    ann.emit("tell the room", room, clients.tagged(text));
    await ask(ann, "ask", "done");
    same(await bobHeard(), [text]);
  },

  async "gets an empty message, the largest integer and the character zero back"(clients) {
    const socket = await clients.connect();
    same(await messageOf(socket, ""), [""]);
    same(await echoOf(socket, 9007199254740991, '"\\/\b\u0000'), [9007199254740991, '"\\/\b\u0000']);
  },

  async "may send an event that nobody listens to"(clients) {
    const socket = await clients.connect();
    socket.emit("nobody listens", 1);
    same(await echoOf(socket, "still here"), ["still here"]);
  },

  async "is one of those who answer a question to a room"(clients) {
    const [asker, ann, bob] = await clients.connectSeveral(3);
    const room = `quiz ${clients.tag}`;
    answerQuestions(ann, "ann");
    answerQuestions(bob, "bob");
    await ask(ann, "enter", room);
    await ask(bob, "enter", room);
    const [[answers, missing]] = await ask(asker, "question the room", room, "who?");
    same([answers[ann.id], answers[bob.id], Object.keys(answers).length, missing], ["ann", "bob", 2, []]);
  },

  async "sends bytes that are empty, that the server counts, and in a namespace"(clients) {
    const { bytes } = clients.stage;
    const [socket, admin] = [await clients.connect(), await clients.connect({ namespace: "/admin", parameters: SECRET })];
    same(await echoOf(socket, { empty: bytes([]) }), [{ empty: bytes([]) }]);
    same(await ask(socket, "measure", bytes(randomNumbers(300_000))), [["bytes", 300_000]]);
    same(await ask(admin, "ask", bytes(numbers(256)), 2), [bytes(numbers(256)), 2]);
  },

  async "may say volatile and compress"(clients) {
    const socket = await clients.connect();
    const surely = next(socket, "shrugged for sure");
    socket.volatile.emit("echo", "perhaps");
    socket.compress(false).emit("echo", "plain");
    socket.compress(true).emit("shrug");
    await surely;
    same(await ask(socket, "ask", "still here"), ["still here"]);
  },

  async "is admitted to a namespace after it was refused there, on the same connection"(clients) {
    const root = await clients.connect();
    const admin = root.io.socket("/admin", { auth: { token: "wrong" } });
    await next(admin, "connect_error");
    admin.auth = SECRET;
    admin.connect();
    await next(admin, "connect");
    isTrue(admin.id !== root.id, "it has the same id in both namespaces");
    const adminHeard = clients.earOf(admin);
    root.emit("tell the others", clients.tagged("not across namespaces"));
    same(await echoOf(root, "root"), ["root"]);
    same(await adminHeard(), []);
  },

  async "hears the last words, and then that the server has ended the connection"(clients) {
    const socket = await clients.connect();
    const [bye, disconnected] = [next(socket, "bye"), next(socket, "disconnect")];
    socket.emit("expel");
    await bye;
    same((await disconnected)[0], "io server disconnect");
  },

  async "may come back on the same connection after the server disconnected it"(clients) {
    const root = await clients.connect();
    await clients.join(root, "/admin", SECRET);    // keeps the connection open meanwhile
    const [id, engineId] = [root.id, root.io.engine.id];
    const disconnected = next(root, "disconnect");
    root.emit("kick");
    await disconnected;
    root.connect();
    await next(root, "connect");
    isTrue(root.io.engine.id === engineId, "the connection is another one");
    isTrue(root.id !== id, "it has its old id");
    same(await echoOf(root, "back"), ["back"]);
  },

  async "closes its transport, and the server notices"(clients) {
    const socket = await clients.connect();
    const { id } = socket;
    socket.io.engine.close();
    same(await clients.stage.closeReason(id), "transport close");
  },

  async "reconnects when the server drops its connection"(clients) {
    const socket = await clients.connect({ reconnects: true });
    const { id } = socket;
    const [disconnected, connected] = [next(socket, "disconnect"), next(socket, "connect")];
    socket.emit("drop");
    same((await disconnected)[0], "transport close");
    await connected;
    isTrue(socket.id !== id, "it has its old id");
    same(await echoOf(socket, "back"), ["back"]);
  },

  async "reconnects after its line was down, in all its namespaces"(clients) {
    const line = await clients.openLine();
    const root = await clients.connect({ address: line.address, reconnects: true });
    const admin = await clients.join(root, "/admin", SECRET);
    const [disconnected, ...connected] = [next(root, "disconnect"), next(root, "connect"), next(admin, "connect")];
    await line.cut(0.2);
    matches((await disconnected)[0], /^transport (close|error)$/);
    await Promise.all(connected);
    same(await echoOf(root, "back"), ["back"]);
    same(await echoOf(admin, "back"), ["back"]);
  },
};

const RECOVERY = {
  async "is who it was after its line was cut, and has missed nothing"(clients) {
    const line = await clients.openLine(0.005);
    const friend = await clients.connect({ path: "/recover" });
    const socket = await clients.connect({ address: line.address, path: "/recover", reconnects: true });
    const [{ id }, room, heard, sent] = [socket, `tea ${clients.tag}`, [], []];
    let lost = 0;
    socket.on("told", (number) => heard.push(number));
    socket.on("disconnect", () => { lost += 1; });
    await ask(socket, "enter", room);
    socket.emit("remember", UNUSUAL);
    same(await ask(socket, "recall"), [[false, UNUSUAL, [room]]]);
    const telling = setInterval(() => friend.emit("tell the room", room, sent.push(sent.length) - 1), 3);
    try {
      for (const seconds of [0.1, 0.03, 0.05, 0.07, 0.02]) {    // some of these cuts meet the upgrade
        await pause(seconds);
        const [before, back] = [lost, next(socket, "connect", 2 * PATIENCE)];
        // A cut between two polls does not hurt. A client whose polling was paused for an upgrade, when the line was cut,
        // never polls again and has to wait for its heartbeat.
        await eventually(PATIENCE, "a cut to hurt", async () => {
          await line.cut();
          await pause(0.02);
          return lost > before;
        });
        await back;
        isTrue(socket.recovered, "it is not recovered");
        same(socket.id, id);
      }
    } finally {
      clearInterval(telling);
    }
    await ask(friend, "ask", "done");
    same(await ask(socket, "recall"), [[true, UNUSUAL, [room]]]);
    isTrue(sent.length > 20, `only ${sent.length} were sent`);
    same(heard, sent);
  },

  async "sends and gets compressed messages, if it has offered to"(clients) {
    const [options, room] = [{ path: "/recover" }, `tea ${clients.tag}`];
    const socket = await clients.connect({ ...options, perMessageDeflate: { threshold: 0 } });
    const friend = await clients.connect(options);
    if (!clients.way.upgrades) {    // during an upgrade there may be no WebSocket yet
      const agreed = clients.way.protocols.includes("websocket") ? /permessage-deflate/ : /^$/;
      matches(socket.io.engine.transport.ws?.extensions ?? "", agreed);
    }
    await ask(socket, "enter", room);
    await ask(friend, "enter", room);
    const noise = String.fromCharCode(...randomNumbers(20_000).map((number) => 35 + (number % 64)));
    for (const text of ["short", UNUSUAL.repeat(5000), noise]) {
      const bytes = clients.stage.bytes([...new TextEncoder().encode(text)]);
      same((await echoOf(socket, text))[0], text);    // an offset comes behind each
      same((await echoOf(socket, bytes))[0], bytes);
      const told = [next(socket, "told"), next(friend, "told")];
      friend.emit("tell the room", room, text);
      same((await Promise.all(told)).map(([heard]) => heard), [text, text]);
    }
  },

  async "is somebody new after it has left by itself"(clients) {
    const socket = await clients.connect({ path: "/recover" });
    const { id } = socket;
    socket.disconnect();
    await clients.stage.closeReason(id);
    const back = next(socket, "connect");
    socket.connect();
    await back;
    same(socket.recovered, false);
    isTrue(socket.id !== id, "it has its old id");
  },
};

const PATIENT_IN_DEPTH = {
  async "answers two heartbeats"(clients) {
    const socket = await clients.connect();
    await next(socket.io, "ping");
    await next(socket.io, "ping");    // the server sends the second ping only if the first was answered
    same(await echoOf(socket, "alive"), ["alive"]);
  },
};

function randomNumbers(count) {
  return numbers(count).map(() => Math.floor(256 * Math.random()));
}

function checksOf({ dialect, isAskedInDepth }, way) {
  return {
    ...CHECKS,
    ...(dialect.hasBytes ? BYTES : {}),
    ...(way.upgrades ? UPGRADE : {}),
    ...(isAskedInDepth ? { ...IN_DEPTH, ...RECOVERY } : {}),
  };
}

function patientChecksOf({ isAskedInDepth }) {
  return { ...PATIENT, ...(isAskedInDepth ? PATIENT_IN_DEPTH : {}) };
}

// -- Acting -----------------------------------------------------------------------------

// Runs all checks of a client: its transports side by side, and over each transport the checks one after the other.
export async function act(client, stage, words, fetchTransport) {
  await Promise.all(transportsOf(client).map((transport) => actOver(client, wayOf(client, transport, fetchTransport), stage, words)));
}

export async function actOver(client, way, stage, words) {
  const wanted = (check) => check.includes(words) && !whySkipped(client, way.name, check);
  const run = (check, body) => (wanted(check) ? runCheck(client, way, stage, check, body) : undefined);
  const { [FIRST]: first, ...others } = checksOf(client, way);
  if (await run(FIRST, first) === false) {
    return;    // a client that cannot connect would wait in vain in every check
  }
  const patient = Object.entries(patientChecksOf(client)).map(([check, body]) => run(check, body));
  for (const [check, body] of Object.entries(others)) {
    await run(check, body);
  }
  await Promise.all(patient);
}

async function runCheck(client, way, stage, check, body) {
  const clients = new Clients(client, way, stage);
  const started = Date.now();
  let error = null;
  try {
    await within(120, "the end of the check", body(clients));
  } catch (reason) {
    error = inShort(reason) || "failed";
  }
  try {
    clients.closeAll();
  } catch {
    // a client that never connected may not know how to close
  }
  await stage.report({ transport: way.name, check, error, seconds: (Date.now() - started) / 1000 });
  return error === null;
}
