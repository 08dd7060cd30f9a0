// Three nodes of Tidings, Redis with Sentinels, PostgreSQL and nginx on this machine, without containers.
// Users are sent notifications while parts of it are killed; in the end a ledger says what
// each device was told. Ends with 1 if anything is missing, or came twice. `make cluster-demo`.

import { setTimeout as pause } from "node:timers/promises";

import { Device, Senders } from "./ledger.mjs";
import { startNginx } from "./nginx.mjs";
import { Node } from "./node.mjs";
import { DIR, eventually, startPostgres, startRedis } from "./programs.mjs";

const USERS = Number(process.env.USERS ?? 20);
const PER_SECOND = Number(process.env.PER_SECOND ?? 100);
// A device of each user by each way to connect.
const DEVICES = {
  phone: ["websocket"],
  laptop: ["polling", "websocket"],
  kiosk: ["polling"],
};
// A client whose poll a proxy lost, or that was cut off while it changed to WebSocket, learns of it when a ping is
// missing: after 45 s, by the defaults. On a busy machine that may happen twice.
const HOW_LONG_TO_WAIT = 180_000;

const began = Date.now();
const seconds = (since = began) => ((Date.now() - since) / 1000).toFixed(1);
const say = (text) => console.log(`${seconds().padStart(5)} s  ${text}`);

const [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
say("PostgreSQL, a Redis master with two replicas, three Sentinels");
const settings = {
  TIDINGS_DATABASE_URL: postgres.url,
  TIDINGS_REDIS_URL: redis.url,
  TIDINGS_LIMITS__CONNECTIONS_PER_USER: "10",
};
const nodes = [];
for (const name of ["node-1", "node-2", "node-3"]) {
  const node = await Node.make(name, settings);
  await node.start();
  nodes.push(node);
}
const nginx = await startNginx(nodes.map(({ port }) => port));
say(`three nodes behind nginx at ${nginx.url}`);

const key = await nodes[0].run("keys", "create", "--name", "demo", "--quiet");
const users = Array.from({ length: USERS }, (_, n) => `user-${n + 1}`);
const devices = users.flatMap((user, n) =>
  Object.entries(DEVICES).map(
    ([name, ways]) => new Device(nginx.url, user, name, ways, `127.0.1.${1 + (n % 250)}`),
  ),
);
const allConnected = () => devices.every(({ socket }) => socket.connected);
await eventually("everybody to connect", allConnected);
say(`${devices.length} devices of ${users.length} users are connected`);
const senders = new Senders(nginx.url, key, users, { count: 8, perSecond: PER_SECOND });

/** Something happens, and the load goes on until everybody is connected again, and a little longer. */
async function happening(what, act) {
  await pause(2000);
  say(what);
  const since = Date.now();
  const note = await act();
  await eventually("everybody to be connected", allConnected, HOW_LONG_TO_WAIT);
  say(`  … ${note}; all connected after ${seconds(since)} s, ${senders.total} accepted so far`);
}

await happening("kill -9 node-2", async () => {
  const code = await nodes[1].program.end("SIGKILL");
  // Its clients find out, and come back elsewhere.
  await pause(1000);
  return code;
});
await happening("node-2 starts again", async () => {
  await nodes[1].start();
  return "ready";
});
await happening("kill -9 the Redis master", async () => {
  const [before, since] = [await redis.master(), Date.now()];
  await before.program.end("SIGKILL");
  const another = async () => ((await redis.master())?.port ?? before.port) !== before.port;
  await eventually("another master", another);
  const elected = seconds(since);
  for (const node of nodes) await eventually("the bus", () => node.hearsTheOthers());
  return `another master after ${elected} s, the nodes hear one another after ${seconds(since)} s`;
});
await happening("nginx reloads", async () => {
  nginx.program.signal("SIGHUP");
  await pause(1000);
  return "new workers take what is new";
});
await happening("SIGTERM to node-3, which drains and is started again", async () => {
  const code = await nodes[2].program.end("SIGTERM");
  await nodes[2].start();
  return `it ended with ${code}`;
});
await senders.end();
say(`${senders.total} notifications accepted, ${senders.repeated} attempts repeated`);
const haveAll = () => devices.every((device) => device.hasAll(senders.accepted.get(device.user)));
await eventually("", haveAll, HOW_LONG_TO_WAIT).catch(() =>
  say("not everybody was told everything"),
);
// What would come twice comes now.
await pause(1000);

const accounts = devices.map((device) => device.account(senders.accepted.get(device.user)));
console.log();
console.table(accounts);
const sum = (name) => accounts.reduce((total, account) => total + account[name], 0);
const names = ["accepted", "received", "lost", "doubled", "unknown", "late", "connections"];
console.log(names.map((name) => `${name} ${sum(name)}`).join(", "), "(of all devices together)");
const good = ["lost", "doubled", "unknown", "late"].every((name) => sum(name) === 0);
console.log(good ? "The ledger adds up." : "The ledger does not add up.");
if (!good) console.log(`The logs are in ${DIR} (with KEEP=1).`);
for (const { socket } of devices) socket.disconnect();
process.exit(good ? 0 : 1);
