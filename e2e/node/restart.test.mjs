// The server dies or is stopped, and comes back: devices come back by themselves and miss nothing.
import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { open, TRANSPORTS } from "../support/client.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/until.mjs";

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  for (const signal of ["SIGKILL", "SIGTERM"]) {
    describe(`${signal}, ${name}`, { timeout: 300_000 }, () => {
      test("the device comes back and is told what it missed", async (t) => {
        const server = await Server.start();
        t.after(() => server.remove());
        const { id, token } = await server.newUser();
        let lastRev = 0;
        const auth = (answer) => answer({ token, since: lastRev });
        const device = await open(t, server, auth, { transports });
        const before = await server.notify(id);
        lastRev = (await device.next("notification")).rev;
        // A client that is cut off in the middle of the change may notice by a missed heartbeat alone.
        if (name === "upgrade") await until(() => device.transport === "websocket");

        const end = await server.stop(signal);
        if (signal === "SIGTERM") assert.equal(end.code, 0, server.output);
        else assert.equal(end.signal, "SIGKILL");
        const reason = await device.next("disconnect");
        assert.ok(["transport close", "transport error"].includes(reason), reason);
        assert.equal(device.socket.active, true, "it is meant to come back");

        await server.startAgain();
        const { connected } = await device.opened();
        assert.equal(connected.rev, 1);
        const after = await server.notify(id);
        assert.equal((await device.next("notification")).id, after);

        const shown = [
          ...device.all("notifications:pending").flatMap(({ notifications }) => notifications),
          ...device.all("notification"),
        ];
        assert.deepEqual(
          shown.map((each) => each.id),
          [before, after],
          "each is told once",
        );
      });
    });
  }
}

test("a SIGTERM is announced before the connections close", { timeout: 120_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.remove());
  const { token } = await server.newUser();
  const device = await open(t, server, token);
  const ended = server.stop("SIGTERM");
  const { reconnectAfterMs } = await device.next("server:shutdown");
  assert.ok(Number.isInteger(reconnectAfterMs) && reconnectAfterMs >= 0);
  await device.next("disconnect");
  assert.equal((await ended).code, 0);
});

test(
  "what is accepted while a device is away and the server dies is told afterwards",
  { timeout: 120_000 },
  async (t) => {
    const server = await Server.start();
    t.after(() => server.remove());
    const { id, token } = await server.newUser();
    const auth = { token, since: 0 };
    const device = await open(t, server, auth);
    device.socket.disconnect();
    const accepted = await server.notifyMany(id, 100);
    await server.restart("SIGKILL");
    device.socket.connect();
    const { pending } = await device.opened();
    assert.deepEqual(
      pending.notifications.map((each) => each.id),
      accepted,
    );
  },
);

test(
  "an id that was answered is not made again by a retry after the restart",
  { timeout: 120_000 },
  async (t) => {
    const server = await Server.start();
    t.after(() => server.remove());
    const { id, token } = await server.newUser();
    const send = () =>
      server.request("POST", "notifications", {
        body: { to: id, type: "like", message: "Once" },
        headers: { "idempotency-key": "only-once" },
      });
    const first = await send();
    await server.restart("SIGKILL");
    const second = await send();
    assert.equal(second.status, 201);
    assert.equal(second.body.id, first.body.id);
    assert.equal((await server.list(token)).length, 1);
  },
);
