// Devices that write down what they are told, senders that write down what was accepted, and the
// comparison of the two.

import { randomUUID } from "node:crypto";
import { Agent } from "node:http";
import { setTimeout as pause } from "node:timers/promises";

import { io } from "socket.io-client";

import { token } from "./node.mjs";

/** The npm client as it is: it comes back by itself, and says how far it was told. */
export class Device {
  /** How often each notification came, by id. */
  times = new Map();
  connections = 0;
  /** Told after one that was accepted later. */
  late = 0;

  #rev = 0;
  #seq = 0;

  /** From an address of its own: by that nginx knows those who poll. */
  constructor(url, user, name, transports, localAddress) {
    this.user = user;
    this.name = name;
    const credentials = token(user);
    const auth = (answer) => answer({ token: credentials, since: this.#rev });
    this.socket = io(url, {
      auth,
      transports,
      agent: new Agent({ keepAlive: true, localAddress }),
      forceNew: true,
      reconnectionDelay: 100,
      reconnectionDelayMax: 1000,
    });
    this.socket.on("connect", () => (this.connections += 1));
    this.socket.on("notification", (one) => this.#told(one, one.rev));
    this.socket.on("notifications:pending", ({ notifications, to }) => {
      for (const one of notifications) this.#told(one, one.rev);
      this.#rev = Math.max(this.#rev, to);
    });
  }

  #told({ id, seq }, rev) {
    this.times.set(id, (this.times.get(id) ?? 0) + 1);
    if (seq < this.#seq) this.late += 1;
    this.#seq = Math.max(this.#seq, seq);
    this.#rev = Math.max(this.#rev, rev);
  }

  hasAll(accepted) {
    return accepted.every((id) => this.times.has(id));
  }

  /** What it was told, beside what its user was sent. */
  account(accepted) {
    const owed = new Set(accepted);
    const counts = [...this.times];
    return {
      user: this.user,
      device: this.name,
      connections: this.connections,
      accepted: owed.size,
      received: counts.filter(([id]) => owed.has(id)).length,
      lost: accepted.filter((id) => !this.times.has(id)).length,
      doubled: counts.filter(([, times]) => times > 1).length,
      unknown: counts.filter(([id]) => !owed.has(id)).length,
      late: this.late,
    };
  }
}

/** Sends to users at random through the proxy, until told to end. */
export class Senders {
  /** The ids that were accepted, by user. */
  accepted = new Map();
  repeated = 0;

  #ended = false;
  #work;

  constructor(url, key, users, { count, perSecond }) {
    for (const user of users) this.accepted.set(user, []);
    const every = (1000 * count) / perSecond;
    const sender = async () => {
      while (!this.#ended) {
        const began = Date.now();
        const user = users[Math.floor(Math.random() * users.length)];
        this.accepted.get(user).push(await this.#send(url, key, user));
        await pause(Math.max(0, every - (Date.now() - began)));
      }
    };
    this.#work = Promise.all(Array.from({ length: count }, sender));
  }

  get total() {
    return [...this.accepted.values()].reduce((sum, ids) => sum + ids.length, 0);
  }

  /** Returns when what was under way is accepted too. */
  async end() {
    this.#ended = true;
    await this.#work;
  }

  /** Until it is accepted; by its key it is so only once, whatever became of an answer. */
  async #send(url, key, user) {
    const headers = {
      authorization: `Bearer ${key}`,
      "content-type": "application/json",
      "idempotency-key": randomUUID(),
    };
    const body = JSON.stringify({ to: user, type: "like", message: "Somebody liked your post" });
    for (;;) {
      const signal = AbortSignal.timeout(10_000);
      try {
        const answer = await fetch(`${url}/api/v1/notifications`, {
          ...{ method: "POST", headers, body, signal },
        });
        const said = await answer.json();
        if (answer.status === 201) return said.id;
        if (answer.status < 500 && ![409, 429].includes(answer.status)) {
          throw new Refused(JSON.stringify(said));
        }
      } catch (problem) {
        if (problem instanceof Refused) throw problem;
      }
      this.repeated += 1;
      await pause(100);
    }
  }
}

class Refused extends Error {}
