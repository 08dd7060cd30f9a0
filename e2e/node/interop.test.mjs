// A Node.js backend with Socket.IO on the same Redis: its adapter and its emitter reach our clients, and we reach its.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { Backend, emitter, redisClient } from "../support/backend.mjs";
import { open } from "../support/client.mjs";
import { Redis } from "../support/redis.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/until.mjs";

let redis;
let server;
before(async () => {
  redis = await Redis.start();
  server = await joined();
});
after(async () => {
  await server?.remove();
  await redis?.remove();
});

/** A server of ours among those on this Redis. */
async function joined(settings = {}, on = redis) {
  const started = await Server.start({
    settings: {
      TIDINGS_SOCKETIO__ENABLED: "true",
      TIDINGS_SOCKETIO__REDIS_URL: on.url,
      // What is said while a connection is taken for dead is not said again.
      TIDINGS_REDIS__PROBE_TIMEOUT: "50s",
      TIDINGS_ROOMS__CHAT__RULE: "everyone",
      TIDINGS_ROOMS__CHAT__CLIENTS_MAY_SEND: "true",
      ...settings,
    },
  });
  await connected(started);
  return started;
}

async function connected(of) {
  await until(async () => (await metric(of, "tidings_socketio_connected")) === 1);
}

/** The sum of a metric's series that have this label. */
async function metric(of, name, label = "") {
  const text = await (await fetch(`${of.url}/metrics`)).text();
  const lines = text.split("\n").filter((line) => line.startsWith(name) && line.includes(label));
  return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
}

const heard = (result) => metric(server, "tidings_socketio_messages_total", `result="${result}"`);

let rooms = 0;
/** A room that no other test uses. */
const newRoom = () => `post:interop-${(rooms += 1)}`;

/** A device of a new user in these rooms of ours. */
async function device(t, at, ...names) {
  const user = await at.newUser();
  const one = await open(t, at, user.token);
  if (names.length > 0) assert.equal((await one.ask("room:join", names)).ok, true);
  return Object.assign(one, { user });
}

