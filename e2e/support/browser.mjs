// Debian's Chromium, with pages that remember every complaint of theirs.

import { accessSync, constants } from "node:fs";
import { readFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";

import { chromium } from "playwright-core";

const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** As long as a busy machine may take for anything; less than a test. */
const PATIENCE = 100_000;

/** A browser with a profile of its own, thrown away when it closes. */
export function launch() {
  return chromium.launch({
    executablePath: findChromium(),
    args: ARGUMENTS,
    timeout: PATIENCE,
  });
}

/** A page in a context of its own, closed when the test ends. `page.complaints` holds console
 *  errors, uncaught exceptions and violations of the content security policy; `page.asking` the
 *  requests that are not answered yet. */
export async function newPage(t, browser, options = {}) {
  const context = await browser.newContext(options);
  t.after(() => context.close());
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  page.complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
  });
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  page.asking = new Set();
  page.on("request", (request) => page.asking.add(request));
  for (const end of ["requestfinished", "requestfailed"]) {
    page.on(end, (request) => page.asking.delete(request));
  }
  return page;
}

/** Waits until `look` answers something true. */
export async function until(look) {
  for (;;) {
    const found = await look();
    if (found) return found;
    await pause(10);
  }
}

/** The tests' own device, running in a page that the server serves: the same class as in
 *  Node, on the Socket.IO client that the server serves to browsers. */
export class PageDevice {
  #page;

  static async open(page, server, { token, ...options }) {
    const recorder = await readFile(new URL("./client.mjs", import.meta.url), "utf8");
    await page.route("**/test/client.mjs", (route) =>
      route.fulfill({
        contentType: "text/javascript",
        body: recorder.replace('"socket.io-client"', '"/vendor/socket.io.esm.min.js"'),
      }),
    );
    // A page of the server that runs nothing of its own.
    if (!page.url().startsWith(server.url)) await page.goto(`${server.url}/vendor/LICENSES.txt`);
    await page.evaluate(
      async ({ token, options }) => {
        const { Client } = await import("/test/client.mjs");
        const auth = (answer) => answer({ token: window.token, since: window.lastRev });
        window.token = token;
        window.device = new Client(location.origin, auth, options);
        window.device.socket.on("notifications:pending", ({ to }) => (window.lastRev = to));
        window.device.socket.on("notification", ({ rev }) => (window.lastRev = rev));
      },
      { token, options },
    );
    return new PageDevice(page);
  }

  constructor(page) {
    this.#page = page;
  }

  next(name) {
    return this.#page.evaluate(async (name) => {
      const payload = await window.device.next(name);
      // What an Error carries is lost on the way out of the page.
      return payload instanceof Error ? { message: payload.message, data: payload.data } : payload;
    }, name);
  }

  async opened() {
    const connected = await this.next("connected");
    return { connected, pending: await this.next("notifications:pending") };
  }

  all(name) {
    return this.#page.evaluate((name) => window.device.all(name), name);
  }

  ask(name, ...args) {
    return this.#page.evaluate(({ name, args }) => window.device.ask(name, ...args), {
      name,
      args,
    });
  }

  transport() {
    return this.#page.evaluate(() => window.device.transport);
  }

  connect(token) {
    return this.#page.evaluate((token) => {
      if (token) window.token = token;
      window.device.socket.connect();
    }, token);
  }

  disconnect() {
    return this.#page.evaluate(() => void window.device.socket.disconnect());
  }
}

function findChromium() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    for (const folder of process.env.PATH.split(delimiter)) {
      try {
        accessSync(join(folder, name), constants.X_OK);
        return join(folder, name);
      } catch {
        // Not here.
      }
    }
  }
  throw new Error("there is no Chromium: scripts/setup installs it");
}
