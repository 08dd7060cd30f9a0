// The Socket.IO client in Chromium, in a page of the server and under its content security
// policy, by each transport.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { launch, newPage, PageDevice, until } from "../support/browser.mjs";
import { TRANSPORTS } from "../support/client.mjs";
import { Server } from "../support/server.mjs";

let browser;
let server;
before(async () => ([browser, server] = await Promise.all([launch(), Server.start()])));
after(() => Promise.all([browser?.close(), server?.remove()]));

const timeout = 120_000;
const idsOf = (notifications) => notifications.map(({ id }) => id);
const UNICODE = "aß€🔔👩‍👩‍👧 שלום \u001e\u2028\u0000";

async function openDevice(t, at, user, options) {
  const page = await newPage(t, browser);
  const device = await PageDevice.open(page, at, { token: user.token, ...options });
  return { page, device };
}

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(name, { timeout: 300_000 }, () => {
    test("pending, then live, in order, each once", async (t) => {
      const user = await server.newUser();
      const waiting = await server.notify(user.id);
      const { page, device } = await openDevice(t, server, user, { transports });
      const { connected, pending } = await device.opened();
      assert.equal(connected.userId, user.id);
      assert.deepEqual(idsOf(pending.notifications), [waiting]);

      const sent = await server.notifyMany(user.id, 50);
      await until(async () => (await device.all("notification")).length >= 50);
      assert.deepEqual(idsOf(await device.all("notification")), sent);
      if (name === "upgrade") await until(async () => (await device.transport()) === "websocket");
      else assert.equal(await device.transport(), transports[0]);
      assert.deepEqual(page.complaints, []);
    });

    test("acknowledgements, large text and binary", async (t) => {
      const user = await server.newUser();
      const { page, device } = await openDevice(t, server, user, { transports });
      await device.opened();
      const sent = await server.notify(user.id, { message: UNICODE, data: { UNICODE } });
      const heard = await device.next("notification");
      assert.deepEqual([heard.id, heard.message, heard.data], [sent, UNICODE, { UNICODE }]);

      assert.equal((await device.ask("notification:read", { id: sent })).ok, true);
      const update = await device.next("notification:updated");
      assert.deepEqual([update.unread, update.items[0].read], [0, true]);
      assert.equal((await device.ask(UNICODE, UNICODE.repeat(4_000))).ok, false);

      const answers = await page.evaluate(() => {
        const bytes = new Uint8Array(100_000).fill(0x1e);
        return Promise.all([
          window.device.ask("heartbeat", bytes),
          window.device.ask("heartbeat", { nested: [bytes.buffer, new Blob(["text"])] }),
          window.device.ask("heartbeat"),
        ]);
      });
      assert.ok(answers.every(({ ok }) => ok));
      assert.deepEqual(page.complaints, []);
    });

    test("a bad token is refused, an expired one renewed", async (t) => {
      const user = await server.newUser();
      const expired = await server.token(user.id, "--ttl=-1m");
      const { device } = await openDevice(t, server, { token: "let-me-in" }, { transports });
      assert.deepEqual(await device.next("connect_error"), {
        message: "Authentication failed",
        data: { code: "AUTH_FAILED" },
      });
      await device.connect(expired);
      assert.deepEqual(await device.next("connect_error"), {
        message: "Token expired",
        data: { code: "TOKEN_EXPIRED" },
      });
      await device.connect(user.token);
      assert.equal((await device.opened()).connected.userId, user.id);
    });

    test("offline, then exactly what was missed", async (t) => {
      const user = await server.newUser();
      const { device } = await openDevice(t, server, user, { transports });
      await device.opened();
      await server.notify(user.id);
      await device.next("notification");
      await device.disconnect();
      const missed = await server.notifyMany(user.id, 3);
      await device.connect();
      const { pending } = await device.opened();
      assert.deepEqual(idsOf(pending.notifications), missed);
      assert.equal(pending.unread, 4);
    });

    for (const signal of ["SIGKILL", "SIGTERM"]) {
      test(`the device comes back after ${signal}`, async (t) => {
        const own = await Server.start();
        t.after(() => own.remove());
        const user = await own.newUser();
        const { device } = await openDevice(t, own, user, { transports });
        await device.opened();
        const first = await own.notify(user.id);
        await device.next("notification");
        // A client that is cut off in the middle of the change may notice by a missed heartbeat alone.
        if (name === "upgrade") await until(async () => (await device.transport()) === "websocket");
        await own.stop(signal);
        await device.next("disconnect");
        await own.startAgain();
        await device.opened();
        const second = await own.notify(user.id);
        await device.next("notification");
        const pending = await device.all("notifications:pending");
        assert.deepEqual(
          pending.flatMap(({ notifications }) => idsOf(notifications)),
          [],
        );
        assert.deepEqual(idsOf(await device.all("notification")), [first, second]);
      });
    }
  });
}

test(
  "three pages of one user all ring, and reading in one clears the others",
  { timeout },
  async (t) => {
    const user = await server.newUser();
    const devices = await Promise.all(
      Object.values(TRANSPORTS).map((transports) => openDevice(t, server, user, { transports })),
    );
    await Promise.all(devices.map(({ device }) => device.opened()));
    const sent = await server.notify(user.id);
    for (const { device } of devices) assert.equal((await device.next("notification")).id, sent);
    await devices[1].device.ask("notification:readAll");
    for (const { device, page } of devices) {
      assert.equal((await device.next("notification:updated")).unread, 0);
      assert.deepEqual(page.complaints, []);
    }
  },
);

test(
  "the sixth page closes the first, which does not come back by itself",
  { timeout },
  async (t) => {
    const user = await server.newUser();
    const first = await openDevice(t, server, user);
    await first.device.opened();
    for (let n = 0; n < 5; n += 1) {
      const { device } = await openDevice(t, server, user);
      await device.opened();
    }
    assert.equal((await first.device.next("error")).code, "CONNECTION_LIMIT");
    assert.equal(await first.device.next("disconnect"), "io server disconnect");
  },
);
