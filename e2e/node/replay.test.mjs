// What a device is told when it comes back: exactly what it missed.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { connect, open, TRANSPORTS } from "../support/client.mjs";
import { Server } from "../support/server.mjs";

let server;
before(async () => (server = await Server.start()));
after(() => server?.remove());

const timeout = 120_000;
const idsOf = (notifications) => notifications.map(({ id }) => id);

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  test(`offline, then pending (${name})`, { timeout }, async (t) => {
    const { id, token } = await server.newUser();
    let lastRev = 0;
    const auth = (answer) => answer({ token, since: lastRev });
    const device = await open(t, server, auth, { transports });
    const seen = await server.notify(id);
    lastRev = (await device.next("notification")).rev;
    device.socket.disconnect();

    const missed = [await server.notify(id), await server.notify(id)];
    device.socket.connect();
    const { connected, pending } = await device.opened();
    assert.equal(connected.rev, 3);
    assert.deepEqual(idsOf(pending.notifications), missed, "oldest first, and not what it had");
    assert.ok(!idsOf(pending.notifications).includes(seen));
    assert.equal(pending.unread, 3);
    assert.equal(pending.to, 3);
  });
}

test("since: exactly what changed, and nothing else", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  const [kept, read, gone, archived] = await server.notifyMany(id, 4);
  const other = await open(t, server, token);
  await other.ask("notification:read", { id: read });
  await other.ask("notification:delete", { id: gone });
  await other.ask("notification:archive", { id: archived });
  const live = await server.notify(id);

  const device = await open(t, server, { token, since: 4 });
  const { pending } = device;
  const byId = Object.fromEntries(pending.notifications.map((each) => [each.id, each]));
  assert.deepEqual(Object.keys(byId).sort(), [read, archived, live].sort());
  assert.equal(byId[read].read, true);
  assert.ok(byId[archived].archivedAt);
  assert.equal(byId[live].rev, 8);
  assert.deepEqual(pending.removed, [gone]);
  assert.equal(pending.to, 8);
  assert.equal(pending.unread, 2);
  assert.ok(!(kept in byId));

  const upToDate = await open(t, server, { token, since: 8 });
  assert.deepEqual(upToDate.pending.notifications, []);
  assert.deepEqual(upToDate.pending.removed, []);
  assert.equal(upToDate.pending.to, 8);
});

test("since: a read-all while away comes as a watermark", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  await server.notifyMany(id, 3);
  const other = await open(t, server, token);
  await other.ask("notification:readAll");
  const device = await open(t, server, { token, since: 3 });
  assert.ok(device.pending.readUpTo >= 3);
  assert.equal(device.pending.unread, 0);
  assert.equal(device.pending.to, 4);
});

test("since of another inbox starts the device over", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  const sent = await server.notifyMany(id, 2);
  const device = await open(t, server, { token, since: 1_000_000 });
  assert.equal(device.pending.reset, true);
  assert.equal(device.pending.to, 2);
  assert.deepEqual(idsOf(device.pending.notifications).sort(), sent.sort());
});

test("since: more than a page comes whole", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  const sent = await server.notifyMany(id, 650);
  const device = connect(t, server, { token, since: 0 });
  await device.next("notifications:pending", ({ to }) => to === 650);
  const pages = device.all("notifications:pending");
  assert.deepEqual(
    pages.flatMap(({ notifications }) => idsOf(notifications)),
    sent,
  );
  assert.equal(pages.at(-1).hasMore, false);
  const live = await server.notify(id);
  assert.equal((await device.next("notification")).id, live);
});

test("without since or device: the newest fifty unread", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  const sent = await server.notifyMany(id, 60);
  const first = await open(t, server, token);
  await first.ask("notification:read", { id: sent.at(-1) });
  const device = await open(t, server, token);
  assert.deepEqual(idsOf(device.pending.notifications), sent.slice(9, 59));
  assert.equal(device.pending.hasMore, true);
  assert.equal(device.pending.unread, 59);
  assert.equal(device.pending.to, 61);
});

