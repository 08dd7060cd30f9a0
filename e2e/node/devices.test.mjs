// Several devices of one user: all ring, and what one does shows on the others.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { open, TRANSPORTS } from "../support/client.mjs";
import { Server } from "../support/server.mjs";

let server;
before(async () => (server = await Server.start()));
after(() => server?.remove());

const timeout = 120_000;

/** Three devices of a new user, one by each transport. */
async function threeDevices(t) {
  const user = await server.newUser();
  const devices = await Promise.all(
    Object.values(TRANSPORTS).map((transports) => open(t, server, user.token, { transports })),
  );
  return { ...user, devices };
}

/** Waits for the next "notification:updated" of each device and the count that follows. */
async function updates(devices) {
  return Promise.all(
    devices.map(async (device) => {
      const update = await device.next("notification:updated");
      const count = await device.next("notification:count");
      assert.deepEqual(count, { unread: update.unread, rev: update.rev });
      return update;
    }),
  );
}

test("all three devices ring", { timeout }, async (t) => {
  const { id, devices } = await threeDevices(t);
  const bystander = await server.newUser();
  const other = await open(t, server, bystander.token);
  const live = await server.notify(id);
  for (const device of devices) {
    assert.equal((await device.next("notification")).id, live);
    assert.deepEqual(await device.next("notification:count"), { unread: 1, rev: 1 });
  }
  await other.ask("heartbeat");
  assert.deepEqual(other.all("notification"), [], "nobody else's does");
});

test("reading on one device clears the others", { timeout }, async (t) => {
  const { id, devices } = await threeDevices(t);
  const [first, second] = [await server.notify(id), await server.notify(id)];
  await Promise.all(devices.map((device) => device.next("notification", (n) => n.id === second)));
  for (const device of devices) await device.next("notification:count");

  const answer = await devices[0].ask("notification:read", { id: first });
  assert.equal(answer.ok, true);
  assert.equal(answer.unread, 1);
  for (const update of await updates(devices)) {
    assert.equal(update.rev, 3);
    assert.equal(update.unread, 1);
    assert.equal(update.items.length, 1);
    const [item] = update.items;
    assert.equal(item.id, first);
    assert.equal(item.rev, 3);
    assert.equal(item.seq, 1);
    assert.equal(item.read, true);
    assert.ok(Date.parse(item.readAt));
  }
});

test("unread, seen, archive and delete reach every device", { timeout }, async (t) => {
  const { id, devices } = await threeDevices(t);
  const ids = await server.notifyMany(id, 3);
  await Promise.all(
    devices.map((device) => device.next("notification:count", ({ rev }) => rev === 3)),
  );
  const [one] = devices;

  assert.equal((await one.ask("notification:read", { ids })).ok, true);
  for (const update of await updates(devices)) {
    assert.equal(update.items.length, 3);
    assert.equal(update.unread, 0);
    assert.equal(update.rev, 4, "one operation is one rev");
  }
  assert.equal((await one.ask("notification:unread", { id: ids[0] })).ok, true);
  for (const { unread, items } of await updates(devices)) {
    assert.equal(unread, 1);
    assert.equal(items[0].read, false);
  }
  assert.equal((await one.ask("notification:read", { id: ids[0] })).ok, true);
  await updates(devices);
  assert.equal((await one.ask("notification:archive", { id: ids[1] })).ok, true);
  for (const { items } of await updates(devices)) assert.ok(Date.parse(items[0].archivedAt));
  assert.equal((await one.ask("notification:delete", { id: ids[2] })).ok, true);
  for (const { removed } of await updates(devices)) assert.deepEqual(removed, [ids[2]]);

  const left = await server.list(one.socket.auth.token);
  assert.deepEqual(
    left.map((each) => each.id),
    [ids[0]],
  );
});

test("seen is told, and leaves it unread", { timeout }, async (t) => {
  const { id, devices } = await threeDevices(t);
  const live = await server.notify(id);
  await Promise.all(devices.map((device) => device.next("notification:count")));
  assert.equal((await devices[1].ask("notification:seen", { id: live })).ok, true);
  for (const { items, unread } of await updates(devices)) {
    assert.ok(Date.parse(items[0].seenAt));
    assert.equal(items[0].read, false);
    assert.equal(unread, 1);
  }
});

test("read all is one watermark for all devices", { timeout }, async (t) => {
  const { id, devices } = await threeDevices(t);
  await server.notifyMany(id, 5);
  await Promise.all(
    devices.map((device) => device.next("notification:count", ({ rev }) => rev === 5)),
  );
  const partly = await devices[0].ask("notification:readAll", { upTo: 3 });
  assert.equal(partly.ok, true);
  assert.equal(partly.unread, 2);
  for (const update of await updates(devices)) {
    assert.equal(update.readUpTo, 3);
    assert.equal(update.unread, 2);
  }
  assert.equal((await devices[0].ask("notification:readAll")).unread, 0);
  for (const update of await updates(devices)) {
    assert.ok(update.readUpTo >= 5);
    assert.equal(update.unread, 0);
  }
});

test(
  "what is done over HTTP shows on the devices, and so does a retraction",
  { timeout },
  async (t) => {
    const { id, token, devices } = await threeDevices(t);
    const [first, second] = await server.notifyMany(id, 2);
    await Promise.all(
      devices.map((device) => device.next("notification:count", ({ rev }) => rev === 2)),
    );
    const read = await server.request("PATCH", `notifications/${first}/read`, { token });
    assert.equal(read.status, 200);
    for (const { items } of await updates(devices)) assert.equal(items[0].id, first);

    const retracted = await server.request("DELETE", `notifications/${second}`);
    assert.ok(retracted.status < 300, `retract answered ${retracted.status}`);
    for (const { removed, unread } of await updates(devices)) {
      assert.deepEqual(removed, [second]);
      assert.equal(unread, 0);
    }
  },
);

test("the sixth connection closes the oldest, and says why", { timeout }, async (t) => {
  const { id, token } = await server.newUser();
  const devices = [];
  for (let n = 0; n < 6; n += 1) devices.push(await open(t, server, token));

  const [oldest, ...others] = devices;
  const error = await oldest.next("error");
  assert.equal(error.code, "CONNECTION_LIMIT");
  assert.equal(await oldest.next("disconnect"), "io server disconnect");
  assert.equal(oldest.socket.active, false, "it does not push the next one out");

  const live = await server.notify(id);
  for (const device of others) assert.equal((await device.next("notification")).id, live);
  assert.deepEqual(oldest.all("notification"), []);
});

test("an announcement reaches every user who is known", { timeout }, async (t) => {
  const own = await Server.start();
  t.after(() => own.remove());
  const users = [await own.newUser(), await own.newUser(), await own.newUser()];
  const devices = await Promise.all(users.map(({ token }) => open(t, own, token)));
  const body = { to: { all: true }, type: "system", title: "Fair", message: "On Saturday" };
  const answer = await own.request("POST", "notifications", { body });
  assert.equal(answer.status, 202);
  assert.ok(answer.body.statusUrl);
  const received = await Promise.all(devices.map((device) => device.next("notification")));
  assert.equal(new Set(received.map(({ id }) => id)).size, 1, "one message, many recipients");
  assert.deepEqual(
    received.map(({ recipientId }) => recipientId),
    users.map(({ id }) => id),
  );
});
