// Ten thousand notifications, while the server is killed again and again: each that was
// accepted is in the store once, and reaches a client that follows by rev once.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

import { Follower } from "../support/follower.mjs";
import { Server } from "../support/server.mjs";

const COUNT = 10_000;
const SENDERS = 64;
const KILL_EVERY = 1_100;

test("each of 10,000 notifications is accounted for", { timeout: 600_000 }, async (t) => {
  const server = await Server.start({ settings: { TIDINGS_LIMITS__USER_REQUESTS: "0" } });
  t.after(() => server.remove());
  const { id: user, token } = await server.newUser();
  const follower = new Follower(server, token);
  t.after(() => follower.close());

  const accepted = new Map();
  const retried = { unanswered: 0, busy: 0 };
  let number = 0;
  let kills = 0;
  let killing = Promise.resolve();
  // The next request is to be under way when the server is killed.
  let killUnderWay = false;

  async function sender() {
    while (number < COUNT) {
      number += 1;
      const mine = number;
      accepted.set(mine, await sendUntilAnswered(mine));
      if (accepted.size % KILL_EVERY === 0) killing = killSoon();
    }
  }

  /**
   * By progress, and then by turns: at any moment, where most of what is under way may have been
   * answered already, and right after the next request has begun.
   */
  async function killSoon() {
    kills += 1;
    killUnderWay = kills % 2 === 0;
    if (killUnderWay) return;
    await pause(Math.random() * 20);
    await server.restart("SIGKILL");
  }

  async function sendUntilAnswered(mine) {
    const key = randomUUID();
    for (;;) {
      await server.up;
      let answer;
      try {
        const asked = server.request("POST", "notifications", {
          body: { to: user, type: "comment", message: `Comment ${mine}`, data: { mine } },
          headers: { "idempotency-key": key },
        });
        if (killUnderWay) {
          killUnderWay = false;
          killing = server.restart("SIGKILL");
        }
        answer = await asked;
      } catch {
        // The connection broke: it may or may not have been accepted. Ask again.
        retried.unanswered += 1;
        continue;
      }
      if (answer.status === 201) return answer.body.id;
      // Still in flight, or too much at once: the server says that it is not done.
      assert.ok([409, 503].includes(answer.status), JSON.stringify(answer.body));
      retried.busy += 1;
    }
  }

  await Promise.all(Array.from({ length: SENDERS }, sender));
  await killing;
  // And once more with nothing under way: what is told now comes from the disk alone.
  await server.restart("SIGKILL");
  t.diagnostic(
    `${kills + 1} kills, ${retried.unanswered} requests without an answer, ` +
      `${retried.busy} still busy, ${follower.connections} connections of the client`,
  );

  const ids = [...accepted.values()];
  assert.equal(ids.length, COUNT);
  assert.equal(new Set(ids).size, COUNT, "every notification has an id of its own");
  assert.ok(retried.unanswered > 0, "the kills hit requests under way");

  const stored = await server.list(token);
  assert.equal(stored.length, COUNT, "in the store once each, and nothing else");
  assert.deepEqual(new Set(stored.map(({ id }) => id)), new Set(ids));
  for (const { id, data } of stored) assert.equal(accepted.get(data.mine), id);
  assert.deepEqual(
    stored.map(({ seq }) => seq),
    Array.from({ length: COUNT }, (_, n) => COUNT - n),
    "numbered without a gap",
  );
  const { body: count } = await server.request("GET", "notifications/unread-count", { token });
  assert.deepEqual(count, { unread: COUNT, rev: COUNT });

  await follower.reached(COUNT);
  assert.deepEqual(new Set(follower.times.keys()), new Set(ids));
  assert.deepEqual(
    [...follower.times].filter(([, times]) => times !== 1),
    [],
    "received once each",
  );
});
