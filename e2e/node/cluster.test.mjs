// The demonstration of `make cluster-demo`, with fewer users: nodes, Redis and nginx are killed, stopped and
// reloaded under load, and every device of the npm client, polling or not, is told everything once.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { until } from "../support/until.mjs";

const DEMO = fileURLToPath(new URL("../../deploy/demo/run.mjs", import.meta.url));

test("parts of a cluster are killed and the ledger adds up", { timeout: 900_000 }, async (t) => {
  const env = { ...process.env, USERS: "5", PER_SECOND: "40" };
  const { code, output } = await new Promise((resolve) => {
    execFile(process.execPath, [DEMO], { env }, (problem, stdout, stderr) =>
      resolve({ code: problem ? problem.code : 0, output: stdout + stderr }),
    );
  });
  assert.equal(code, 0, output);
  // Nothing of it goes on.
  const [nginx] = output.match(/http:\/\/127\.0\.0\.1:\d+/);
  await until(async () => (await fetch(nginx).catch(() => undefined)) === undefined);
  for (const line of output.split("\n").filter((each) => / s {2}|together/.test(each))) {
    t.diagnostic(line);
  }
});
