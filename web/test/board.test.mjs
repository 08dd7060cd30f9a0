// The task board's state: events that come twice, late, or from elsewhere.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Board, ROOM } from "../playground/board.js";

const online = (userId) => ({ userId, status: "online" });
const ids = (board) => [...board.people.keys()];

test("people come, change, go offline and leave", () => {
  const board = new Board("alice");
  board.hear("presence:update", { room: ROOM, full: true, users: [online("alice")] });
  board.hear("presence:update", { room: ROOM, users: [online("bob"), online("carol")] });
  assert.deepEqual(ids(board), ["alice", "bob", "carol"]);
  board.hear("user:typing", { room: ROOM, userId: "bob" });
  board.hear("presence:update", {
    room: ROOM,
    users: [{ userId: "bob", status: "offline" }],
    left: ["carol"],
  });
  assert.equal(board.people.get("bob").status, "offline");
  assert.deepEqual(ids(board), ["alice", "bob"]);
  assert.equal(board.typing.size, 0, "who is gone types no more");
  board.hear("presence:update", { room: ROOM, full: true, users: [online("alice")] });
  assert.deepEqual(ids(board), ["alice"], "the whole takes the place of what was known");
});

test("other rooms and other events are not the board's", () => {
  const board = new Board("alice");
  assert.equal(board.hear("presence:update", { room: "user:alice", users: [online("x")] }), false);
  assert.equal(board.hear("user:typing", { room: "task:other", userId: "bob" }), false);
  assert.equal(board.hear("notification", { message: "x" }), false);
  assert.equal(board.hear("task:update", { taskId: "unknown", newStatus: "done" }), false);
  assert.equal(
    board.hear("task:update", { taskId: "T01", newStatus: "nonsense", version: 1 }),
    false,
  );
  assert.deepEqual([ids(board), board.typing.size], [[], 0]);
});

test("the others' typing shows, not the own", () => {
  const board = new Board("alice");
  assert.equal(board.hear("user:typing", { room: ROOM, userId: "alice" }), false);
  assert.equal(board.hear("user:typing", { room: ROOM, userId: "bob" }), true);
  assert.equal(board.hear("user:typing", { room: ROOM, userId: "bob" }), false, "known");
  assert.equal(board.hear("user:stopped-typing", { room: ROOM, userId: "bob" }), true);
  assert.equal(board.typing.size, 0);
});

test("a task goes through all steps, and what comes late changes nothing", () => {
  const board = new Board("alice");
  const task = () => board.tasks.find(({ taskId }) => taskId === "T01");
  const first = board.step("T01");
  assert.equal(task().status, "todo", "until the event has come back");
  const seen = [];
  for (let n = 0; n < 4; n += 1) {
    const { type, data } = board.step("T01");
    assert.ok(board.hear(type, data));
    seen.push(task().status);
  }
  assert.deepEqual(seen, ["progress", "review", "done", "todo"]);
  assert.equal(task().by, "alice");
  assert.equal(board.hear(first.type, first.data), false);
  assert.equal(task().status, "todo");
});

test("the last that was said is shown", () => {
  const board = new Board("bob");
  const { type, data } = board.say("Hello");
  board.hear(type, data);
  assert.deepEqual(board.comment, { by: "bob", text: "Hello", version: 1 });
  assert.equal(board.hear(type, { by: "bob", text: 5, version: 9 }), false);
});
