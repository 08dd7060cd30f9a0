import assert from "node:assert/strict";
import { test } from "node:test";

import { Inbox } from "../playground/inbox.js";

const item = (seq, more = {}) => ({ id: `n${seq}`, seq, rev: seq, read: false, ...more });
const answer = (to, more = {}) => ({ items: [], unread: 0, to, ...more });
const ids = (inbox) => inbox.items.map(({ id }) => id);

test("a catch-up fills the inbox, newest first, and says what is new", () => {
  const inbox = new Inbox();
  const fresh = inbox.catchUp(answer(3, { items: [item(1), item(3, { read: true })], unread: 1 }));
  assert.deepEqual(ids(inbox), ["n3", "n1"]);
  assert.deepEqual(
    fresh.map(({ id }) => id),
    ["n1"],
  );
  assert.equal(inbox.unread, 1);
  assert.equal(inbox.rev, 3);
});

test("a live change is next, old or behind a gap", () => {
  const inbox = new Inbox();
  assert.equal(inbox.place(1), "gap");
  inbox.catchUp(answer(4));
  assert.equal(inbox.place(4), "old");
  assert.equal(inbox.place(5), "next");
  assert.equal(inbox.place(6), "gap");
});

test("a notification that comes twice is shown once", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(0));
  assert.ok(inbox.add(item(1)));
  assert.equal(inbox.add(item(1)), undefined);
  assert.equal(inbox.catchUp(answer(1, { items: [item(1)], unread: 1 })).length, 0);
  assert.deepEqual(ids(inbox), ["n1"]);
});

test("unread is the server's count, and an older count does not win", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(0));
  inbox.add(item(1));
  assert.equal(inbox.unread, 0, "nothing is added here");
  inbox.count(1, 1);
  inbox.count(0, 0);
  assert.equal(inbox.unread, 1);
});

test("read all is a watermark: it counts once, and what came later stays unread", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(3, { items: [item(1), item(2), item(3)], unread: 3 }));
  inbox.update({ rev: 4, unread: 1, readUpTo: 2 });
  assert.deepEqual(
    inbox.items.map(({ read }) => read),
    [false, true, true],
  );
  inbox.update({ rev: 5, unread: 2, items: [{ id: "n1", seq: 1, rev: 5, read: false }] });
  inbox.catchUp(answer(5, { readUpTo: 2, unread: 2 }));
  assert.equal(inbox.get("n1").read, false, "unread again after it, and stays so");
});

test("items of an answer come after its watermark", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(2, { items: [item(1), item(2)], unread: 2 }));
  inbox.catchUp(answer(4, { readUpTo: 2, items: [item(1, { rev: 4 })], unread: 1 }));
  assert.equal(inbox.get("n1").read, false);
  assert.equal(inbox.get("n2").read, true);
});

test("an answer overtaken by a read-all does not bring unread back", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(2));
  inbox.update({ rev: 3, unread: 0, readUpTo: 3 });
  inbox.catchUp(answer(2, { items: [item(1), item(2)], unread: 2 }));
  inbox.merge([item(1)]);
  assert.ok(inbox.items.every(({ read }) => read));
  assert.equal(inbox.unread, 0);
  assert.equal(inbox.rev, 3);
});

test("what was deleted or cleared does not come back with an older page", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(3, { items: [item(1), item(2), item(3)] }));
  inbox.update({ rev: 4, unread: 2, removed: ["n2"] });
  inbox.update({ rev: 5, unread: 1, clearedUpTo: 1 });
  inbox.merge([item(1), item(2), item(3)]);
  assert.deepEqual(ids(inbox), ["n3"]);
});

test("an older state of an item does not replace a newer one", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(2, { items: [item(1, { rev: 2, read: true })] }));
  inbox.merge([item(1)]);
  inbox.update({ rev: 3, unread: 0, items: [{ id: "n1", seq: 1, rev: 1, read: false }] });
  assert.equal(inbox.get("n1").read, true);
});

test("an archived notification is not shown, and shown again when it is taken back", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(1, { items: [item(1)] }));
  const change = { id: "n1", seq: 1, read: false };
  inbox.update({ rev: 2, unread: 0, items: [{ ...change, rev: 2, archivedAt: "2026-01-01" }] });
  assert.deepEqual(ids(inbox), []);
  inbox.update({ rev: 3, unread: 1, items: [{ ...change, rev: 3, archivedAt: null }] });
  assert.deepEqual(ids(inbox), ["n1"]);
});

test("reset forgets everything first", () => {
  const inbox = new Inbox();
  inbox.catchUp(answer(9, { items: [item(7), item(8)], readUpTo: 9 }));
  inbox.catchUp(answer(4, { reset: true, items: [item(4)], unread: 1 }));
  assert.deepEqual(ids(inbox), ["n4"]);
  assert.equal(inbox.rev, 4);
  assert.equal(inbox.readUpTo, 0);
  assert.equal(inbox.unread, 1);
});
