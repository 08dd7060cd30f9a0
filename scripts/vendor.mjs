// See scripts/vendor. Usage: node scripts/vendor.mjs DIRECTORY
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";

const require = createRequire(new URL("../web/package.json", import.meta.url));
const target = resolve(process.argv[2]);
const client = packageOf("socket.io-client", require);
// What its browser bundle holds, by its build's own module list.
const bundled = [
  "engine.io-client",
  "engine.io-parser",
  "socket.io-parser",
  "@socket.io/component-emitter",
];

mkdirSync(target, { recursive: true });
copyFileSync(
  join(client.folder, "dist/socket.io.esm.min.js"),
  join(target, "socket.io.esm.min.js"),
);

const own = createRequire(join(client.folder, "package.json"));
const engine = createRequire(join(packageOf("engine.io-client", own).folder, "package.json"));
const notices = [client, ...bundled.map((name) => packageOf(name, own, engine))].map(
  ({ name, version, licence, folder }) => {
    const text = readFileSync(join(folder, "LICENSE"), "utf8").trim();
    return `${name} ${version} (${licence})\n\n${text}\n`;
  },
);
writeFileSync(
  join(target, "LICENSES.txt"),
  "socket.io.esm.min.js is the unmodified browser bundle of the npm package\n" +
    "socket.io-client. It holds the following packages.\n\n" +
    notices.join(`\n${"-".repeat(72)}\n\n`),
);

function packageOf(name, ...requires) {
  for (const from of requires) {
    for (const base of from.resolve.paths(name)) {
      try {
        const folder = join(base, name);
        const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
        return { name, version, licence: license, folder };
      } catch (error) {
        if (error.code !== "ENOENT") throw error;
      }
    }
  }
  throw new Error(`${name} is not installed; run npm ci in ${dirname(target)}`);
}