describe("the emitter", { timeout: 300_000 }, () => {
  test("reaches rooms, all but some, everybody, and one socket", async (t) => {
    const io = await emitter(t, redis);
    const [one, two] = [newRoom(), newRoom()];
    const [a, b] = [await device(t, server, one), await device(t, server, one, two)];
    io.to(one).emit("news", 1, "two", { three: [null, true, 4.5] });
    for (const each of [a, b]) {
      await each.next("news");
      // Behind them comes what the client needs to be recovered.
      const args = each.args("news").slice(0, 3);
      assert.deepEqual(args, [1, "two", { three: [null, true, 4.5] }]);
    }
    io.to([one, two]).emit("both", 1);
    io.to(one).except(two).emit("except", 2);
    io.to(one).except(b.socket.id).emit("except", 3);
    io.to(one).except(`user:${b.user.id}`).emit("except", 4);
    io.volatile.to(one).emit("volatile", 5);
    io.to(b.socket.id).emit("alone", 6);
    io.emit("everybody", 7);
    for (const each of [a, b]) await each.next("everybody");
    assert.deepEqual(a.all("except"), [2, 3, 4]);
    assert.deepEqual(b.all("except"), []);
    assert.deepEqual(b.all("alone"), [6]);
    for (const each of [a, b]) {
      assert.deepEqual(each.all("both"), [1], "once, though in two of the rooms");
      assert.deepEqual(each.all("volatile"), [5]);
    }
    assert.deepEqual(a.all("alone"), []);
  });

  test("sends binary, which clients without Socket.IO get as base64", async (t) => {
    const io = await emitter(t, redis);
    const room = newRoom();
    const one = await device(t, server, room);
    const stream = await fetch(`${server.url}/api/v1/stream?rooms=${room}`, {
      headers: { authorization: `Bearer ${one.user.token}` },
    });
    const lines = stream.body.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
    const read = await until(async () => {
      const { body } = await server.request("GET", `rooms/${room}`);
      return body.connections === 2;
    });
    assert.ok(read);
    io.to(room).emit("file", "a.bin", Buffer.from([1, 2, 255]), { at: new Date(0) });
    await one.next("file");
    const [name, bytes, { at }] = one.args("file");
    assert.deepEqual([name, [...bytes], at], ["a.bin", [1, 2, 255], "1970-01-01T00:00:00.000Z"]);
    let text = "";
    while (!text.includes("event: file")) text += (await lines.next()).value;
    while (!/event: file\n.*\n\n/.test(text)) text += (await lines.next()).value;
    const [, data] = /event: file\ndata: (.*)/.exec(text);
    assert.deepEqual(JSON.parse(data).args, ["a.bin", "AQL/", { at: "1970-01-01T00:00:00.000Z" }]);
    await lines.return();
  });

  test("puts sockets into rooms, takes them out, and sends them away", async (t) => {
    const io = await emitter(t, redis);
    const [room, other] = [newRoom(), newRoom()];
    const [a, b] = [await device(t, server, room), await device(t, server, room)];
    io.in(room).except(b.socket.id).socketsJoin([other, "plain name"]);
    assert.deepEqual(await a.next("room:joined", (joined) => joined.room === other), {
      room: other,
    });
    io.to(other).emit("ours", 1);
    io.to("plain name").emit("theirs", 2);
    assert.equal(await a.next("ours"), 1);
    assert.equal(await a.next("theirs"), 2);
    const seen = async () => (await server.request("GET", `rooms/${other}`)).body;
    assert.equal((await seen()).users, 1);
    await until(async () => (await seen()).onlineUsers.includes(a.user.id));

    io.in(a.socket.id).socketsLeave([other, "plain name", `user:${a.user.id}`]);
    assert.deepEqual(await a.next("room:left"), { room: other, reason: "server" });
    io.to([other, "plain name"]).emit("gone", 3);
    io.to(`user:${a.user.id}`).emit("own", 4);
    assert.equal(await a.next("own"), 4, "nobody leaves the own room");
    assert.deepEqual(a.all("gone"), []);
    assert.equal((await seen()).users, 0);

    io.in(a.socket.id).socketsJoin(`user:${b.user.id}`);
    io.to(`user:${b.user.id}`).emit("private", 5);
    assert.equal(await b.next("private"), 5);
    assert.deepEqual(a.all("private"), [], "nobody gets into the room of another user");

    io.in(room).except(a.socket.id).disconnectSockets(true);
    assert.equal(await b.next("disconnect"), "io server disconnect");
    assert.equal(b.socket.active, false, "it does not come back by itself");
    io.in(room).disconnectSockets();
    assert.equal(await a.next("disconnect"), "io server disconnect");
    await until(async () => (await server.request("GET", `rooms/${room}`)).body.users === 0);
  });

  test("cannot send what clients take for ours, unless the operator lets it", async (t) => {
    const io = await emitter(t, redis);
    const room = newRoom();
    const one = await device(t, server, room);
    const before = await heard("reserved");
    io.to(room).emit("notification", { id: "forged" });
    io.to(room).emit("presence:update", {});
    io.to(room).emit("after", 1);
    await one.next("after");
    assert.deepEqual(one.all("notification"), []);
    assert.equal(await heard("reserved"), before + 2);

    const open = await joined({ TIDINGS_SOCKETIO__OWN_EVENTS: "true" });
    t.after(() => open.remove());
    const other = await device(t, open, room);
    io.to(room).emit("notification", { id: "theirs" });
    assert.deepEqual(await other.next("notification"), { id: "theirs" });
  });
});

