// What the playground's files must be for the server to serve them as they are, under a
// strict content security policy.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const folder = new URL("../playground/", import.meta.url);
const read = (name) => readFileSync(new URL(name, folder), "utf8");
const html = read("index.html");
const scripts = readdirSync(folder).filter((name) => name.endsWith(".js"));

test("the page has no inline script, style or handler", () => {
  assert.doesNotMatch(html, /<style|\sstyle=|\son[a-z]+=|javascript:/i);
  for (const [, attributes, body] of html.matchAll(/<script([^>]*)>(.*?)<\/script>/gs)) {
    assert.match(attributes, /src="\//);
    assert.equal(body.trim(), "");
  }
  for (const name of scripts) {
    assert.doesNotMatch(
      read(name),
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/,
    );
  }
});

test("everything that the files ask for is there", () => {
  const wanted = [...html.matchAll(/(?:src|href)="\/([a-z][\w./-]*)"/g)].map(([, path]) => path);
  for (const name of scripts) {
    wanted.push(...[...read(name).matchAll(/from "\.\/([^"]+)"/g)].map(([, path]) => path));
  }
  const served = wanted.filter((path) => !path.startsWith("api/"));
  assert.ok(served.length > 5);
  for (const path of served) assert.ok(existsSync(new URL(path, folder)), path);
});

test("every icon that is used is drawn", () => {
  const drawn = new Set([...html.matchAll(/<symbol id="([\w-]+)"/g)].map(([, id]) => id));
  const used = [html, ...scripts.map(read)].flatMap((text) =>
    [...text.matchAll(/"#(i-[\w-]+)"/g)].map(([, id]) => id),
  );
  assert.ok(used.length > 5);
  for (const id of used) assert.ok(drawn.has(id), id);
});
