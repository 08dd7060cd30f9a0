// The task board as one user sees it: plain state, no page and no network.
//
// Everything comes from events of its room, from whichever of the user's devices hears them:
// the same event may come several times.

export const ROOM = "task:board";
export const STEPS = [
  { status: "todo", label: "To do", next: "Start" },
  { status: "progress", label: "In progress", next: "Ask for review" },
  { status: "review", label: "In review", next: "Finish" },
  { status: "done", label: "Done", next: "Reopen" },
];

const TASKS = [
  { taskId: "T01", title: "Paint the stall", status: "todo" },
  { taskId: "T02", title: "Bake for the fair", status: "progress" },
];

export class Board {
  tasks = TASKS.map((task) => ({ ...task, version: 0, by: null }));
  /** By id: `{userId, status, lastSeen?}`; who went offline is kept, so that it can be seen. */
  people = new Map();
  typing = new Set();
  /** The last thing that was said: `{by, text, version}`. */
  comment = null;

  #me;

  constructor(me) {
    this.#me = me;
  }

  /** Takes what a device heard; answers whether the board looks different now. */
  hear(name, payload) {
    if (payload?.room !== undefined && payload.room !== ROOM) return false;
    switch (name) {
      case "presence:update":
        return this.#presence(payload);
      case "user:typing":
        return this.#types(payload.userId, true);
      case "user:stopped-typing":
        return this.#types(payload.userId, false);
      case "task:update":
        return this.#move(payload);
      case "comment:added":
        return this.#said(payload);
      default:
        return false;
    }
  }

  /** The event that moves a task one step on. */
  step(taskId) {
    const task = this.tasks.find((each) => each.taskId === taskId);
    const at = STEPS.findIndex(({ status }) => status === task.status);
    const { status } = STEPS[(at + 1) % STEPS.length];
    const data = { taskId, oldStatus: task.status, newStatus: status, by: this.#me };
    return { type: "task:update", data: { ...data, version: task.version + 1 } };
  }

  say(text) {
    const version = (this.comment?.version ?? 0) + 1;
    return { type: "comment:added", data: { by: this.#me, text, version } };
  }

  /** Nobody is heard any more: what was seen may not hold. */
  lost() {
    this.people.clear();
    this.typing.clear();
  }

  #presence({ users = [], left = [], full = false }) {
    // What everybody is told of the room: who is not in it has gone.
    if (full) this.people.clear();
    for (const entry of users) {
      this.people.set(entry.userId, entry);
      if (entry.status === "offline") this.typing.delete(entry.userId);
    }
    for (const id of left) this.people.delete(id);
    return true;
  }

  #types(id, does) {
    if (id === this.#me || this.typing.has(id) === does) return false;
    if (does) this.typing.add(id);
    else this.typing.delete(id);
    return true;
  }

  #move({ taskId, newStatus, by, version }) {
    const task = this.tasks.find((each) => each.taskId === taskId);
    const known = STEPS.some(({ status }) => status === newStatus);
    // Two may move it at once; all see the same one last.
    if (!task || !known || !(version >= task.version)) return false;
    Object.assign(task, { status: newStatus, version, by });
    return true;
  }

  #said({ by, text, version }) {
    if (typeof text !== "string" || !(version >= (this.comment?.version ?? 0))) return false;
    this.comment = { by, text, version };
    return true;
  }
}
