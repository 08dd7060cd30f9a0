// A device of the tests: the npm socket.io-client as it is, with a record of what it heard.

import { io } from "socket.io-client";

export const TRANSPORTS = {
  "WebSocket only": ["websocket"],
  "polling only": ["polling"],
  upgrade: ["polling", "websocket"],
};

export class Client {
  /** Every event so far: `{ name, payload, args }`, also "connect", "connect_error", "disconnect". */
  heard = [];
  socket;

  #waiting = new Set();
  /** How far `next` has read. */
  #read = 0;

  constructor(url, auth, options = {}) {
    this.socket = io(url, {
      forceNew: true,
      transports: ["websocket"],
      reconnectionDelay: 20,
      reconnectionDelayMax: 100,
      auth,
      ...options,
    });
    this.socket.on("connect", () => this.#hear("connect", this.socket.id));
    this.socket.on("connect_error", (error) => this.#hear("connect_error", error));
    this.socket.on("disconnect", (reason) => this.#hear("disconnect", reason));
    this.socket.onAny((name, ...args) => this.#hear(name, ...args));
  }

  /** The next event of this name that was not waited for yet; skips all before it. */
  next(name, fits = () => true) {
    return new Promise((resolve) => {
      const look = () => {
        for (; this.#read < this.heard.length; this.#read += 1) {
          const event = this.heard[this.#read];
          if (event.name !== name || !fits(event.payload)) continue;
          this.#read += 1;
          this.#waiting.delete(look);
          resolve(event.payload);
          return;
        }
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Waits until the server has sent connected and pending; answers both. */
  async opened() {
    const connected = await this.next("connected");
    return { connected, pending: await this.next("notifications:pending") };
  }

  /** All payloads of one event so far. */
  all(name) {
    return this.heard.filter((event) => event.name === name).map(({ payload }) => payload);
  }

  /** All arguments of the last event of this name. */
  args(name) {
    return this.heard.findLast((event) => event.name === name).args;
  }

  ask(name, ...args) {
    return this.socket.emitWithAck(name, ...args);
  }

  get transport() {
    return this.socket.io.engine.transport.name;
  }

  close() {
    this.socket.disconnect();
  }

  #hear(name, ...args) {
    this.heard.push({ name, payload: args[0], args });
    for (const look of [...this.#waiting]) look();
  }
}

/** A client that is closed when the test ends. */
export function connect(t, server, auth, options) {
  const client = new Client(server.url, typeof auth === "string" ? { token: auth } : auth, options);
  t.after(() => client.close());
  return client;
}

/** Like `connect`, and waits until the device is told what it has to know. */
export async function open(t, server, auth, options) {
  const client = connect(t, server, auth, options);
  return Object.assign(client, await client.opened());
}
