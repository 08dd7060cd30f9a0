// Takes the README's picture of the playground: npm run picture
import { fileURLToPath } from "node:url";

import { launch } from "./support/browser.mjs";
import { Playground } from "./support/playground.mjs";
import { Server } from "./support/server.mjs";

const PICTURE = fileURLToPath(new URL("../docs/img/playground.png", import.meta.url));

const endings = [];
const scene = { after: (end) => endings.unshift(end) };
try {
  const server = await Server.start();
  scene.after(() => server.remove());
  const browser = await launch();
  scene.after(() => browser.close());
  const playground = await Playground.open(scene, browser, server, {
    viewport: { width: 1280, height: 936 },
    deviceScaleFactor: 1.5,
    colorScheme: "light",
    reducedMotion: "reduce",
  });
  const [alice, bob] = [playground.device("Alice"), playground.device("Bob")];

  for (const action of ["Follow", "Like"]) await playground.act("Bob", action);
  await alice.shows(2);
  await alice.button("Mark all as read").click();
  await alice.shows(0);
  await playground.act("Bob", "Comment");
  await playground.act("Alice", "Mention");
  await bob.shows(1);
  const phone = await playground.openDevice("Bob", "phone");
  await phone.bell.click();
  await playground.announce();
  await alice.shows(2);
  await playground.act("Alice", "Like");
  await phone.shows(3);
  await playground.page.mouse.move(0, 0);
  await playground.page.evaluate(() => document.activeElement.blur());
  await playground.page.screenshot({ path: PICTURE });
} finally {
  for (const end of endings) await end();
}
