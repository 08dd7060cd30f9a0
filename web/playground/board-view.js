// Draws one user's task board. Knows the page, not the network.

import { STEPS } from "./board.js";
import { copyOf, setText } from "./view.js";

const STATUSES = { online: "online", away: "away", busy: "busy", offline: "offline" };

export class BoardView {
  element;

  #board;
  #names;
  #parts;
  #cards = new Map();
  #faces = new Map();

  /** `act` has `move(taskId)`, `type(text)`, `say(text)` and `status(value)`. */
  constructor(board, user, names, act) {
    this.#board = board;
    this.#names = names;
    this.element = copyOf("board");
    const part = (selector) => this.element.querySelector(selector);
    this.#parts = {
      people: part("[data-people]"),
      tasks: part("[data-tasks]"),
      typing: part("[data-typing]"),
      comment: part("[data-comment]"),
      text: part("[data-text]"),
      status: part("[data-own-status]"),
    };
    this.#dress(user, act);
    this.draw(false);
  }

  /** `live`: some device of the user is connected. */
  draw(live) {
    this.element.dataset.live = live;
    this.#drawPeople();
    this.#drawTasks(live);
    const { typing, comment, text, status } = this.#parts;
    const who = [...this.#board.typing].map((id) => this.#nameOf(id));
    setText(typing, who.length > 0 ? `${who.join(" and ")} is typing…` : "");
    const said = this.#board.comment;
    setText(comment, said ? `${this.#nameOf(said.by)}: ${said.text}` : "Nothing was said yet.");
    text.disabled = !live;
    status.disabled = !live;
  }

  #dress(user, act) {
    const { people, tasks, text, status } = this.#parts;
    this.element.setAttribute("aria-label", `${user.name}’s task board`);
    people.setAttribute("aria-label", `Who is here, as ${user.name} sees it`);
    tasks.setAttribute("aria-label", "Tasks");
    text.setAttribute("aria-label", `What ${user.name} says about the board`);
    status.setAttribute("aria-label", `${user.name}’s status`);
    tasks.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button) act.move(button.closest("li").dataset.task);
    });
    status.addEventListener("change", () => act.status(status.value));
    text.addEventListener("input", () => act.type(text.value));
    text.addEventListener("blur", () => act.type(""));
    text.form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!text.value.trim()) return;
      act.say(text.value.trim());
      text.value = "";
      act.type("");
    });
  }

  #drawPeople() {
    const { people } = this.#parts;
    for (const [id, face] of this.#faces) {
      if (this.#board.people.has(id)) continue;
      face.remove();
      this.#faces.delete(id);
    }
    for (const { userId, status } of this.#board.people.values()) {
      let face = this.#faces.get(userId);
      if (!face) {
        face = copyOf("face");
        face.dataset.user = userId;
        setText(face.querySelector("[data-initial]"), this.#nameOf(userId)[0]);
        this.#faces.set(userId, face);
        people.append(face);
      }
      const shown = STATUSES[status] ?? STATUSES.offline;
      face.dataset.status = shown;
      face.title = `${this.#nameOf(userId)}: ${shown}`;
      setText(face.querySelector("[data-about]"), face.title);
    }
  }

  #drawTasks(live) {
    for (const task of this.#board.tasks) {
      let card = this.#cards.get(task.taskId);
      if (!card) {
        card = copyOf("task");
        card.dataset.task = task.taskId;
        setText(card.querySelector("[data-task-title]"), task.title);
        this.#cards.set(task.taskId, card);
        this.#parts.tasks.append(card);
      }
      const at = STEPS.findIndex(({ status }) => status === task.status);
      card.dataset.status = task.status;
      setText(card.querySelector("[data-task-status]"), STEPS[at].label);
      const by = task.by ? `, moved by ${this.#nameOf(task.by)}` : "";
      setText(card.querySelector("[data-task-by]"), by);
      const button = card.querySelector("button");
      setText(button, STEPS[at].next);
      button.setAttribute("aria-label", `${STEPS[at].next}: ${task.title}`);
      button.disabled = !live;
    }
  }

  #nameOf(id) {
    return this.#names.get(id) ?? id;
  }
}
