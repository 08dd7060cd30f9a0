// Keeps the server busy for a long time, prints what it uses, and accounts for everything at
// the end: make soak, or SOAK_MINUTES=5 make soak. Ends with an error if anything is missing
// or came twice.
import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";

import { surviveCuts } from "./support/cuts.mjs";
import { Follower } from "./support/follower.mjs";
import { Server } from "./support/server.mjs";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 60);
const USERS = 50;
const PER_SECOND = 100;
/** Times that one device is cut off before the long run. */
const CUTS = 200;
const REPORT_EVERY = Math.min(60_000, (MINUTES * 60_000) / 10);

const server = await Server.start();
const users = await Promise.all(Array.from({ length: USERS }, () => newUser()));
let end;
const counts = { sent: 0, reconnects: 0 };

try {
  const { events, notifications } = await surviveCuts(server, { cuts: CUTS });
  console.log(
    `recovered ${CUTS} times; ${events} events and ${notifications.length} notifications, each once`,
  );
  end = Date.now() + MINUTES * 60_000;
  await Promise.all([
    ...users.map(live),
    ...Array.from({ length: 10 }, () => send(PER_SECOND / 10)),
    report(),
  ]);
  await Promise.all(users.map(account));
  console.log(
    `soak: ${counts.sent} notifications, each once, over ${counts.reconnects} reconnects`,
  );
} finally {
  for (const { follower } of users) follower.close();
  await server.remove();
}

async function newUser() {
  // The token has to outlast the run.
  const user = await server.newUser();
  const token = await server.token(user.id, `--ttl=${Math.ceil(MINUTES) + 60}m`);
  return { ...user, token, sent: [], follower: new Follower(server, token) };
}

/** A device that comes and goes. */
async function live({ follower }) {
  while (Date.now() < end) {
    await pause(5_000 + Math.random() * 20_000);
    follower.reconnect();
    counts.reconnects += 1;
  }
}

async function send(perSecond) {
  while (Date.now() < end) {
    const user = users[Math.floor(Math.random() * USERS)];
    const { status, body } = await server.request("POST", "notifications", {
      body: { to: user.id, type: "comment", message: `Comment ${counts.sent}` },
      headers: { "idempotency-key": randomUUID() },
    });
    if (status !== 201) throw new Error(`${status} ${JSON.stringify(body)}`);
    user.sent.push(body.id);
    counts.sent += 1;
    await pause(1000 / perSecond);
  }
}

async function report() {
  console.log("minute      sent   MB of memory   open files");
  for (let minute = 0; Date.now() < end; minute += REPORT_EVERY / 60_000) {
    const status = await readFile(`/proc/${server.pid}/status`, "utf8");
    const megabytes = Number(/VmRSS:\s+(\d+)/.exec(status)[1]) / 1024;
    const files = (await readdir(`/proc/${server.pid}/fd`)).length;
    console.log(
      [minute.toFixed(1).padStart(6), String(counts.sent).padStart(9)].join(" ") +
        megabytes.toFixed(1).padStart(15) +
        String(files).padStart(13),
    );
    await pause(REPORT_EVERY);
  }
}

async function account({ id, sent, follower }) {
  await follower.reached(sent.length);
  const wrong = sent.filter((each) => follower.times.get(each) !== 1);
  if (wrong.length > 0 || follower.times.size !== sent.length) {
    throw new Error(`${id}: ${wrong.length} of ${sent.length} did not come exactly once`);
  }
}
