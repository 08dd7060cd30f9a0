// Draws one device: its light, its bell and its inbox. Knows the page, not the network.

const ICONS = new Set(["like", "comment", "mention", "follow", "system"]);
const STATUS = { online: "Online", connecting: "Connecting…", offline: "Offline" };
const KEYS = { u: "toggle", U: "toggle", e: "archive", E: "archive", Delete: "delete" };

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

export class DeviceView {
  element;

  #device;
  #name;
  #parts;
  #rows = new Map();
  #filter = "all";

  constructor(device, { name, closable, onClose }) {
    this.#device = device;
    this.#name = name;
    this.element = copyOf("device");
    const part = (selector) => this.element.querySelector(selector);
    this.#parts = {
      bell: part(".bell"),
      badge: part("[data-badge]"),
      status: part("[data-status]"),
      line: part("[data-line]"),
      note: part("[data-note]"),
      inbox: part("[data-inbox]"),
      items: part("[data-items]"),
      empty: part("[data-empty]"),
      emptyText: part("[data-empty-text]"),
      readAll: part("[data-read-all]"),
      older: part("[data-older]"),
      filters: [...this.element.querySelectorAll("[data-filter]")],
    };
    this.#dress(part, closable, onClose);
    this.#wire();
    this.draw();
  }

  /** Swings the bell. */
  ring() {
    const { bell } = this.#parts;
    bell.classList.remove("ringing");
    // Reading a measure makes the browser notice the removal, so that the swing starts anew.
    void bell.offsetWidth;
    bell.classList.add("ringing");
  }

  draw() {
    const { inbox, status, transport, note, olderCursor } = this.#device;
    const { bell, badge, readAll, older, line } = this.#parts;
    const online = status === "online";

    this.element.dataset.status = status;
    setText(this.#parts.status, online ? `${STATUS.online} · ${transport}` : STATUS[status]);
    setText(line, status === "offline" ? "Come back" : "Go offline");
    setText(this.#parts.note, note);
    this.#parts.note.hidden = note === "";

    bell.setAttribute("aria-label", `Notifications, ${inbox.unread} unread`);
    setText(badge, inbox.unread > 99 ? "99+" : String(inbox.unread));
    badge.hidden = inbox.unread === 0;

    readAll.disabled = !online || inbox.unread === 0;
    older.hidden = olderCursor === null;
    older.disabled = !online;
    this.#drawItems(online);
  }

  #dress(part, closable, onClose) {
    const { inbox, bell, items } = this.#parts;
    const title = `${this.#device.user.name}’s ${this.#name.toLowerCase()}`;
    const id = `device-${crypto.randomUUID()}`;
    this.element.setAttribute("aria-label", title);
    part("[data-title]").textContent = this.#name;
    inbox.id = id;
    bell.setAttribute("aria-controls", id);
    items.setAttribute("aria-label", `Notifications on ${title}`);
    const close = part("[data-close]");
    close.hidden = !closable;
    close.setAttribute("aria-label", `Close ${title}`);
    close.addEventListener("click", onClose);
  }

  #wire() {
    const { bell, inbox, line, readAll, older, items, filters } = this.#parts;
    const device = this.#device;
    bell.addEventListener("click", () => {
      inbox.hidden = !inbox.hidden;
      bell.setAttribute("aria-expanded", !inbox.hidden);
    });
    bell.addEventListener("animationend", () => bell.classList.remove("ringing"));
    line.addEventListener("click", () => (device.wanted ? device.goOffline() : device.comeBack()));
    readAll.addEventListener("click", () => device.act("notification:readAll", {}));
    older.addEventListener("click", () => device.loadOlder());
    for (const filter of filters) {
      filter.addEventListener("click", () => {
        this.#filter = filter.dataset.filter;
        for (const each of filters) each.setAttribute("aria-pressed", each === filter);
        this.draw();
      });
    }
    items.addEventListener("click", (event) => {
      const row = event.target.closest("li");
      const button = event.target.closest("button");
      if (row && button) this.#act(row.dataset.id, button.dataset.do ?? "read");
    });
    items.addEventListener("keydown", (event) => this.#key(event));
  }

  #act(id, what) {
    const item = this.#device.inbox.get(id);
    if (!item || this.#device.status !== "online") return;
    const verb = what === "toggle" ? (item.read ? "unread" : "read") : what;
    if (verb === "read" && item.read) return;
    this.#device.act(`notification:${verb}`, { id });
  }

  #key(event) {
    const row = event.target.closest("li");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling };
    if (event.key in next) {
      next[event.key]?.querySelector(".item-main").focus();
    } else if (event.key in KEYS) {
      this.#act(row.dataset.id, KEYS[event.key]);
    } else {
      return;
    }
    event.preventDefault();
  }

  #drawItems(online) {
    const { items, empty, emptyText } = this.#parts;
    const unreadOnly = this.#filter === "unread";
    const shown = this.#device.inbox.items.filter((item) => !(unreadOnly && item.read));

    const kept = new Set(shown.map((item) => item.id));
    for (const [id, row] of this.#rows) {
      if (kept.has(id)) continue;
      this.#moveFocusFrom(row);
      row.remove();
      this.#rows.delete(id);
    }
    let before = items.firstElementChild;
    for (const item of shown) {
      let row = this.#rows.get(item.id);
      if (!row) {
        row = newRow(item);
        this.#rows.set(item.id, row);
      }
      if (row === before) before = row.nextElementSibling;
      else items.insertBefore(row, before);
      drawRow(row, item, online);
    }
    items.hidden = shown.length === 0;
    empty.hidden = shown.length > 0;
    setText(emptyText, unreadOnly ? "All read." : "No tidings yet.");
  }

  /** Whoever works by keyboard stays in the list when a row goes. */
  #moveFocusFrom(row) {
    if (!row.contains(document.activeElement)) return;
    const neighbour = row.nextElementSibling ?? row.previousElementSibling;
    (neighbour?.querySelector(".item-main") ?? this.#parts.bell).focus();
  }
}

