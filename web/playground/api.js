// The HTTP side: the playground's session, lists, and what an application's server sends.

const API = "/api/v1";

/** The two users with their tokens, and an API key; the server hands them out in --dev only. */
export async function openSession() {
  return answerOf(await fetch("/playground/session", { headers: { accept: "application/json" } }));
}

/** A page of a user's notifications, newest first, read ones too. */
export async function inboxPage(token, { cursor = null, limit = 30 } = {}) {
  const query = new URLSearchParams({ limit });
  if (cursor) query.set("cursor", cursor);
  return answerOf(
    await fetch(`${API}/notifications?${query}`, { headers: { authorization: `Bearer ${token}` } }),
  );
}

/** Sends a notification as an application's server would, with its API key. */
export async function send(apiKey, notification) {
  return answerOf(
    await fetch(`${API}/notifications`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${apiKey}`,
        "content-type": "application/json",
        "idempotency-key": crypto.randomUUID(),
      },
      body: JSON.stringify(notification),
    }),
  );
}

/** Sends an event to everybody in a room, as an application's server would. */
export async function emit(apiKey, room, event) {
  return answerOf(
    await fetch(`${API}/rooms/${encodeURIComponent(room)}/events`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify(event),
    }),
  );
}

/** The same as a command, for whoever wants to try it. */
export function asCurl(apiKey, notification) {
  const body = JSON.stringify(notification, null, 2).replaceAll("'", "'\\''");
  return [
    `curl ${location.origin}${API}/notifications \\`,
    `  -H 'Authorization: Bearer ${apiKey}' \\`,
    `  -H 'Content-Type: application/json' \\`,
    `  -d '${body}'`,
  ].join("\n");
}

async function answerOf(response) {
  if (response.ok) return response.json();
  // Problems are described as application/problem+json.
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail ?? problem.title ?? `The server answered ${response.status}.`);
}
