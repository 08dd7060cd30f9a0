// The playground in Chromium, on the real server: what a newcomer does first.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { launch, until } from "../support/browser.mjs";
import { Playground } from "../support/playground.mjs";
import { Server } from "../support/server.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const LIKED = "Alice liked your post";
const FOLLOWS = "Alice started following you";

/** Each test has Alice and Bob to itself. */
function playgroundTest(name, run) {
  test(name, { timeout: 120_000 }, async (t) => {
    const server = await Server.start();
    t.after(() => server.remove());
    const playground = await Playground.open(t, browser, server);
    await run(playground, { t, server });
  });
}

playgroundTest("a like rings the other's bell, and nobody else's", async (playground) => {
  const bob = playground.device("Bob");
  await bob.shows(0, []);
  await playground.act("Alice", "Like");
  await bob.shows(1, [LIKED]);
  await bob.unreadRows(1);
  await playground.announced(`Bob: ${LIKED}`);
  await playground.device("Alice").shows(0, []);
  await playground.device("Alice").region.getByText("No tidings yet.").waitFor();
  playground.isQuiet();
});

playgroundTest(
  "every button does what it says, and announcements reach both",
  async (playground) => {
    const [alice, bob] = [playground.device("Alice"), playground.device("Bob")];
    for (const action of ["Like", "Comment", "Mention", "Follow"])
      await playground.act("Bob", action);
    await alice.shows(4);
    for (const text of [
      "Bob liked",
      "Bob commented",
      "Bob mentioned you",
      "Bob started following",
    ]) {
      assert.equal(await alice.item(text).count(), 1, text);
    }
    await playground.announce();
    await alice.shows(5);
    await bob.shows(1);
    await bob.item("Announcement").waitFor();
    await playground.announced(/^Bob: /);
    playground.isQuiet();
  },
);

playgroundTest("the light tells the transport, which becomes WebSocket", async (playground) => {
  await playground.device("Alice").status("Online · websocket");
  await playground.device("Bob").status("Online · websocket");
  playground.isQuiet();
});

playgroundTest(
  "a second device rings too, reading on one clears the other, and it closes",
  async (playground) => {
    const laptop = playground.device("Bob");
    await playground.act("Alice", "Like");
    await laptop.shows(1);
    const phone = await playground.openDevice("Bob", "phone");
    await phone.shows(1, [LIKED]);
    await playground.act("Alice", "Follow");
    await laptop.shows(2, [FOLLOWS, LIKED]);
    await phone.shows(2, [FOLLOWS, LIKED]);

    await phone.item(LIKED).click();
    await laptop.shows(1);
    await laptop.unreadRows(1);
    await phone.unreadRows(1);
    await laptop.button("Mark all as read").click();
    await phone.shows(0, [FOLLOWS, LIKED]);
    await phone.unreadRows(0);

    await phone.button("Close Bob’s phone").click();
    await phone.region.waitFor({ state: "detached" });
    assert.equal(await playground.pane("Bob").getByRole("region").count(), 1);
    playground.isQuiet();
  },
);

playgroundTest("read, unread, archive and delete", async (playground) => {
  const bob = playground.device("Bob");
  for (const action of ["Like", "Comment", "Follow"]) await playground.act("Alice", action);
  await bob.shows(3);
  const toggle = (verb) =>
    bob.item(LIKED).getByRole("button", { name: `Mark as ${verb}: ${LIKED}` });

  await bob.item(LIKED).hover();
  await toggle("read").click();
  await bob.shows(2);
  await toggle("unread").click();
  await bob.shows(3);
  await bob.item("commented").hover();
  await bob
    .item("commented")
    .getByRole("button", { name: /^Archive/ })
    .click();
  await bob.shows(2, [FOLLOWS, LIKED]);
  await bob.item(FOLLOWS).hover();
  await bob
    .item(FOLLOWS)
    .getByRole("button", { name: /^Delete/ })
    .click();
  await bob.shows(1, [LIKED]);

  await bob.item(LIKED).click();
  await bob.button("Unread").click();
  await bob.region.getByText("All read.").waitFor();
  await bob.button("All").click();
  await bob.shows(0, [LIKED]);
  playground.isQuiet();
});

