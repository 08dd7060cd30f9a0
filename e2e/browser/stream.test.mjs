// Server-sent events in Chromium, with the EventSource that every browser has.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, newPage, until } from "../support/browser.mjs";
import { Server } from "../support/server.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const timeout = 120_000;
const NAMES = ["connected", "notifications:pending", "notification", "server:shutdown", "error"];

/** Opens an EventSource in the page; `window.events` is what it was told, in order. */
async function listen(page, server, address) {
  if (!page.url().startsWith(server.url)) await page.goto(`${server.url}/health/live`);
  await page.evaluate(
    ({ address, names }) => {
      window.events = [];
      window.opened = 0;
      window.source = new EventSource(address);
      window.source.onopen = () => window.opened++;
      for (const name of names) {
        window.source.addEventListener(name, ({ data, lastEventId }) => {
          if (data) window.events.push({ name, lastEventId, body: JSON.parse(data) });
        });
      }
    },
    { address, names: NAMES },
  );
}

const told = (page) => page.evaluate(() => window.events);

/** Ids of notifications, each as often as it was told. */
const idsOf = (events) =>
  events.flatMap(({ name, body }) => {
    if (name === "notification") return [body.notification.id];
    return name === "notifications:pending" ? body.notifications.map(({ id }) => id) : [];
  });

test("a stream goes on by itself after the server was away", { timeout }, async (t) => {
  const server = await Server.start();
  t.after(() => server.remove());
  const page = await newPage(t, browser);
  const { id, token } = await server.newUser();
  await listen(page, server, `/api/v1/stream?token=${token}`);
  await until(async () => (await told(page)).some(({ name }) => name === "notifications:pending"));
  const sent = [await server.notify(id), await server.notify(id)];
  await until(async () => idsOf(await told(page)).length === 2);

  await server.stop();
  await server.startAgain();
  sent.push(await server.notify(id));
  await until(async () => idsOf(await told(page)).length >= 3);
  assert.deepEqual(idsOf(await told(page)), sent, "each once and in order");
  assert.equal(await page.evaluate(() => window.opened), 2);
  assert.ok((await told(page)).some(({ name }) => name === "server:shutdown"));
});

test("a ticket is good once, and then the browser gives up", { timeout }, async (t) => {
  const server = await Server.start();
  t.after(() => server.remove());
  const page = await newPage(t, browser);
  const { token } = await server.newUser();
  await page.goto(`${server.url}/health/live`);
  const ticket = await page.evaluate(async (token) => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await fetch("/api/v1/stream-tickets", { method: "POST", headers });
    return (await answer.json()).ticket;
  }, token);
  const address = `/api/v1/stream?ticket=${ticket}`;
  await listen(page, server, address);
  await until(async () => (await told(page)).length >= 2);
  await listen(page, server, address);
  await until(() => page.evaluate(() => window.source.readyState === EventSource.CLOSED));
  assert.deepEqual(await told(page), []);
});
