// A private redis-server, on a port and in a directory of its own.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { claimPort } from "../../deploy/demo/ports.mjs";

const ATTEMPTS = 5;

export class Redis {
  url;

  #dir;
  #claim;
  #child;

  static async start() {
    const redis = new Redis();
    redis.#dir = await mkdtemp(join(tmpdir(), "tidings-redis-"));
    // Somebody may take a free port before the server does.
    for (let attempt = 1; ; attempt++) {
      redis.#claim = await claimPort();
      redis.url = `redis://127.0.0.1:${redis.#claim.port}`;
      try {
        await redis.startAgain();
        return redis;
      } catch (problem) {
        redis.#claim.release();
        if (attempt === ATTEMPTS) throw problem;
      }
    }
  }

  /** Starts it on its port, with nothing that it knew before. */
  async startAgain() {
    const settings = { port: this.#claim.port, bind: "127.0.0.1", dir: this.#dir, save: "" };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#child = child;
    running.add(child);
    child.once("exit", () => running.delete(child));
    let output = "";
    for await (const text of child.stdout
      .setEncoding("utf8")
      .iterator({ destroyOnReturn: false })) {
      output += text;
      if (output.includes("Ready to accept connections")) {
        child.stdout.resume();
        return;
      }
    }
    throw new Error(`redis-server ended before it listened:\n${output}`);
  }

  async kill() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }

  async remove() {
    await this.kill();
    this.#claim.release();
    await rm(this.#dir, { recursive: true, force: true });
  }
}

const running = new Set();
// A test run that is broken off leaves nothing behind.
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