describe("a server with the adapter", { timeout: 300_000 }, () => {
  test("and we reach the clients of one another, each once", async (t) => {
    const backend = await Backend.start(t, redis);
    const room = newRoom();
    const [ours, sender] = [await device(t, server, room), await device(t, server, room)];
    const theirs = await backend.client(room);

    backend.io.to(room).emit("from:them", { n: 1 });
    const body = { type: "from:us", data: { n: 2 } };
    assert.equal((await server.request("POST", `rooms/${room}/events`, { body })).status, 202);
    // The other server drops what is volatile for a client to whom it is just writing something else.
    await until(() => theirs.all("from:us").length === 1);
    const said = await server.request("POST", `rooms/${room}/events`, {
      body: { type: "from:us", data: { n: 3 }, except: [ours.user.id], volatile: true },
    });
    assert.equal(said.status, 202);
    backend.io.emit("end", 0);
    for (const each of [ours, sender, theirs]) {
      await each.next("end");
    }
    await until(() => theirs.all("from:us").length >= 2);
    assert.deepEqual(ours.all("from:them"), [{ n: 1 }]);
    assert.deepEqual(theirs.all("from:them"), [{ n: 1 }]);
    assert.deepEqual(ours.all("from:us"), [{ n: 2 }]);
    assert.deepEqual(theirs.all("from:us"), [{ n: 2 }, { n: 3 }]);
    assert.deepEqual(sender.all("from:us"), [{ n: 2 }, { n: 3 }]);

    // What came back would have come before this.
    backend.io.to(room).emit("end", 1);
    await ours.next("end", (n) => n === 1);
    assert.equal(ours.all("from:us").length + theirs.all("from:them").length, 2);
  });

  test("hears what our clients say to one another", async (t) => {
    const backend = await Backend.start(t, redis);
    const room = "chat:1";
    const [sender, ours] = [await device(t, server, room), await device(t, server, room)];
    const theirs = await backend.client(room);
    const said = await sender.ask("room:message", { room, data: { text: "Hello" } });
    assert.equal(said.ok, true);
    for (const each of [ours, theirs]) {
      const { from, data } = await each.next("room:message");
      assert.deepEqual([from, data], [sender.user.id, { text: "Hello" }]);
    }
    backend.io.to(room).emit("end");
    for (const each of [sender, ours]) await each.next("end");
    assert.deepEqual(sender.all("room:message"), []);
    assert.equal(ours.all("room:message").length, 1);
  });

  test("finds our sockets and rooms, and changes them", async (t) => {
    const backend = await Backend.start(t, redis);
    const [room, other] = [newRoom(), newRoom()];
    const ours = await device(t, server, room);
    const theirs = await backend.client(room);

    const found = await backend.io.in(room).fetchSockets();
    const [remote] = found.filter(({ id }) => id === ours.socket.id);
    assert.equal(found.length, 2);
    assert.deepEqual(
      [...remote.rooms].sort(),
      [ours.socket.id, `user:${ours.user.id}`, room].sort(),
    );
    assert.equal(remote.data.userId, ours.user.id);
    assert.equal(remote.handshake.address, "127.0.0.1");
    assert.ok(!JSON.stringify(remote.handshake).includes(ours.user.token), "no secrets");

    const all = await backend.io.of("/").adapter.allRooms();
    for (const name of [room, ours.socket.id, theirs.socket.id]) assert.ok(all.has(name), name);
    const sockets = await backend.io.except(room).fetchSockets();
    assert.ok(sockets.every(({ id }) => id !== ours.socket.id && id !== theirs.socket.id));

    remote.join(other);
    await ours.next("room:joined", (joined) => joined.room === other);
    backend.io.in(room).socketsLeave(room);
    await ours.next("room:left", (left) => left.room === room);
    await until(async () => (await backend.io.in(room).fetchSockets()).length === 0);
    remote.emit("hello", 1);
    assert.equal(await ours.next("hello"), 1);
    remote.disconnect(true);
    assert.equal(await ours.next("disconnect"), "io server disconnect");
  });

  test("gets answers from all servers, and acknowledgements from all clients", async (t) => {
    const backend = await Backend.start(t, redis);
    const second = await Backend.start(t, redis);
    const room = newRoom();
    const [ours, silent] = [await device(t, server, room), await device(t, server)];
    const theirs = await second.client(room);
    ours.socket.on("question", (arg, bytes, answer) =>
      answer({ arg, bytes, more: Buffer.from([9]) }),
    );
    theirs.socket.on("question", (arg, bytes, answer) => answer("theirs"));

    const answers = await backend.io
      .to(room)
      .timeout(20_000)
      .emitWithAck("question", 1, Buffer.from([7, 8]));
    assert.equal(answers.length, 2);
    assert.ok(answers.includes("theirs"));
    const { arg, bytes, more } = answers.find((answer) => answer !== "theirs");
    assert.deepEqual([arg, [...bytes], [...more]], [1, [7, 8], [9]]);
    assert.deepEqual(await backend.io.to(newRoom()).timeout(20_000).emitWithAck("question"), []);
    const alone = backend.io.to(silent.socket.id).timeout(200).emitWithAck("unheard");
    await assert.rejects(alone, /timed out/, "a client that does not answer is waited for");

    // Every server but the one that asks: those of the other tests went with them.
    const responses = await backend.io.serverSideEmitWithAck("told", "x");
    assert.deepEqual(
      responses.filter((one) => one !== null),
      ["backend"],
    );
    assert.equal(responses.filter((one) => one === null).length, 1, "ours has nothing to say");
    backend.io.serverSideEmit("told", "y");
    await until(() => second.told.length === 2);
    assert.deepEqual(second.told, [["x"], ["y"]]);
  });

  test("has namespaces that do not concern us", async (t) => {
    const backend = await Backend.start(t, redis);
    const ours = await device(t, server);
    const chat = backend.io.of("/chat");
    chat.emit("from:chat", 1);
    assert.deepEqual(await chat.fetchSockets(), []);
    assert.deepEqual(await chat.serverSideEmitWithAck("told"), []);
    assert.deepEqual(await chat.timeout(20_000).emitWithAck("question"), []);
    (await emitter(t, redis)).of("/chat").emit("from:chat", 2);
    backend.io.emit("end");
    await ours.next("end");
    assert.deepEqual(ours.all("from:chat"), []);
  });

  test("may have another prefix and a channel for each response", async (t) => {
    const options = { key: "notifications:", publishOnSpecificResponseChannel: true };
    const other = await joined({
      TIDINGS_SOCKETIO__PREFIX: options.key,
      TIDINGS_SOCKETIO__SPECIFIC_RESPONSES: "true",
    });
    t.after(() => other.remove());
    const backend = await Backend.start(t, redis, options);
    const room = newRoom();
    const ours = await device(t, other, room);
    backend.io.to(room).emit("hello", 1);
    (await emitter(t, redis, { key: options.key })).to(room).emit("hello", 2);
    await ours.next("hello", (n) => n === 2);
    assert.deepEqual(ours.all("hello"), [1, 2]);
    const ids = (await backend.io.in(room).fetchSockets()).map(({ id }) => id);
    assert.deepEqual(ids, [ours.socket.id]);
    assert.equal((await backend.io.serverSideEmitWithAck("told")).length, 1);
  });
});

