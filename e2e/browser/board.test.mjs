// The playground's task board in Chromium: who is here, who is typing, and what moves.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "../support/browser.mjs";
import { Playground } from "../support/playground.mjs";
import { Server } from "../support/server.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

/** Everything that takes seconds takes less here. */
const SETTINGS = {
  TIDINGS_PRESENCE__TICK: "20ms",
  TIDINGS_PRESENCE__GRACE: "300ms",
  TIDINGS_PRESENCE__TYPING: "3s",
};

function boardTest(name, run, settings = SETTINGS) {
  test(name, { timeout: 120_000 }, async (t) => {
    const server = await Server.start({ settings });
    t.after(() => server.remove());
    const playground = await Playground.open(t, browser, server);
    await run(playground, { t, server });
    playground.isQuiet();
  });
}

boardTest("each sees the other's face, and it goes offline", async (playground) => {
  const [alice, bob] = [playground.board("Alice"), playground.board("Bob")];
  for (const board of [alice, bob]) {
    await board.face("Alice: online");
    await board.face("Bob: online");
  }
  await playground.device("Bob").button("Go offline").click();
  await alice.face("Bob: offline");
  await bob.faces(0);
  await playground.device("Bob").button("Come back").click();
  await alice.face("Bob: online");
  await bob.face("Alice: online");
});

boardTest("one of two devices closed is not offline", async (playground) => {
  const alice = playground.board("Alice");
  const phone = await playground.openDevice("Bob", "phone");
  await playground.device("Bob").button("Go offline").click();
  // Told through the same room, after the time of grace of the first device.
  await playground.board("Bob").status("busy");
  await alice.face("Bob: busy");
  await phone.button("Go offline").click();
  await alice.face("Bob: offline");
});

boardTest("a status is seen by the other, and who is invisible looks gone", async (playground) => {
  const [alice, bob] = [playground.board("Alice"), playground.board("Bob")];
  for (const status of ["away", "busy", "online"]) {
    await alice.status(status);
    await bob.face(`Alice: ${status}`);
  }
  await alice.status("invisible");
  await bob.face("Alice: offline");
  await alice.status("online");
  await bob.face("Alice: online");
});

boardTest("typing shows, stops, and ends by itself", async (playground) => {
  const [alice, bob] = [playground.board("Alice"), playground.board("Bob")];
  await bob.face("Alice: online");
  await alice.text.fill("Hel");
  await bob.typing("Alice is typing…");
  await alice.typing("");
  await bob.typing("");
  await alice.text.pressSequentially("lo");
  // Not said again within three seconds: nothing new to be shown.
  await alice.text.fill("");
  await alice.text.fill("Hello");
  await bob.typing("Alice is typing…");
  await alice.text.press("Enter");
  await bob.typing("");
  await bob.region.getByText("Alice: Hello").waitFor();
  await alice.region.getByText("Alice: Hello").waitFor();
  assert.equal(await alice.text.inputValue(), "");
});

boardTest("a task moves through its steps, live for both", async (playground) => {
  const [alice, bob] = [playground.board("Alice"), playground.board("Bob")];
  const task = "Paint the stall";
  await alice.shows(task, "To do");
  const steps = [
    [alice, "Start", "In progress, moved by Alice"],
    [bob, "Ask for review", "In review, moved by Bob"],
    [alice, "Finish", "Done, moved by Alice"],
    [bob, "Reopen", "To do, moved by Bob"],
  ];
  for (const [board, button, shown] of steps) {
    await board.region.getByRole("button", { name: `${button}: ${task}` }).click();
    for (const each of [alice, bob]) await each.shows(task, shown);
  }
});

boardTest("all of it by keyboard", async (playground) => {
  const { page } = playground;
  const [alice, bob] = [playground.board("Alice"), playground.board("Bob")];
  await bob.face("Alice: online");
  await playground.pane("Alice").getByRole("button", { name: "Follow", exact: true }).focus();
  await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowDown");
  await bob.face("Alice: away");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await bob.shows("Paint the stall", "In progress, moved by Alice");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Tab");
  await page.keyboard.type("Done?");
  await bob.typing("Alice is typing…");
  await page.keyboard.press("Enter");
  await bob.region.getByText("Alice: Done?").waitFor();
  await alice.typing("");
});

boardTest(
  "without any setting it works the same",
  async (playground) => {
    const alice = playground.board("Alice");
    await alice.face("Bob: online");
    await playground.board("Bob").text.fill("Hello");
    await alice.typing("Bob is typing…");
    await alice.typing("");
    await playground.device("Bob").button("Go offline").click();
    await alice.face("Bob: offline");
  },
  {},
);
