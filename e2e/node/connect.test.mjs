// Connecting with the npm client, by each transport.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { connect, open, TRANSPORTS } from "../support/client.mjs";
import { Server } from "../support/server.mjs";

let server;
before(async () => (server = await Server.start()));
after(() => server?.remove());

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(name, { timeout: 300_000 }, () => {
    test("a device is told where it stands, and then what comes", async (t) => {
      const { id, token } = await server.newUser();
      const waiting = await server.notify(id, { message: "While you were away" });
      const device = await open(t, server, token, { transports });

      assert.equal(device.connected.userId, id);
      assert.equal(device.connected.socketId, device.socket.id);
      assert.equal(device.connected.rev, 1);
      assert.equal(device.connected.unread, 1);
      assert.equal(device.connected.recovered, false);
      assert.deepEqual(
        device.pending.notifications.map((each) => each.id),
        [waiting],
      );
      assert.equal(device.pending.to, 1);
      assert.equal(device.pending.unread, 1);
      assert.equal(device.pending.hasMore, false);
      assert.equal(device.pending.reset, false);
      assert.deepEqual(device.pending.removed, []);

      const live = await server.notify(id, {
        type: "comment",
        actorId: "bob",
        entityType: "post",
        entityId: "post-1",
        title: "A comment",
        message: "Bob commented: “<b>Hello</b>”",
        data: { deep: { number: 1.5, list: [null, true] } },
      });
      const { createdAt, actor, ...notification } = await device.next("notification");
      assert.ok(Math.abs(Date.parse(createdAt) - Date.now()) < 60_000);
      assert.ok(actor === undefined || actor.id === "bob");
      assert.deepEqual(notification, {
        id: live,
        seq: 2,
        rev: 2,
        recipientId: id,
        read: false,
        type: "comment",
        actorId: "bob",
        entityType: "post",
        entityId: "post-1",
        title: "A comment",
        message: "Bob commented: “<b>Hello</b>”",
        data: { deep: { number: 1.5, list: [null, true] } },
        priority: 1,
      });
      assert.deepEqual(await device.next("notification:count"), { unread: 2, rev: 2 });
    });

    test("a hundred notifications arrive in order, each once", async (t) => {
      const { id, token } = await server.newUser();
      const device = await open(t, server, token, { transports });
      const sent = await server.notifyMany(id, 100);
      await device.next("notification", (each) => each.seq === 100);
      assert.deepEqual(
        device.all("notification").map((each) => each.id),
        sent,
      );
    });

    test("answers come to the client's acknowledgements", async (t) => {
      const { token } = await server.newUser();
      const device = await open(t, server, token, { transports });
      const answers = await Promise.all([
        device.ask("heartbeat"),
        device.ask("notifications:sync", { since: 0 }),
        device.ask("no:such:event"),
      ]);
      assert.deepEqual(
        answers.map(({ ok }) => ok),
        [true, true, false],
      );
      assert.equal(answers[2].error.code, "UNKNOWN_EVENT");
    });

    test("a device that goes is gone, and may come back", async (t) => {
      const { id, token } = await server.newUser();
      const device = await open(t, server, token, { transports });
      device.socket.disconnect();
      assert.equal(await device.next("disconnect"), "io client disconnect");
      device.socket.connect();
      await device.opened();
      const live = await server.notify(id);
      assert.equal((await device.next("notification")).id, live);
    });
  });
}

test("a connection that starts by polling becomes a WebSocket, and nothing is lost on the way", async (t) => {
  const { id, token } = await server.newUser();
  const device = connect(t, server, token, { transports: ["polling", "websocket"] });
  const upgraded = new Promise((resolve) => {
    device.socket.io.on("open", () => device.socket.io.engine.on("upgrade", resolve));
  });
  await device.opened();
  const sent = [];
  let over = false;
  const flood = (async () => {
    while (!over || sent.length < 20) sent.push(await server.notify(id));
  })();
  assert.equal((await upgraded).name, "websocket");
  over = true;
  await flood;
  await device.next("notification", (each) => each.id === sent.at(-1));
  assert.equal(device.transport, "websocket");
  assert.deepEqual(
    device.all("notification").map((each) => each.id),
    sent,
  );
});

test("an unknown namespace is refused, and the connection's own goes on", async (t) => {
  const { id, token } = await server.newUser();
  const device = await open(t, server, token);
  const stranger = device.socket.io.socket("/no-such-namespace", { auth: { token } });
  t.after(() => stranger.disconnect());
  const error = await new Promise((resolve) => {
    stranger.once("connect_error", resolve);
    stranger.connect();
  });
  assert.equal(error.message, "Invalid namespace");
  const live = await server.notify(id);
  assert.equal((await device.next("notification")).id, live);
});
