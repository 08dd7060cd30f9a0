// A node of Tidings: the real binary.

import { createHmac } from "node:crypto";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { DIR, Program, ask, freePort } from "./programs.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BINARY = resolve(
  ROOT,
  process.env.TIDINGS_BIN ?? join(process.env.CARGO_TARGET_DIR ?? "target", "debug/tidings"),
);
const SECRET = "only-for-the-demonstration-0123456789";

export class Node {
  constructor(name, port, settings) {
    this.name = name;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    const dataDir = join(DIR, `${name}-data`);
    this.env = {
      PATH: process.env.PATH,
      TIDINGS_NODE_ID: name,
      TIDINGS_PORT: String(port),
      TIDINGS_DATA_DIR: dataDir,
      TIDINGS_JWT_SECRET: SECRET,
      TIDINGS_HTTP__TRUSTED_PROXIES: "127.0.0.1",
      TIDINGS_LIFECYCLE__UNREADY: "1s",
      TIDINGS_LIFECYCLE__DRAIN: "2s",
      ...settings,
    };
    this.program = new Program(name, { words: [BINARY, "serve"], env: this.env });
  }

  static async make(name, settings) {
    if (!existsSync(BINARY)) {
      throw new Error(`there is no ${BINARY}: cargo build -p tidings-server, or set TIDINGS_BIN`);
    }
    return new Node(name, await freePort(), settings);
  }

  start() {
    return this.program.start(async () => (await this.ask("/health/ready"))?.ok);
  }

  /** Whether it hears the others. */
  async hearsTheOthers() {
    const health = await (await this.ask("/health"))?.json();
    return health?.redis?.status === "up";
  }

  async ask(path) {
    try {
      return await fetch(this.url + path, { signal: AbortSignal.timeout(5000) });
    } catch {
      return undefined;
    }
  }

  /** Runs `tidings …` with its settings. */
  run(...words) {
    return ask(BINARY, words, { env: this.env });
  }
}

/** As the application signs them (HS256). */
export function token(user) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: user, exp: Math.floor(Date.now() / 1000) + 3600 };
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", SECRET).update(text).digest("base64url")}`;
}
