// A device whose connection breaks again and again, anywhere in the stream, while its room and its
// inbox go on; and an account of what it was told.

import assert from "node:assert/strict";
import { createServer, connect as dial } from "node:net";

import { Client } from "./client.mjs";

/** A wire breaks within so many bytes; so many messages are more than that. */
const MOST_BYTES = 3_000;
const MOST_SAID = 200;

/** Passes TCP connections on, and breaks them when told to. */
export class Wire {
  url;

  #server;
  #far;
  #open = new Set();
  #left = Infinity;
  #broken = () => {};

  static async to(url) {
    const wire = new Wire();
    wire.lead(url);
    wire.#server = createServer((near) => {
      const { port, hostname } = wire.#far;
      wire.#join(near, dial(Number(port), hostname));
    });
    await new Promise((resolve) => wire.#server.listen(0, "127.0.0.1", resolve));
    wire.url = `http://127.0.0.1:${wire.#server.address().port}`;
    return wire;
  }

  /** From now on connections go there. */
  lead(url) {
    this.#far = new URL(url);
  }

  /** Breaks everything when this many more bytes have come from the server, and resolves then. */
  breakAfter(bytes) {
    this.#left = bytes;
    return new Promise((resolve) => (this.#broken = resolve));
  }

  close() {
    this.#break();
    this.#server.close();
  }

  #join(near, far) {
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ]) {
      this.#open.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        this.#open.delete(socket);
        other.destroy();
      });
    }
    near.on("data", (bytes) => far.write(bytes));
    far.on("data", (bytes) => {
      if (bytes.length < this.#left) {
        this.#left -= bytes.length;
        near.write(bytes);
        return;
      }
      // What fits still arrives: the stream ends in the middle of a message.
      near.write(bytes.subarray(0, this.#left), () => this.#break());
      this.#left = Infinity;
    });
  }

  #break() {
    for (const socket of this.#open) socket.destroy();
    this.#broken();
  }
}

/** Breaks the wire while `speak` goes on, until the client knows. That may take more than one break: between two
 *  polls only the attempt to upgrade is hit, and the client polls on. And it may take a heartbeat: a client
 *  that has just paused its polling to upgrade hears nothing more, so speaking to it has an end. */
async function cutOff(client, wire, speak) {
  let here = true;
  const gone = client.next("disconnect").then(() => {
    here = false;
    wire.breakAfter(Infinity);
  });
  while (here) {
    let whole = true;
    const broken = wire
      .breakAfter(Math.floor(Math.random() * MOST_BYTES))
      .then(() => (whole = false));
    for (let said = 0; here && whole && said < MOST_SAID; said += 1) await speak();
    await Promise.race([gone, broken]);
  }
}

/** Cuts a device off `cuts` times; fails unless it is recovered each time and was told everything, in
 *  order, once. */
export async function surviveCuts(server, { cuts, transports = ["websocket"] }) {
  const { id, token } = await server.newUser("cut");
  const room = `task:${id}`;
  const wire = await Wire.to(server.url);
  const client = new Client(wire.url, { token }, { transports });
  const sent = { events: 0, notifications: [] };
  const speak = async () => {
    sent.events += 1;
    const body = { type: "task:update", data: { n: sent.events } };
    const { status } = await server.request("POST", `rooms/${room}/events`, { body });
    assert.equal(status, 202);
    if (sent.events % 3 === 0) sent.notifications.push(await server.notify(id));
  };
  try {
    await client.opened();
    assert.equal((await client.ask("room:join", room)).ok, true);
    const socketId = client.socket.id;
    await speak();
    await client.next("task:update");
    for (let cut = 1; cut <= cuts; cut += 1) {
      await cutOff(client, wire, speak);
      await speak();
      const back = await client.next("connected");
      assert.equal(back.recovered, true, `cut ${cut}`);
      assert.equal(client.socket.recovered, true, `cut ${cut}`);
      assert.equal(client.socket.id, socketId, `cut ${cut}`);
    }
    await speak();
    await client.next("task:update", ({ n }) => n === sent.events);
    const last = await server.notify(id);
    sent.notifications.push(last);
    await client.next("notification", (notification) => notification.id === last);
    const order = client.all("task:update").map(({ n }) => n);
    assert.deepEqual(
      order,
      Array.from({ length: sent.events }, (_, n) => n + 1),
    );
    assert.deepEqual(told(client), sent.notifications);
    return sent;
  } finally {
    client.close();
    wire.close();
  }
}

/** Ids of the notifications that a device was told of, in the order in which it was. */
export function told(client) {
  return client.heard.flatMap(({ name, payload }) => {
    if (name === "notification") return [payload.id];
    if (name === "notifications:pending") return payload.notifications.map(({ id }) => id);
    return [];
  });
}
