// A Node.js backend with Socket.IO, as applications have it: a server with the Redis adapter, and an emitter.

import { once } from "node:events";
import { createServer } from "node:http";

import { createAdapter } from "@socket.io/redis-adapter";
import { Emitter } from "@socket.io/redis-emitter";
import { createClient } from "redis";
import { Server as SocketIo } from "socket.io";

import { Client } from "./client.mjs";

/** A connected client of Redis that is closed when the test ends. */
export async function redisClient(t, redis) {
  // What is asked while Redis is away fails, and the client comes back by itself.
  const client = createClient({ url: redis.url, socket: { reconnectStrategy: 50 } });
  client.on("error", () => {});
  await client.connect();
  t.after(() => client.close());
  return client;
}

export async function emitter(t, redis, options) {
  return new Emitter(await redisClient(t, redis), options);
}

/** A Socket.IO server on a port of its own; its clients join the rooms that they name. */
export class Backend {
  io;
  url;
  /** Arguments of each serverSideEmit that it heard. */
  told = [];

  #t;

  static async start(t, redis, options = {}) {
    // Of servers that a busy machine holds up.
    const patience = { requestsTimeout: 50_000 };
    const backend = new Backend();
    backend.#t = t;
    const [pub, sub] = [await redisClient(t, redis), await redisClient(t, redis)];
    const http = createServer();
    backend.io = new SocketIo(http, {
      adapter: createAdapter(pub, sub, { ...patience, ...options }),
    });
    backend.io.on("connection", (socket) => {
      socket.join(socket.handshake.auth.rooms ?? []);
      socket.on("ready", (done) => done());
    });
    backend.io.on("told", (...args) => {
      if (typeof args.at(-1) === "function") args.pop()("backend");
      backend.told.push(args);
    });
    http.listen(0, "127.0.0.1");
    await once(http, "listening");
    backend.url = `http://127.0.0.1:${http.address().port}`;
    t.after(() => backend.io.close());
    return backend;
  }

  /** A client of this server, in these rooms. */
  async client(...rooms) {
    const client = new Client(this.url, { rooms });
    this.#t.after(() => client.close());
    await client.next("connect");
    await client.ask("ready");
    return client;
  }
}
