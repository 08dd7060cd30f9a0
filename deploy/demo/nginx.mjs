// nginx with the file that is meant for it: only addresses, and where it writes, are others.

import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";

import { DIR, Program, freePort } from "./programs.mjs";

const FILE = new URL("../nginx/tidings.conf", import.meta.url);

/** `nodes` are the ports of the three that the file names. */
export async function startNginx(nodes) {
  const [port, dir] = [await freePort(), join(DIR, "nginx")];
  const conf = nodes.reduce(
    (text, node, n) => text.replaceAll(`10.0.0.1${n + 1}:3001`, `127.0.0.1:${node}`),
    readFileSync(FILE, "utf8"),
  );
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${dir}/${name};`)
    .join(" ");
  const program = new Program("nginx", {
    words: ["nginx", "-p", dir, "-e", "stderr", "-c", join(dir, "nginx.conf")],
  });
  writeFileSync(
    join(dir, "tidings.conf"),
    conf.replace("listen 80;", `listen 127.0.0.1:${port};`).replace("/var/log/nginx", dir),
  );
  writeFileSync(
    join(dir, "nginx.conf"),
    `daemon off; worker_processes 1; pid ${dir}/pid; error_log stderr;\n` +
      `events { worker_connections 4096; }\nhttp { ${temporary} include ${dir}/tidings.conf; }\n`,
  );
  await program.start(() => listens(port));
  return { url: `http://127.0.0.1:${port}`, program };
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true));
    socket.once("error", () => resolve(false)).once("connect", () => socket.end());
  });
}