test("each of several servers of ours is one among them", { timeout: 120_000 }, async (t) => {
  const other = await joined();
  t.after(() => other.remove());
  const backend = await Backend.start(t, redis);
  const room = newRoom();
  const devices = [await device(t, server, room), await device(t, other, room)];
  const theirs = await backend.client(room);

  backend.io.to(room).emit("from:them", 1);
  const body = { type: "from:us", data: { n: 1 } };
  await server.request("POST", `rooms/${room}/events`, { body });
  assert.deepEqual(await theirs.next("from:us"), { n: 1 });
  backend.io.to(room).emit("end");
  for (const one of devices) await one.next("end");
  for (const one of devices) assert.deepEqual(one.all("from:them"), [1]);
  // These two have no bus in common: what the first says in its rooms comes to the second by none, and not by this one either.
  assert.deepEqual(
    devices.map((one) => one.all("from:us").length),
    [1, 0],
  );
  const found = (await backend.io.in(room).fetchSockets()).map(({ id }) => id);
  assert.deepEqual(new Set(found), new Set([...devices, theirs].map(({ socket }) => socket.id)));
  assert.deepEqual(await backend.io.serverSideEmitWithAck("told"), [null, null]);
  const counts = await backend.io
    .in(room)
    .timeout(300)
    .emitWithAck("nobody answers")
    .catch((e) => e);
  assert.match(`${counts}`, /timed out/);
});

test("what is no message is ignored and counted", { timeout: 120_000 }, async (t) => {
  const client = await redisClient(t, redis);
  const ours = await device(t, server);
  const before = {
    malformed: await heard("malformed"),
    unknown: await heard("unknown"),
    too_large: await heard("too_large"),
    unreached: await heard("unreached"),
  };
  const bad = [
    "",
    "x",
    "{",
    "{}",
    '{"type":2}',
    Buffer.from([0xdd, 255, 255, 255, 255]),
    "\x93\x01",
  ];
  for (const message of bad) {
    await client.publish("socket.io#/#", message);
    await client.publish("socket.io-request#/#", message);
  }
  await client.publish("socket.io-request#/#", "[".repeat(100_000));
  await client.publish("socket.io-request#/#", '{"type":99,"requestId":"x"}');
  await client.publish("socket.io#/#", Buffer.alloc(1_000_001));
  await client.publish("socket.io#/#nobody is here#", "x");
  (await emitter(t, redis)).emit("end");
  await ours.next("end");
  assert.equal(await heard("malformed"), before.malformed + 2 * bad.length + 1);
  assert.equal(await heard("unknown"), before.unknown + 1);
  assert.equal(await heard("too_large"), before.too_large + 1);
});

test("it goes on after Redis was away", { timeout: 120_000 }, async (t) => {
  const own = await Redis.start();
  t.after(() => own.remove());
  const one = await joined({}, own);
  t.after(() => one.remove());
  const backend = await Backend.start(t, own);
  const room = newRoom();
  const ours = await device(t, one, room);
  const theirs = await backend.client(room);
  backend.io.to(room).emit("before", 1);
  await ours.next("before");

  await own.kill();
  await until(async () => (await metric(one, "tidings_socketio_connected")) === 0);
  const body = { type: "meanwhile", data: {} };
  const answer = await one.request("POST", `rooms/${room}/events`, { body });
  assert.equal(answer.status, 202);
  await ours.next("meanwhile");
  await own.startAgain();
  await connected(one);
  const client = await redisClient(t, own);
  await until(async () => {
    const subscribed = await client.sendCommand(["PUBSUB", "NUMSUB", "socket.io-request#/#"]);
    return Number(subscribed[1]) === 2;
  });
  backend.io.to(room).emit("after", 2);
  assert.equal(await ours.next("after"), 2);
  // When the backend listens to broadcasts again nobody can tell.
  await until(async () => {
    await one.request("POST", `rooms/${room}/events`, { body: { type: "back", data: { n: 3 } } });
    return theirs.all("back").length > 0;
  });
  assert.deepEqual(theirs.all("meanwhile"), [], "what was said meanwhile is not said later");
  assert.equal((await backend.io.in(room).fetchSockets()).length, 2);
});
