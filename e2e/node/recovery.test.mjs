// The connection breaks anywhere, and the unmodified client goes on where it was.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { connect } from "../support/client.mjs";
import { surviveCuts, told, Wire } from "../support/cuts.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/until.mjs";

const CUTS = 20;
const timeout = 120_000;
/** Nobody listens there. */
const NOWHERE = "http://127.0.0.1:1";
// A client whose polling was just paused for the upgrade when the connection broke polls no more, and does
// not know it before a heartbeat is missing.
const settings = { TIDINGS_GATEWAY__PING_INTERVAL: "4s", TIDINGS_GATEWAY__PING_TIMEOUT: "4s" };

let server;
before(async () => (server = await Server.start({ settings })));
after(() => server?.remove());

test(`recovered after each of ${CUTS} cuts (WebSocket)`, { timeout }, () =>
  surviveCuts(server, { cuts: CUTS }),
);

test(`recovered after each of ${CUTS} cuts (upgrade)`, { timeout }, () =>
  surviveCuts(server, { cuts: CUTS, transports: ["polling", "websocket"] }),
);

test("too late to be recovered, and still nothing is lost", { timeout }, async (t) => {
  const strict = await Server.start({ settings: { TIDINGS_GATEWAY__RECOVERY: "1ms" } });
  t.after(() => strict.remove());
  const wire = await Wire.to(strict.url);
  t.after(() => wire.close());
  const { id, token } = await strict.newUser();
  let rev = 0;
  const client = connect(t, wire, (answer) => answer({ token, since: rev }));
  client.socket.onAny((name, payload) => (rev = payload.rev ?? payload.to ?? rev));
  await client.opened();
  const gone = client.next("disconnect");
  wire.breakAfter(0);
  // It comes back no sooner than the server has noticed: from then on it is known for so long.
  wire.lead(NOWHERE);
  const sent = [await strict.notify(id)];
  await gone;
  await until(async () => (await strict.connections()) === 0);
  for (let n = 0; n < 70; n += 1) sent.push(await strict.notify(id));
  wire.lead(strict.url);
  const connected = await client.next("connected");
  assert.equal(connected.recovered, false);
  const last = await strict.notify(id);
  sent.push(last);
  await client.next("notification", (notification) => notification.id === last);
  assert.deepEqual(told(client), sent);
});
