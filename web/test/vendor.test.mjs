import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("../../scripts/vendor.mjs", import.meta.url));
const vendor = fileURLToPath(new URL("../playground/vendor", import.meta.url));

test("the vendored files are those of the installed packages", (t) => {
  const fresh = mkdtempSync(join(tmpdir(), "tidings-vendor-"));
  t.after(() => rmSync(fresh, { recursive: true }));
  execFileSync(process.execPath, [script, fresh]);
  assert.deepEqual(readdirSync(vendor).sort(), readdirSync(fresh).sort());
  for (const name of readdirSync(fresh)) {
    assert.ok(
      readFileSync(join(vendor, name)).equals(readFileSync(join(fresh, name))),
      `${name} differs; run scripts/vendor`,
    );
  }
});
