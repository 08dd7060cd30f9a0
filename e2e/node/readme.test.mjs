// The README's first notification, as printed: curl rings, and the client hears it. Only the
// address is another one, and the names are given that the README tells one to set:
// TIDINGS_API_KEY or API_KEY, and TOKEN for alice.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";

import { exampleIn, readmeExample } from "../support/readme.mjs";
import { BINARY, ROOT, Server } from "../support/server.mjs";
import { until } from "../support/until.mjs";

test("the extractor takes the block below its mark", () => {
  const markdown =
    "```sh\nno\n```\n\n<!-- test: curl -->\n```sh\ncurl one \\\n  two\n```\n```js\nno\n```";
  assert.deepEqual(exampleIn(markdown, "curl"), { language: "sh", text: "curl one \\\n  two" });
  assert.throws(() => exampleIn(markdown, "client"));
});

test("the README's curl and client work as printed", { timeout: 120_000 }, async (t) => {
  const server = await Server.start();
  t.after(() => server.remove());
  const here = await mkdtemp(join(tmpdir(), "tidings-readme-"));
  t.after(() => rm(here, { recursive: true }));
  // What the README's reader has: the built binary, the server's data, the npm package.
  await mkdir(join(here, "target/release"), { recursive: true });
  await symlink(BINARY, join(here, "target/release/tidings"));
  await symlink(server.dataDir, join(here, "tidings-data"));
  await symlink(join(ROOT, "node_modules"), join(here, "node_modules"));
  const token = await server.token("alice");
  const options = {
    cwd: here,
    env: {
      PATH: `${dirname(join(here, "target/release/tidings"))}:${process.env.PATH}`,
      HOME: here,
      TIDINGS_API_KEY: server.apiKey,
      API_KEY: server.apiKey,
      TOKEN: token,
    },
  };
  const printed = async (name) => {
    const { language, text } = await readmeExample(name);
    const at = server.url.replace("http://", "");
    return { language, text: text.replaceAll(/(?:localhost|127\.0\.0\.1):3001/g, at) };
  };

  const client = await printed("client");
  assert.equal(client.language, "js");
  await writeFile(join(here, "client.mjs"), client.text);
  const listener = spawn(process.execPath, ["client.mjs"], options);
  t.after(() => listener.kill("SIGKILL"));
  const heard = listen(listener);
  await until(async () => (await server.connections()) > 0);

  const curl = await printed("curl");
  assert.equal(curl.language, "sh");
  const { stdout } = await promisify(execFile)("sh", ["-eu", "-c", curl.text], options);
  assert.match(stdout, /"id":\s*"[0-9a-f-]{36}"/);
  const [notification] = await server.list(token);
  assert.ok(stdout.includes(notification.id));
  await heard(notification.message);
});

/** Collects what a process prints; the answer waits until that holds a text. */
function listen(child) {
  let output = "";
  let look = () => {};
  const ended = new Promise((_, reject) => {
    child.on("exit", (code) => reject(new Error(`the client ended with ${code}:\n${output}`)));
  });
  ended.catch(() => {});
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output += text;
      look();
    });
  }
  return (text) => {
    const found = new Promise((resolve) => {
      look = () => output.includes(text) && resolve();
      look();
    });
    return Promise.race([found, ended]);
  };
}
