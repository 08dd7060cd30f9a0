// Ports for programs that are killed and started again: of this demonstration, and of the tests.

import { createServer } from "node:net";

// Below those that the system gives to outgoing connections: a port stays free while its program is down, and who
// knocks there meanwhile does not find itself.
const PORTS = { from: 12_000, count: 18_000 };
// The programs listen on 127.0.0.1. Here whoever starts them holds their ports meanwhile, so that nobody else who
// takes a port like this takes one whose program is down.
const CLAIMS = "127.0.0.2";

/** A free port: ours until it is released, or this process ends. */
export async function claimPort() {
  for (;;) {
    const port = PORTS.from + Math.floor(Math.random() * PORTS.count);
    const claim = await listen(port, CLAIMS);
    const trial = claim && (await listen(port, "127.0.0.1"));
    if (trial) {
      await new Promise((resolve) => trial.close(resolve));
      claim.unref();
      return { port, release: () => claim.close() };
    }
    claim?.close();
  }
}

/** Nothing, if somebody else listens there. */
function listen(port, host) {
  return new Promise((resolve) => {
    const server = createServer();
    // Where there is no such address, as elsewhere than on Linux, nothing is claimed.
    server.once("error", ({ code }) => resolve(code === "EADDRINUSE" ? undefined : server));
    server.listen(port, host, () => resolve(server));
  });
}