function newRow(item) {
  const row = copyOf("item");
  row.dataset.id = item.id;
  row.dataset.type = item.type;
  const icon = ICONS.has(item.type) ? item.type : "bell";
  row.querySelector(".item-icon use").setAttribute("href", `#i-${icon}`);
  // Text stays text: nothing that an application sends is ever markup here.
  row.querySelector("[data-item-title]").textContent = item.title ?? "";
  row.querySelector("[data-message]").textContent = item.message;
  row.querySelector("[data-time]").dateTime = item.createdAt;
  for (const [what, label] of [
    ["archive", "Archive"],
    ["delete", "Delete"],
  ]) {
    nameButton(row.querySelector(`[data-do=${what}]`), label, item);
  }
  return row;
}

function drawRow(row, item, online) {
  row.classList.toggle("unread", !item.read);
  setText(row.querySelector("[data-state]"), item.read ? "" : "Unread: ");
  const toggle = row.querySelector("[data-do=toggle]");
  nameButton(toggle, item.read ? "Mark as unread" : "Mark as read", item);
  toggle.querySelector("use").setAttribute("href", item.read ? "#i-unread" : "#i-check");
  for (const button of row.querySelectorAll("[data-do]")) button.disabled = !online;
  setText(row.querySelector("[data-time]"), ago(item.createdAt));
}

function nameButton(button, label, item) {
  button.title = label;
  button.setAttribute("aria-label", `${label}: ${item.message}`);
}

function ago(instant) {
  const seconds = Math.round((Date.parse(instant) - Date.now()) / 1000);
  if (seconds > -45) return "just now";
  if (seconds > -3600) return relative.format(Math.round(seconds / 60), "minute");
  if (seconds > -86_400) return relative.format(Math.round(seconds / 3600), "hour");
  return relative.format(Math.round(seconds / 86_400), "day");
}

export function copyOf(template) {
  return document.getElementById(template).content.firstElementChild.cloneNode(true);
}

/** Sets text only when it differs, so that screen readers hear changes and nothing else. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