test("a device is told from its own cursor on, which its acks move", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  const early = await server.notifyMany(id, 2);
  const phone = { token, device: "phone" };

  const first = await open(t, server, phone);
  assert.deepEqual(idsOf(first.pending.notifications), early);
  const ack = await first.ask("notification:ack", { upTo: first.pending.to });
  assert.equal(ack.ok, true);
  first.close();

  const missed = await server.notifyMany(id, 2);
  const second = await open(t, server, phone);
  assert.deepEqual(idsOf(second.pending.notifications), missed);
  second.close();

  const unacknowledged = await open(t, server, phone);
  assert.deepEqual(idsOf(unacknowledged.pending.notifications), missed, "told again: never acked");

  const tablet = await open(t, server, { token, device: "tablet" });
  assert.deepEqual(idsOf(tablet.pending.notifications), [...early, ...missed]);
});

test("an ack beyond what was sent counts up to what was sent", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  await server.notify(id);
  const watch = { token, device: "watch" };
  const device = await open(t, server, watch);
  const answer = await device.ask("notification:ack", { upTo: 1_000 });
  assert.equal(answer.ok, true);
  assert.equal(answer.upTo, 1);
  device.close();
  const missed = await server.notify(id);
  const again = await open(t, server, watch);
  assert.deepEqual(idsOf(again.pending.notifications), [missed]);
});

test("since wins over the device's cursor", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  const [, second] = await server.notifyMany(id, 2);
  const device = await open(t, server, { token, device: "laptop" });
  await device.ask("notification:ack", { upTo: 2 });
  const again = await open(t, server, { token, device: "laptop", since: 1 });
  assert.deepEqual(idsOf(again.pending.notifications), [second]);
});

test("sync answers the same as coming back, page by page", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  const sent = await server.notifyMany(id, 450);
  const device = await open(t, server, { token, since: 450 });
  await device.ask("notification:delete", { id: sent[0] });

  const items = [];
  const removed = [];
  let answer = { to: 0 };
  do {
    answer = await device.ask("notifications:sync", { since: answer.to });
    assert.equal(answer.ok, true);
    items.push(...idsOf(answer.items));
    removed.push(...answer.removed);
  } while (answer.hasMore);
  assert.deepEqual(items, sent.slice(1));
  assert.deepEqual(removed, [sent[0]]);
  assert.equal(answer.to, 451);
  assert.equal(answer.unread, 449);

  const http = await server.request("GET", "notifications/sync?since=440", { token });
  assert.equal(http.status, 200);
  assert.deepEqual(idsOf(http.body.items), sent.slice(440));
  assert.deepEqual(http.body.removed, [sent[0]]);
});

test(
  "bad arguments are answered with what is wrong, and the connection goes on",
  { timeout },
  async (t) => {
    const { id, token } = await server.newUser();
    const device = await open(t, server, token);
    for (const [event, argument] of [
      ["notifications:sync", { since: -1 }],
      ["notifications:sync", { since: "yesterday" }],
      ["notifications:sync", undefined],
      ["notification:ack", { upTo: "all" }],
      ["notification:read", { id: "no-uuid" }],
      ["notification:read", {}],
      ["notification:read", { ids: [] }],
      ["notification:readAll", { upto: 3 }],
      ["auth:refresh", 7],
    ]) {
      const answer = await device.ask(event, argument);
      assert.equal(answer.ok, false, event);
      assert.ok(answer.error.code, event);
      assert.ok(answer.error.message, event);
    }
    device.socket.emit("notification:read", { id: "no-uuid" });
    assert.ok((await device.next("error")).message, "without an ack it comes as an event");
    const live = await server.notify(id);
    assert.equal((await device.next("notification")).id, live);
  },
);

test("too many messages are refused with a time to wait", { timeout }, async (t) => {
  const { token } = await server.newUser();
  const device = await open(t, server, token);
  const answers = await Promise.all(
    Array.from({ length: 130 }, () => device.ask("notifications:sync", { since: 0 })),
  );
  const refused = answers.filter(({ ok }) => !ok);
  assert.ok(refused.length > 0 && refused.length <= 30);
  assert.equal(refused[0].error.code, "RATE_LIMIT");
  assert.ok(refused[0].error.retryAfter > 0);
  assert.equal((await device.ask("heartbeat")).ok, true, "heartbeats are not counted");
});
