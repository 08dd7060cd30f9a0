// The playground as its visitor sees it: by roles, names and text.

import assert from "node:assert/strict";

import { newPage, until } from "./browser.mjs";

export class Playground {
  page;

  /** Opens the playground of a server and waits until both users are online. */
  static async open(t, browser, server, options) {
    const playground = new Playground();
    playground.page = await newPage(t, browser, options);
    await playground.page.goto(`${server.url}/`);
    await playground.device("Alice").isOnline();
    await playground.device("Bob").isOnline();
    return playground;
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

  /** Waits until this is said of who is typing. */
  typing(text) {
    const line = this.region.locator("[data-typing]");
    return until(async () => (await line.textContent()) === text);
  }

  /** Waits until a task says this about itself. */
  shows(task, about) {
    const card = this.region.getByRole("listitem").filter({ hasText: task });
    return card.locator(".task-about").getByText(about, { exact: true }).waitFor();
  }
}
