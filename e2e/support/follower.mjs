// A client that follows an inbox by rev, with nothing but the npm client: the rules that the
// documentation gives to whoever writes one. Keeps count of how often each id came.

import { Client } from "./client.mjs";

export class Follower {
  /** How often each notification came, by id. */
  times = new Map();
  rev = 0;
  unread = 0;
  connections = 0;

  #client;
  #goals = new Set();

  constructor(server, token) {
    // By a function, so that every attempt says how far this client is by then.
    const auth = (answer) => answer({ token, since: this.rev });
    this.#client = new Client(server.url, auth);
    const { socket } = this.#client;
    socket.on("connect", () => (this.connections += 1));
    socket.on("notifications:pending", ({ notifications, to, unread }) => {
      for (const { id } of notifications) this.#took(id);
      this.#moved(to, unread);
    });
    socket.on("notification", ({ id, rev }) => {
      if (rev !== this.rev + 1) throw new Error(`rev ${rev} after ${this.rev}`);
      this.#took(id);
      this.#moved(rev);
    });
    socket.on("notification:count", ({ unread }) => (this.unread = unread));
  }

  /** Resolves once everything up to `rev` is here. */
  reached(rev) {
    return new Promise((resolve) => {
      this.#goals.add({ rev, resolve });
      this.#moved(this.rev);
    });
  }

  /** Drops the connection and opens another. */
  reconnect() {
    this.#client.socket.disconnect().connect();
  }

  close() {
    this.#client.close();
  }

  #took(id) {
    this.times.set(id, (this.times.get(id) ?? 0) + 1);
  }

  #moved(rev, unread = this.unread) {
    this.rev = Math.max(this.rev, rev);
    this.unread = unread;
    for (const goal of this.#goals) {
      if (this.rev >= goal.rev) {
        this.#goals.delete(goal);
        goal.resolve();
      }
    }
  }
}
