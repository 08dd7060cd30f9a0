// The README's examples, as they are printed there.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { ROOT } from "./server.mjs";

/** The fenced block below `<!-- test: NAME -->`: its language and its text. */
export async function readmeExample(name) {
  return exampleIn(await readFile(join(ROOT, "README.md"), "utf8"), name);
}

export function exampleIn(markdown, name) {
  const [, below] = markdown.split(`<!-- test: ${name} -->`);
  const fence = below?.match(/^\s*```(\w+)\n(.*?)\n```/s);
  if (!fence) throw new Error(`no fenced block below <!-- test: ${name} -->`);
  return { language: fence[1], text: fence[2] };
}
