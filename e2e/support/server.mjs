// Starts the real binary, with a data directory and a port of its own.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { claimPort } from "../../deploy/demo/ports.mjs";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const BINARY = resolve(
  ROOT,
  process.env.TIDINGS_BIN ?? join(process.env.CARGO_TARGET_DIR ?? "target", "debug/tidings"),
);

const MOST_TRIES = 20;

// A server that is told to stop does so at once; how it drains is tested elsewhere.
const SETTINGS = { TIDINGS_LIFECYCLE__UNREADY: "0s", TIDINGS_LIFECYCLE__DRAIN: "0s" };

/** A server for the tests of one file: `const server = await Server.start()`, and
 *  `after(() => server.remove())`. */
export class Server {
  url;
  dataDir;
  apiKey;

  #child;
  #claim;
  #settings;
  #output = [];
  #up;
  #people = 0;

  static async start({ settings = {} } = {}) {
    if (!existsSync(BINARY)) {
      throw new Error(`there is no ${BINARY}: cargo build -p tidings-server, or set TIDINGS_BIN`);
    }
    const server = new Server();
    server.#settings = { ...SETTINGS, ...settings };
    server.dataDir = await mkdtemp(join(tmpdir(), "tidings-e2e-"));
    try {
      await server.#startOnFreePort();
      server.apiKey = await server.run("keys", "create", "--name", "e2e", "--quiet");
      return server;
    } catch (problem) {
      await server.remove();
      throw problem;
    }
  }

  /** Resolves when the server listens; during a restart, when it does so again. */
  get up() {
    return this.#up;
  }

  get pid() {
    return this.#child.pid;
  }

  /** What the process said so far. */
  get output() {
    return this.#output.join("");
  }

  /** Kills or stops the process and answers how it ended. */
  async stop(signal = "SIGTERM") {
    if (!isRunning(this.#child)) return {};
    this.#child.kill(signal);
    const [code, by] = await once(this.#child, "exit");
    return { code, signal: by };
  }

  /** Starts again on the same port and data. */
  async startAgain() {
    await (this.#up = this.#launch());
  }

  async restart(signal = "SIGKILL") {
    const again = this.stop(signal).then(() => this.#launch());
    this.#up = again;
    await again;
  }

  async remove() {
    await this.stop("SIGKILL");
    this.#claim?.release();
    await rm(this.dataDir, { recursive: true, force: true });
  }

  /** Runs `tidings …` on this data directory and answers what it printed. */
  async run(...args) {
    const { stdout } = await promisify(execFile)(BINARY, [...args, "--data-dir", this.dataDir], {
      env: environment(),
      cwd: this.dataDir,
    });
    return stdout.trim();
  }

  token(user, ...options) {
    return this.run("token", "--user", user, "--quiet", ...options);
  }

  /** A user that no other test knows, with a token. */
  async newUser(name = "user") {
    this.#people += 1;
    const id = `${name}-${this.#people}`;
    return { id, token: await this.token(id) };
  }

  /** An API request; answers status, headers and the parsed body. */
  async request(method, path, { token = this.apiKey, body, headers = {} } = {}) {
    const response = await fetch(`${this.url}/api/v1/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text && JSON.parse(text) };
  }

  /** Sends a notification and answers its id. */
  async notify(to, more = {}) {
    const body = { to, type: "like", message: "Somebody liked your post", ...more };
    const answer = await this.request("POST", "notifications", { body });
    if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body.id;
  }

  /** Sends `count` notifications in one request and answers their ids, in order. */
  async notifyMany(to, count) {
    const body = Array.from({ length: count }, (_, n) => ({
      to,
      type: "comment",
      message: `Comment ${n + 1}`,
    }));
    const answer = await this.request("POST", "notifications", { body });
    if (answer.status !== 201) throw new Error(`${answer.status} ${JSON.stringify(answer.body)}`);
    return answer.body.results.map(({ id }) => id);
  }

  /** Clients that are connected, as far as the server knows. */
  async connections() {
    const metrics = await (await fetch(`${this.url}/metrics`)).text();
    return Number(/^websocket_connections_active(?:\{[^}]*\})? (\d+)/m.exec(metrics)[1]);
  }

  /** Every notification of a user, by pages of the list. */
  async list(token) {
    const all = [];
    for (let cursor = ""; cursor !== undefined;) {
      const query = new URLSearchParams({ limit: 100, ...(cursor && { cursor }) });
      const { status, body } = await this.request("GET", `notifications?${query}`, { token });
      if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`);
      all.push(...body.notifications);
      cursor = body.pagination.hasMore ? body.pagination.nextCursor : undefined;
    }
    return all;
  }

  async #startOnFreePort() {
    for (let tries = 1; ; tries += 1) {
      this.#claim = await claimPort();
      this.url = `http://127.0.0.1:${this.#claim.port}`;
      try {
        await (this.#up = this.#launch());
        return;
      } catch (problem) {
        this.#claim.release();
        // Somebody else's port, unless it says something else.
        if (tries === MOST_TRIES || !/in use/i.test(this.output)) throw problem;
        this.#output = [];
      }
    }
  }

  async #launch() {
    const ready = join(this.dataDir, "..", `${this.dataDir.split("/").pop()}.ready`);
    await rm(ready, { force: true });
    const child = spawn(
      BINARY,
      [
        "serve",
        "--dev",
        "--port",
        this.#claim.port,
        "--data-dir",
        this.dataDir,
        "--ready-file",
        ready,
      ],
      { env: environment(this.#settings), cwd: this.dataDir, stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#child = child;
    const saidAll = once(child, "close");
    running.add(child);
    child.once("exit", () => running.delete(child));
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text) => this.#output.push(text));
    }
    while (isRunning(child)) {
      const content = await readFile(ready, "utf8").catch(() => "");
      if (content) {
        await rm(ready, { force: true });
        return;
      }
      await pause(20);
    }
    await saidAll;
    throw new Error(`the server ended before it listened:\n${this.output}`);
  }
}

const running = new Set();
// A test run that is broken off leaves nothing behind.
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));

function isRunning(child) {
  return child.exitCode === null && child.signalCode === null;
}

/** The environment without the settings of whoever runs the tests. */
function environment(settings = {}) {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith("TIDINGS_"));
  return { ...Object.fromEntries(inherited), ...settings };
}
