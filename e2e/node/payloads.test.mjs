// Large, foreign and binary payloads, above all over polling, where everything is text.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";

import { open, TRANSPORTS } from "../support/client.mjs";
import { Server } from "../support/server.mjs";

let server;
before(async () => (server = await Server.start()));
after(() => server?.remove());

// Each of one to four bytes, with combining marks, both directions, and the character that
// separates packets in a polling payload.
const UNICODE = "aß€🔔👩‍👩‍👧e\u0301 שלום \u001e\u2028\u0000\uffff";

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(name, { timeout: 300_000 }, () => {
    test("text of every kind comes through as it was sent", async (t) => {
      const { id, token } = await server.newUser();
      const device = await open(t, server, token, { transports });
      const data = { text: UNICODE.repeat(150), [UNICODE]: 1 };
      const sent = await server.notify(id, { message: UNICODE, data });
      const heard = await device.next("notification");
      assert.equal(heard.id, sent);
      assert.equal(heard.message, UNICODE);
      assert.deepEqual(heard.data, data);

      await server.notifyMany(id, 40);
      await device.next("notification", ({ seq }) => seq === 41);
      assert.equal(device.all("notification").length, 41);
    });

    test("a client may say a lot", async (t) => {
      const { id, token } = await server.newUser();
      const device = await open(t, server, token, { transports });
      const long = UNICODE.repeat(6_000);
      const answers = await Promise.all([
        device.ask("notification:read", { id: long }),
        device.ask("heartbeat"),
        device.ask(UNICODE, long),
      ]);
      assert.deepEqual(
        answers.map(({ ok }) => ok),
        [false, true, false],
      );
      const live = await server.notify(id);
      assert.equal((await device.next("notification")).id, live);
    });

    test("binary arguments are taken, and answered in order", async (t) => {
      const { id, token } = await server.newUser();
      const device = await open(t, server, token, { transports });
      const bytes = Buffer.alloc(100_000, 0x1e);
      const answers = await Promise.all([
        device.ask("heartbeat", bytes, { nested: [Buffer.from([0, 255])] }),
        device.ask("notification:read", { id: bytes }),
        device.ask("heartbeat"),
      ]);
      assert.deepEqual(
        answers.map(({ ok }) => ok),
        [true, false, true],
      );
      const live = await server.notify(id);
      assert.equal((await device.next("notification")).id, live);
    });

    test("a message beyond the limit ends the connection, which comes back", async (t) => {
      const { id, token } = await server.newUser();
      const device = await open(t, server, token, { transports });
      device.socket.emit("heartbeat", "x".repeat(1_100_000));
      await device.next("disconnect");
      await device.opened();
      const live = await server.notify(id);
      assert.equal((await device.next("notification")).id, live);
    });
  });
}
