// Who is let in, and who is told why not.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";

import { connect, open, TRANSPORTS } from "../support/client.mjs";
import { Server } from "../support/server.mjs";

let server;
before(async () => (server = await Server.start()));
after(() => server?.remove());

const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** A token with the claims of a good one, signed by somebody else. */
function forged(token, header = { alg: "HS256", typ: "JWT" }, secret = "not the server's secret") {
  const signed = `${encode(header)}.${token.split(".")[1]}`;
  if (header.alg === "none") return `${signed}.`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

const REFUSED = {
  "no token": () => undefined,
  "an empty token": () => "",
  "no token at all, but a word": () => "let-me-in",
  "a forged signature": ({ token }) => forged(token),
  "no signature": ({ token }) => forged(token, { alg: "none" }),
  "another user in a good token": ({ token }) => {
    const [header, , signature] = token.split(".");
    const exp = Math.floor(Date.now() / 1000) + 3600;
    return [header, encode({ sub: "admin", exp }), signature].join(".");
  },
  "a token of 10 KB": ({ token }) => token + "A".repeat(10_000),
};

for (const [name, transports] of Object.entries(TRANSPORTS)) {
  describe(name, { timeout: 300_000 }, () => {
    for (const [what, of] of Object.entries(REFUSED)) {
      test(`${what} is refused`, async (t) => {
        const user = await server.newUser();
        const device = connect(t, server, { token: of(user) }, { transports });
        const error = await device.next("connect_error");
        assert.equal(error.message, "Authentication failed");
        assert.equal(error.data.code, "AUTH_FAILED");
        assert.equal(device.socket.active, false, "the client does not try again by itself");
      });
    }

    test("an expired token is refused as such, and a new one is let in", async (t) => {
      const { id, token } = await server.newUser();
      const auth = { token: await server.token(id, "--ttl=-1m") };
      const device = connect(t, server, (answer) => answer(auth), { transports });
      const error = await device.next("connect_error");
      assert.equal(error.message, "Token expired");
      assert.equal(error.data.code, "TOKEN_EXPIRED");
      auth.token = token;
      device.socket.connect();
      const { connected } = await device.opened();
      assert.equal(connected.userId, id);
    });
  });
}

test("the token may come as a header", async (t) => {
  const { id, token } = await server.newUser();
  for (const transports of Object.values(TRANSPORTS)) {
    const extraHeaders = { authorization: `Bearer ${token}` };
    const device = await open(t, server, {}, { transports, extraHeaders });
    assert.equal(device.connected.userId, id);
  }
});

test("the token may come in the address", async (t) => {
  const { id, token } = await server.newUser();
  for (const transports of Object.values(TRANSPORTS)) {
    const device = await open(t, server, {}, { transports, query: { token } });
    assert.equal(device.connected.userId, id);
  }
});

test("a token is renewed on the open connection, by one of the same user", async (t) => {
  const { id, token } = await server.newUser();
  const stranger = await server.newUser();
  const device = await open(t, server, token);

  const renewed = await device.ask("auth:refresh", { token: await server.token(id, "--ttl=2h") });
  assert.equal(renewed.ok, true);

  for (const [bad, code] of [
    [stranger.token, "AUTH_FAILED"],
    [forged(token), "AUTH_FAILED"],
    [await server.token(id, "--ttl=-1m"), "TOKEN_EXPIRED"],
  ]) {
    const refused = await device.ask("auth:refresh", { token: bad });
    assert.equal(refused.ok, false);
    assert.equal(refused.error.code, code);
  }
  const live = await server.notify(id);
  assert.equal((await device.next("notification")).id, live, "the connection lives on");
});

test("somebody else's notifications and room are out of reach", async (t) => {
  const owner = await server.newUser();
  const stranger = await server.newUser();
  const notification = await server.notify(owner.id);
  const device = await open(t, server, stranger.token);

  for (const event of ["read", "unread", "seen", "archive", "delete"]) {
    const answer = await device.ask(`notification:${event}`, { id: notification });
    assert.equal(answer.ok, false, event);
    assert.equal(answer.error.code, "NOT_FOUND");
  }
  const room = await device.ask("room:join", { room: `user:${owner.id}` });
  assert.equal(room.ok, false);
  assert.equal(room.error.code, "FORBIDDEN");

  const [untouched] = await server.list(owner.token);
  assert.equal(untouched.id, notification);
  assert.equal(untouched.read, false);
  assert.deepEqual(await server.list(stranger.token), []);
});
