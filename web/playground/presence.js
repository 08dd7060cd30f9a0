// One user's place at the task board: the board, and the devices that hear and speak for it.

import { emit } from "./api.js";
import { Board, ROOM } from "./board.js";
import { BoardView } from "./board-view.js";

/** The server forgets who types after 5 s. */
const SAY_AGAIN_AFTER = 3_000;

export class Presence {
  view;

  #board;
  #devices = new Set();
  #keyOf;
  #complain;
  #typedAt = 0;
  #status = "online";

  constructor(user, names, { keyOf, complain }) {
    this.#keyOf = keyOf;
    this.#complain = complain;
    this.#board = new Board(user.id);
    this.view = new BoardView(this.#board, user, names, {
      move: (taskId) => this.#send(this.#board.step(taskId)),
      say: (text) => this.#send(this.#board.say(text)),
      type: (text) => this.#type(text),
      status: (status) => this.#changeStatus(status),
    });
  }

  /** From now on a device takes part, as long as it is open. */
  add(device) {
    this.#devices.add(device);
    device.addEventListener("online", async () => {
      if (this.#status !== "online") await device.act("presence:update", this.#update());
      await device.act("room:join", ROOM);
    });
    device.addEventListener("change", () => this.#draw());
    device.addEventListener("wire", ({ detail: { name, payload } }) => {
      if (this.#board.hear(name, payload)) this.#draw();
    });
  }

  remove(device) {
    this.#devices.delete(device);
    this.#draw();
  }

  #online() {
    return [...this.#devices].filter(({ status }) => status === "online");
  }

  #draw() {
    const live = this.#online().length > 0;
    if (!live) this.#board.lost();
    this.view.draw(live);
  }

  /** As the application's server would. */
  async #send(event) {
    try {
      await emit(this.#keyOf(), ROOM, event);
    } catch (problem) {
      this.#complain(`Not sent: ${problem.message}`);
    }
  }

  #type(text) {
    const [device] = this.#online();
    if (!device) return;
    if (text === "") {
      if (this.#typedAt > 0) device.act("typing:stop", ROOM);
      this.#typedAt = 0;
    } else if (performance.now() - this.#typedAt > SAY_AGAIN_AFTER || this.#typedAt === 0) {
      this.#typedAt = performance.now();
      device.act("typing:start", ROOM);
    }
  }

  #changeStatus(status) {
    this.#status = status;
    for (const device of this.#online()) device.act("presence:update", this.#update());
  }

  #update() {
    const invisible = this.#status === "invisible";
    return { status: invisible ? "online" : this.#status, invisible, device: "web" };
  }
}
