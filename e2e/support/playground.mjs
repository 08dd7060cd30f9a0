// The playground as its visitor sees it: by roles, names and text.

import assert from "node:assert/strict";

import { newPage, until } from "./browser.mjs";

export class Playground {
  page;

  /** Opens the playground of a server and waits until both users are online, and told what there is: what
   *  comes later is news to them. */
  static async open(t, browser, server, options) {
    const playground = new Playground();
    playground.page = await newPage(t, browser, options);
    await playground.page.goto(`${server.url}/`);
    for (const user of ["Alice", "Bob"]) {
      await playground.device(user).isOnline();
      await playground.hears(`${user}’s laptop`, "notifications:pending");
    }
    await playground.page.evaluate(recordTyping);
    return playground;
  }

  /** Waits until the page shows that a device was told this. */
  hears(device, event) {
    const line = this.page.locator("[data-wire] li", { hasText: `${device} ${event} ` });
    return line.first().waitFor({ state: "attached" });
  }

  pane(user) {
    return this.page.getByRole("region", { name: user, exact: true });
  }

  device(user, name = "laptop") {
    return new Device(this.page.getByRole("region", { name: `${user}’s ${name}`, exact: true }));
  }

  board(user) {
    return new TaskBoard(
      this.page.getByRole("group", { name: `${user}’s task board`, exact: true }),
      user,
    );
  }

  act(user, action) {
    return this.pane(user).getByRole("button", { name: action, exact: true }).click();
  }

  announce() {
    return this.page.getByRole("button", { name: "Announce to everyone" }).click();
  }

  async openDevice(user, name) {
    await this.pane(user)
      .getByRole("button", { name: /^Open (a second|another) device$/ })
      .click();
    const device = this.device(user, name);
    await device.isOnline();
    await this.hears(`${user}’s ${name}`, "notifications:pending");
    return device;
  }

  /** What screen readers were told. */
  announced(text) {
    return this.page.getByRole("log").getByText(text).waitFor({ state: "attached" });
  }

  isQuiet() {
    assert.deepEqual(this.page.complaints, []);
  }
}

class Device {
  region;

  constructor(region) {
    this.region = region;
  }

  get bell() {
    return this.region.getByRole("button", { name: /^Notifications, / });
  }

  get items() {
    return this.region.getByRole("listitem");
  }

  item(text) {
    return this.items.filter({ hasText: text });
  }

  isOnline() {
    return this.region.getByRole("status").getByText("Online").waitFor();
  }

  status(text) {
    return this.region.getByRole("status").getByText(text).waitFor();
  }

  button(name) {
    return this.region.getByRole("button", { name, exact: true });
  }

  /** Waits until the bell says this number of unread and the list shows these messages,
   *  newest first. */
  async shows(unread, messages) {
    await this.region
      .getByRole("button", { name: `Notifications, ${unread} unread`, exact: true })
      .waitFor();
    if (!messages) return;
    const shown = () => this.region.locator("[data-message]").allTextContents();
    await until(async () => (await shown()).length === messages.length);
    assert.deepEqual(await shown(), messages);
    const ids = await this.items.evaluateAll((rows) => rows.map((row) => row.dataset.id));
    assert.equal(new Set(ids).size, ids.length, "each is shown once");
  }

  /** Waits until this many of the shown notifications are marked as unread. */
  unreadRows(count) {
    const unread = this.items.filter({ hasText: "Unread:" });
    return until(async () => (await unread.count()) === count);
  }
}

class TaskBoard {
  region;

  #user;

  constructor(region, user) {
    this.region = region;
    this.#user = user;
  }

  get text() {
    return this.region.getByRole("textbox", { name: `What ${this.#user} says about the board` });
  }

  /** Waits until somebody's face says this, as in "Bob: online". */
  face(text) {
    return this.region.getByRole("listitem").getByText(text, { exact: true }).waitFor({
      state: "attached",
    });
  }

  faces(count) {
    return until(async () => (await this.region.locator(".face").count()) === count);
  }

  status(value) {
    return this.region
      .getByRole("combobox", { name: `${this.#user}’s status` })
      .selectOption(value);
  }

  /** Waits until this is said of who is typing, or was since one asked for something else: it is
   *  gone by itself, maybe before one can look. */
  async typing(text) {
    const line = this.region.locator("[data-typing]");
    await until(() => line.evaluate(hasSaid, text));
  }

  /** Waits until a task says this about itself. */
  shows(task, about) {
    const card = this.region.getByRole("listitem").filter({ hasText: task });
    return card.locator(".task-about").getByText(about, { exact: true }).waitFor();
  }
}

/** Runs in the page: notes all that is said of who is typing. */
function recordTyping() {
  for (const line of document.querySelectorAll("[data-typing]")) {
    line.said = [line.textContent];
    const note = () => line.said.push(line.textContent);
    new MutationObserver(note).observe(line, { childList: true });
  }
}

/** Runs in the page: whether this is said, or was. Nothing is said for long enough to be seen. */
function hasSaid(line, text) {
  if (line.textContent === text) line.said = [text];
  return line.textContent === text || (text !== "" && line.said.includes(text));
}
