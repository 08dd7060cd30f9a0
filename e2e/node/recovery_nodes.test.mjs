// The connection breaks, and the unmodified client goes on where it was, on another node.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, test } from "node:test";

import { Client } from "../support/client.mjs";
import { Wire } from "../support/cuts.mjs";
import { Redis } from "../support/redis.mjs";
import { Server } from "../support/server.mjs";
import { until } from "../support/until.mjs";

const ROUNDS = 6;
const SECRET = "only-for-tests-0123456789abcdef0123456789";

/** A token that every node believes. */
function token(user) {
  const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + 3_600;
  const signed = `${text({ alg: "HS256", typ: "JWT" })}.${text({ sub: user, exp })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

let redis;
let nodes;
before(async () => {
  redis = await Redis.start();
  const settings = {
    TIDINGS_REDIS_URL: redis.url,
    TIDINGS_JWT_SECRET: SECRET,
    TIDINGS_ROOMS__CHAT__RULE: "everyone",
    // Longer than a busy machine takes.
    TIDINGS_CLUSTER__PATIENCE: "20s",
    TIDINGS_CLUSTER__TIMEOUT: "60s",
    TIDINGS_REDIS__PROBE_TIMEOUT: "50s",
  };
  nodes = await Promise.all([Server.start({ settings }), Server.start({ settings })]);
  for (const node of nodes) {
    await until(async () => {
      const health = await (await fetch(`${node.url}/health`)).json();
      return health.redis.status === "up";
    });
  }
});
after(async () => {
  for (const node of nodes ?? []) await node.remove();
  await redis?.remove();
});

test("recovered on another node each time", { timeout: 120_000 }, async (t) => {
  const wire = await Wire.to(nodes[0].url);
  t.after(() => wire.close());
  const client = new Client(wire.url, { token: token("alice") });
  t.after(() => client.close());
  let said = 0;
  const speak = async (node) => {
    said += 1;
    const body = { type: "said", data: { n: said } };
    const { status } = await node.request("POST", "rooms/chat:1/events", { body });
    assert.equal(status, 202);
  };
  const heardAll = () => until(() => client.all("said").at(-1)?.n === said);
  await client.opened();
  const { id } = client.socket;
  assert.equal((await client.ask("room:join", "chat:1")).ok, true);
  for (let round = 1; round <= ROUNDS; round += 1) {
    await speak(nodes[0]);
    await heardAll();
    const gone = client.next("disconnect");
    wire.lead(nodes[round % 2].url);
    wire.breakAfter(0);
    await speak(nodes[1]);
    await gone;
    await speak(nodes[0]);
    const connected = await client.next("connected");
    assert.equal(connected.recovered, true, `round ${round}`);
    assert.equal(client.socket.recovered, true, `round ${round}`);
    assert.equal(client.socket.id, id, `round ${round}`);
    await heardAll();
  }
  const order = client.all("said").map(({ n }) => n);
  assert.deepEqual(
    order,
    Array.from({ length: said }, (_, n) => n + 1),
  );
});
