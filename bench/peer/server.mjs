// The peer of the benchmark: Socket.IO on Node.js, doing as much of what Tidings does as it
// does by itself. It checks the token of each connection, answers `connected`, and sends what
// is posted to one user's room, to any room or to all. It stores nothing.
//
// node peer/server.mjs READY_FILE    (environment: SECRET, and REDIS_URL to be one of several)
import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { renameSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [readyFile] = process.argv.slice(2);
const { REDIS_URL, SECRET } = process.env;
/** Node.js waits for 511 by default; more are turned away for a second. */
const BACKLOG = 4096;

function claims(token) {
  const [header, body, signature] = String(token).split(".");
  const expected = createHmac("sha256", SECRET).update(`${header}.${body}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  const claims = JSON.parse(Buffer.from(body, "base64url").toString());
  return claims.exp > Date.now() / 1000 ? claims : null;
}

const http = createServer({ keepAliveTimeout: 60_000 });
// Socket.IO's defaults: no compression of messages, no connection state recovery.
const io = new Server(http, { serveClient: false });

if (REDIS_URL) {
  const publisher = createClient({ url: REDIS_URL });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  io.adapter(createAdapter(publisher, subscriber));
}

io.use((socket, next) => {
  const user = claims(socket.handshake.auth.token);
  if (!user) return next(new Error("Authentication failed"));
  socket.data.user = user.sub;
  next();
});

io.on("connection", (socket) => {
  const userId = socket.data.user;
  socket.join(`user:${userId}`);
  // Answered when the room is joined, as every join here is.
  socket.on("room:join", (room, answer) => {
    socket.join(room);
    answer?.({ ok: true });
  });
  socket.emit("connected", { socketId: socket.id, userId, rev: 0, unread: 0, recovered: false });
});

function send({ to, ...draft }) {
  const notification = {
    seq: 1,
    rev: 1,
    recipientId: typeof to === "string" ? to : undefined,
    id: randomUUID(),
    ...draft,
    createdAt: new Date().toISOString(),
    read: false,
  };
  const recipients = typeof to === "string" ? io.to(`user:${to}`) : io;
  recipients.emit("notification", notification);
  return { id: notification.id, recipients: 1, stored: "no" };
}

/** An event in a room: `POST /api/v1/rooms/{room}/events`. */
function say(path, { type, data }) {
  const room = decodeURIComponent(path.split("/")[4]);
  io.to(room).emit(type, data);
  return { room, type };
}

http.on("request", (request, response) => {
  if (request.url.startsWith("/socket.io/")) return;
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const body = JSON.parse(Buffer.concat(chunks).toString());
    const answer = JSON.stringify(
      request.url.endsWith("/events") ? say(request.url, body) : send(body),
    );
    response.writeHead(201, { "content-type": "application/json" });
    response.end(answer);
  });
});

http.listen({ host: "127.0.0.1", port: 0, backlog: BACKLOG }, () => {
  const { address, port } = http.address();
  writeFileSync(`${readyFile}.tmp`, JSON.stringify({ address: `${address}:${port}` }));
  renameSync(`${readyFile}.tmp`, readyFile);
});
