// The programs of a small cluster as private processes: each with a port and a directory of its
// own, all gone when this process ends.

import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";

import { claimPort } from "./ports.mjs";

// Sentinels that were held up for two seconds do nothing for the next thirty, and may lose an election then.
const PATIENCE = 120_000;

export const DIR = mkdtempSync(join(tmpdir(), "tidings-demo-"));
// nginx's workers run as somebody else.
chmodSync(DIR, 0o755);

const running = new Set();
process.on("exit", () => {
  // With its own children: nginx's workers would go on without it.
  for (const child of running) process.kill(-child.pid, "SIGKILL");
  if (!process.env.KEEP) rmSync(DIR, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(130));

/** One that can be killed and started again, on the same port. */
export class Program {
  child;
  #command;

  constructor(name, command) {
    this.name = name;
    this.dir = join(DIR, name);
    mkdirSync(this.dir, { recursive: true });
    this.#command = command;
  }

  /** Starts it; returns when `isReady` says so. */
  async start(isReady) {
    const { words, env = process.env, ...options } = this.#command;
    const log = openSync(join(this.dir, "log"), "a");
    const path = `${env.PATH ?? ""}:/usr/sbin:/sbin`;
    this.child = spawn(words[0], words.slice(1), {
      stdio: ["ignore", log, log],
      env: { ...env, PATH: path },
      // A process group of its own.
      detached: true,
      ...options,
    });
    const child = this.child;
    if (child.pid) running.add(child);
    child.once("error", (problem) => console.error(`${this.name}: ${problem.message}`));
    child.once("exit", () => running.delete(child));
    await eventually(`${this.name} to be ready`, () => {
      if (child.exitCode !== null) throw new Error(`${this.name} ended:\n${this.log()}`);
      return isReady();
    });
  }

  signal(signal) {
    this.child.kill(signal);
  }

  /** Ends it, and says with what. */
  async end(signal) {
    const ended = once(this.child, "exit");
    this.child.kill(signal);
    const [code, by] = await ended;
    return code ?? by;
  }

  log() {
    return readFileSync(join(this.dir, "log"), "utf8").split("\n").slice(-15).join("\n");
  }
}

/** Asks until it is so. */
export async function eventually(what, isSo, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const answer = await isSo();
    if (answer) return answer;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await pause(50);
  }
}

/** One that nobody else takes as long as this process lives. */
export async function freePort() {
  return (await claimPort()).port;
}

/** What a short command prints; nothing if it fails. */
export async function ask(program, words, options = {}) {
  try {
    return (await promisify(execFile)(program, words, options)).stdout.trim();
  } catch {
    return "";
  }
}

/** A master, two replicas, and three Sentinels that watch them. */
export async function startRedis() {
  const servers = [];
  for (let n = 0; n < 3; n += 1) {
    const port = await freePort();
    const replica = n === 0 ? [] : ["--replicaof", "127.0.0.1", String(servers[0].port)];
    const program = new Program(`redis-${n + 1}`, {
      words: [
        ...["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--save", ""],
        ...["--dir", join(DIR, `redis-${n + 1}`), ...replica],
      ],
    });
    await program.start(async () => (await redis(port, "PING")) === "PONG");
    servers.push({ program, port });
  }
  const sentinels = [];
  for (let n = 1; n <= 3; n += 1) {
    const port = await freePort();
    const file = join(DIR, `sentinel-${n}.conf`);
    writeFileSync(
      file,
      `port ${port}\nbind 127.0.0.1\ndir ${DIR}\nsentinel monitor main 127.0.0.1 ${servers[0].port} 2\n` +
        "sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 5000\n",
    );
    const words = ["redis-server", file, "--sentinel"];
    const program = new Program(`sentinel-${n}`, { words });
    await program.start(async () => (await redis(port, "PING")) === "PONG");
    sentinels.push(port);
  }
  for (const port of sentinels) {
    await eventually("the Sentinels to know everybody", async () => {
      const lines = (await redis(port, "SENTINEL", "MASTER", "main")).split("\n");
      const field = (name) => lines[lines.indexOf(name) + 1];
      return field("num-slaves") === "2" && field("num-other-sentinels") === "2";
    });
  }
  const master = async () => {
    const address = await redis(sentinels[0], "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main");
    return servers.find(({ port }) => String(port) === address.split("\n")[1]);
  };
  const hosts = sentinels.map((port) => `127.0.0.1:${port}`).join(",");
  return { url: `redis+sentinel://${hosts}/main`, master };
}

export function redis(port, ...words) {
  return ask("redis-cli", ["-h", "127.0.0.1", "-p", String(port), ...words]);
}

export async function startPostgres() {
  const [port, bin] = [await freePort(), postgresPrograms()];
  const dir = join(DIR, "postgres");
  const somebody = ordinaryUser();
  const password = "only-for-the-demonstration";
  mkdirSync(dir);
  writeFileSync(join(dir, "password"), password);
  if (somebody.uid !== undefined) {
    chownSync(dir, somebody.uid, somebody.gid);
    chownSync(join(dir, "password"), somebody.uid, somebody.gid);
  }
  const data = join(dir, "data");
  const made = await ask(
    join(bin, "initdb"),
    ["-D", data, "-U", "tidings", "-A", "scram-sha-256", `--pwfile=${join(dir, "password")}`],
    { ...somebody, cwd: dir },
  );
  if (!made) throw new Error("initdb failed");
  const program = new Program("postgres", {
    words: [
      ...[join(bin, "postgres"), "-D", data, "-p", String(port), "-h", "127.0.0.1", "-k", dir],
      ...["-c", "max_connections=200"],
    ],
    cwd: dir,
    ...somebody,
  });
  const sql = (text, database = "postgres") =>
    ask(
      join(bin, "psql"),
      ["-h", "127.0.0.1", "-p", port, "-U", "tidings", database, "-Atc", text],
      {
        env: { ...process.env, PGPASSWORD: password },
      },
    );
  await program.start(async () => (await sql("SELECT 1")) === "1");
  await sql("CREATE DATABASE tidings");
  return { url: `postgres://tidings:${password}@127.0.0.1:${port}/tidings`, program };
}

/** Debian keeps them out of the PATH, one directory for each version. */
function postgresPrograms() {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).map(Number) : [];
  const newest = Math.max(...versions.filter((version) => version > 0));
  if (Number.isFinite(newest)) return join(debian, String(newest), "bin");
  const found = (process.env.PATH ?? "").split(":").find((dir) => existsSync(join(dir, "initdb")));
  if (!found) throw new Error("PostgreSQL is not installed: run scripts/setup");
  return found;
}

/** PostgreSQL does not run as root. */
function ordinaryUser() {
  if (process.getuid() !== 0) return {};
  const users = readFileSync("/etc/passwd", "utf8").split("\n");
  const find = (name) => users.map((line) => line.split(":")).find(([user]) => user === name);
  const [, , uid, gid] = find("postgres") ?? find("nobody");
  return { uid: Number(uid), gid: Number(gid) };
}