playgroundTest("offline for a while: what was missed is there, once", async (playground) => {
  const bob = playground.device("Bob");
  await playground.act("Alice", "Like");
  await bob.shows(1, [LIKED]);
  await bob.button("Go offline").click();
  await bob.status("Offline");
  await playground.act("Alice", "Follow");
  await playground.act("Alice", "Like");
  // A second device hears of both, so that they are certainly sent.
  const phone = await playground.openDevice("Bob", "phone");
  await phone.shows(3, [LIKED, FOLLOWS, LIKED]);
  await bob.shows(1, [LIKED]);

  await bob.button("Come back").click();
  await bob.isOnline();
  await bob.shows(3, [LIKED, FOLLOWS, LIKED]);
  playground.isQuiet();
});

playgroundTest(
  "the server dies and comes back: nothing is missing, nothing twice",
  async (playground, { server }) => {
    const bob = playground.device("Bob");
    await playground.act("Alice", "Like");
    await bob.shows(1, [LIKED]);
    // What rings Bob's bell may not be answered yet, and would be a failure of its own.
    await until(() => playground.page.asking.size === 0);
    await server.stop("SIGKILL");
    await bob.status("Connecting…");
    await server.startAgain();
    await bob.isOnline();
    await playground.device("Alice").isOnline();
    await playground.act("Alice", "Follow");
    await bob.shows(2, [FOLLOWS, LIKED]);
    // The browser itself reports the connections that were refused meanwhile.
    const own = playground.page.complaints.filter((text) => !/ERR_CONNECTION|WebSocket/.test(text));
    assert.deepEqual(own, []);
  },
);

playgroundTest("after a reload everything is there, read ones too", async (playground) => {
  const bob = playground.device("Bob");
  await playground.act("Alice", "Like");
  await playground.act("Alice", "Follow");
  await bob.shows(2);
  await bob.item(LIKED).click();
  await bob.shows(1);
  await playground.page.reload();
  await bob.shows(1, [FOLLOWS, LIKED]);
  await bob.unreadRows(1);
  playground.isQuiet();
});

playgroundTest("older notifications are a button away", async (playground, { server }) => {
  const bob = playground.device("Bob");
  await server.notifyMany("bob", 120);
  await until(async () => (await bob.items.count()) >= 100);
  await bob.region.getByText("99+").waitFor();
  await playground.page.reload();
  await bob.shows(120);
  await until(async () => (await bob.items.count()) >= 30);
  while (await bob.button("Show older").isVisible()) {
    const before = await bob.items.count();
    await bob.button("Show older").click();
    await until(
      async () =>
        (await bob.items.count()) > before || !(await bob.button("Show older").isVisible()),
    );
  }
  await until(async () => (await bob.items.count()) === 120);
  playground.isQuiet();
});

playgroundTest("the sixth device closes the first, which can come back", async (playground) => {
  for (const name of ["phone", "tablet", "watch", "television", "kiosk"]) {
    await playground.openDevice("Alice", name);
  }
  const laptop = playground.device("Alice");
  await laptop.status("Offline");
  await laptop.region.getByText(/Too many connections/).waitFor();
  await playground.device("Alice", "phone").button("Close Alice’s phone").click();
  await laptop.button("Come back").click();
  await laptop.isOnline();
  await playground.act("Bob", "Like");
  await laptop.shows(1);
  await playground.device("Alice", "kiosk").shows(1);
  playground.isQuiet();
});

playgroundTest(
  "what an application sends is text, never markup",
  async (playground, { server }) => {
    const message =
      '<img src="/x" onerror="document.title = 1"><script>alert(1)</script> & “so on”';
    await server.notify("bob", { message, title: "<b>Title</b>" });
    const bob = playground.device("Bob");
    await bob.shows(1, [message]);
    assert.equal(await bob.region.locator("img, script").count(), 0);
    assert.equal(await playground.page.title(), "Tidings playground");
    playground.isQuiet();
  },
);

playgroundTest("the last thing sent is shown as a command that works", async (playground) => {
  await playground.page.getByText("Under the hood").click();
  await playground.act("Alice", "Like");
  const sent = playground.page.getByRole("region", { name: "The last thing sent" });
  await sent.getByText("curl").waitFor();
  await playground.device("Bob").shows(1);
  await promisify(execFile)("sh", ["-eu", "-c", await sent.textContent()]);
  await playground.device("Bob").shows(2, [LIKED, LIKED]);
  const wire = playground.page.locator("[data-wire]");
  await wire.getByText("Bob’s laptop").first().waitFor();
  await wire.getByText("notification:count").first().waitFor();
  playground.isQuiet();
});
