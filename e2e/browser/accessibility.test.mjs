// The playground for everybody: keyboard, screen reader, small screens, colours and motion.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, until } from "../support/browser.mjs";
import { Playground } from "../support/playground.mjs";
import { Server } from "../support/server.mjs";

let browser;
before(async () => (browser = await launch()));
after(() => browser?.close());

const timeout = 120_000;

async function open(t, options) {
  const server = await Server.start();
  t.after(() => server.remove());
  const playground = await Playground.open(t, browser, server, options);
  return { playground, page: playground.page, server };
}

/** Presses Tab until the focus is on what `wanted` matches; answers how often. */
async function tabTo(page, wanted) {
  for (let presses = 1; presses < 60; presses += 1) {
    await page.keyboard.press("Tab");
    if (await wanted.evaluate((element) => element === document.activeElement)) return presses;
  }
  throw new Error("the keyboard does not get there");
}

test("everything can be done by keyboard", { timeout }, async (t) => {
  const { playground, page } = await open(t);
  const bob = playground.device("Bob");

  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to the inboxes" });
  assert.ok(await skip.evaluate((element) => element === document.activeElement));
  await page.keyboard.press("Enter");

  await tabTo(page, playground.pane("Alice").getByRole("button", { name: "Like" }));
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Space");
  await bob.shows(2);
  await playground.act("Alice", "Follow");
  await bob.shows(3);

  await tabTo(page, bob.bell);
  assert.equal(await bob.bell.getAttribute("aria-expanded"), "true");
  await page.keyboard.press("Enter");
  assert.equal(await bob.bell.getAttribute("aria-expanded"), "false");
  assert.equal(await bob.items.first().isVisible(), false);
  await page.keyboard.press("Enter");

  await tabTo(page, bob.items.first().getByRole("button").first());
  await page.keyboard.press("Enter");
  await bob.shows(2);
  await page.keyboard.press("u");
  await bob.shows(3);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("e");
  await bob.shows(2, ["Alice started following you", "Alice liked your post"]);
  const focused = () => page.evaluate(() => document.activeElement.closest("li")?.textContent);
  assert.match(await focused(), /liked your post/, "the focus goes to the next");
  await page.keyboard.press("Delete");
  await bob.shows(1, ["Alice started following you"]);
  assert.match(await focused(), /started following/, "and, at the end, to the one before");
  await page.keyboard.press("Delete");
  await bob.shows(0, []);
  assert.ok(await bob.bell.evaluate((element) => element === document.activeElement));

  const line = bob.button("Go offline");
  await page.keyboard.press("Shift+Tab");
  assert.ok(await line.evaluate((element) => element === document.activeElement));
  await page.keyboard.press("Enter");
  await bob.status("Offline");
  await page.keyboard.press("Enter");
  await bob.isOnline();
  playground.isQuiet();
});

test("whatever has the focus shows it", { timeout }, async (t) => {
  const { playground, page } = await open(t);
  await playground.act("Alice", "Like");
  await playground.device("Bob").shows(1);
  await page.evaluate(() => document.activeElement.blur());
  const unmarked = [];
  for (let n = 0; n < 40; n += 1) {
    await page.keyboard.press("Tab");
    const plain = await page.evaluate(() => {
      const element = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(element);
      const marked = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
      return element === document.body || marked ? "" : element.outerHTML.slice(0, 120);
    });
    if (plain) unmarked.push(plain);
  }
  assert.deepEqual(unmarked, []);
});

test("roles, names and structure", { timeout }, async (t) => {
  const { playground, page } = await open(t);
  await playground.act("Alice", "Like");
  await playground.announce();
  await playground.openDevice("Bob", "phone");
  await playground.device("Bob", "phone").shows(2);

  const faults = await page.evaluate(() => {
    const faults = [];
    const seen = (element) => element.checkVisibility({ visibilityProperty: true });
    const nameOf = (element) =>
      (element.getAttribute("aria-label") ?? element.textContent).replace(/\s+/g, " ").trim();
    const all = (selector) => [...document.querySelectorAll(selector)];

    if (!document.documentElement.lang) faults.push("no language");
    if (!document.title) faults.push("no title");
    if (all("main").length !== 1) faults.push("not one main");
    const ids = all("[id]").map(({ id }) => id);
    for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`two #${id}`);
    for (const element of all("button, a[href], summary")) {
      if (seen(element) && !nameOf(element)) faults.push(`no name: ${element.outerHTML}`);
    }
    for (const element of all("[aria-controls], [aria-labelledby]")) {
      for (const attribute of ["aria-controls", "aria-labelledby"]) {
        const id = element.getAttribute(attribute);
        if (id && !document.getElementById(id)) faults.push(`${attribute} leads nowhere: ${id}`);
      }
    }
    for (const svg of all("svg")) {
      if (svg.getAttribute("aria-hidden") !== "true") faults.push("an icon that is read aloud");
    }
    for (const section of all("main section")) {
      const label = section.getAttribute("aria-label") ?? section.getAttribute("aria-labelledby");
      if (!label) faults.push(`no label: ${section.className}`);
    }
    for (const list of all("ul, ol")) {
      const strangers = [...list.children].filter((child) => child.tagName !== "LI");
      if (strangers.length > 0) faults.push("a list with more than items");
    }
    for (const element of all("[tabindex]")) {
      if (element.tabIndex > 0) faults.push("an order of its own");
    }
    let level = 0;
    for (const heading of all("h1, h2, h3, h4").filter(seen)) {
      const next = Number(heading.tagName[1]);
      if (next > level + 1) faults.push(`a heading is skipped before ${heading.textContent}`);
      level = next;
    }
    if (all("[aria-live=polite]").length === 0) faults.push("nothing is announced");
    return faults;
  });
  assert.deepEqual(faults, []);
});

test("one notification is announced once, however many devices ring", { timeout }, async (t) => {
  const { playground, page } = await open(t);
  const phone = await playground.openDevice("Bob", "phone");
  await playground.act("Alice", "Like");
  await phone.shows(1);
  await playground.device("Bob").shows(1);
  assert.deepEqual(await page.getByRole("log").locator("span").allTextContents(), [
    "Bob: Alice liked your post ",
  ]);
});

for (const colorScheme of ["light", "dark"]) {
  test(`text stands out enough (${colorScheme})`, { timeout }, async (t) => {
    const { playground, page } = await open(t, { colorScheme, reducedMotion: "reduce" });
    await page.getByText("Under the hood").click();
    for (const action of ["Like", "Comment"]) await playground.act("Alice", action);
    await playground.announce();
    const bob = playground.device("Bob");
    await bob.shows(3);
    await bob.item("liked").click();
    await bob.shows(2);
    await playground.device("Alice").button("Go offline").click();
    await playground.device("Alice").status("Offline");
    const faint = await until(() => page.evaluate(findFaintText));
    assert.deepEqual(faint.texts, []);
    assert.ok(faint.looked > 40, `${faint.looked} texts were looked at`);
  });
}

/** Runs in the page: text with a contrast below 4.5:1 (WCAG AA). */
function findFaintText() {
  const parse = (color) => {
    const numbers = color.match(/-?[\d.]+(?:e-?\d+)?/g).map(Number);
    const scale = color.startsWith("color(") ? 255 : 1;
    return { rgb: numbers.slice(0, 3).map((part) => part * scale), alpha: numbers[3] ?? 1 };
  };
  const over = (top, below) =>
    top.rgb.map((part, n) => part * top.alpha + below[n] * (1 - top.alpha));
  const backgroundOf = (element) => {
    if (!element) return [255, 255, 255];
    const color = parse(getComputedStyle(element).backgroundColor);
    return color.alpha === 1 ? color.rgb : over(color, backgroundOf(element.parentElement));
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const texts = [];
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    const shown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
    // Disabled controls are exempt, and what only screen readers hear has no colour.
    if (!node.data.trim() || !shown || element.closest(":disabled, .unseen, .skip")) continue;
    looked += 1;
    const background = backgroundOf(element);
    const color = over(parse(getComputedStyle(element).color), background);
    const [dark, bright] = [luminance(color), luminance(background)].sort((a, b) => a - b);
    const contrast = (bright + 0.05) / (dark + 0.05);
    if (contrast < 4.5) texts.push(`${node.data.trim().slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return { texts, looked };
}

test("light and dark follow the system, until somebody chooses", { timeout }, async (t) => {
  const { playground, page } = await open(t, { colorScheme: "dark" });
  const isDark = () =>
    page.evaluate(() => {
      const [red] = getComputedStyle(document.body).backgroundColor.match(/\d+/g);
      return Number(red) < 128;
    });
  const toggle = page.getByRole("button", { name: "Dark theme" });
  assert.equal(await isDark(), true);
  assert.equal(await toggle.getAttribute("aria-pressed"), "true");
  await page.emulateMedia({ colorScheme: "light" });
  await until(async () => !(await isDark()));
  await toggle.click();
  assert.equal(await isDark(), true);
  await page.reload();
  assert.equal(await isDark(), true, "the choice is remembered");
  await toggle.click();
  assert.equal(await isDark(), false);
  playground.isQuiet();
});

test("nothing moves for those who asked for it", { timeout }, async (t) => {
  const { playground, page } = await open(t, { reducedMotion: "reduce" });
  await playground.act("Alice", "Like");
  await playground.device("Bob").shows(1);
  const longest = await page.evaluate(() => {
    const durations = document.getAnimations().map((each) => each.effect.getTiming().duration);
    const styles = [...document.querySelectorAll("*")].map((each) => getComputedStyle(each));
    const transitions = styles.flatMap(({ transitionDuration }) => transitionDuration.split(","));
    return Math.max(0, ...durations, ...transitions.map((text) => parseFloat(text) * 1000));
  });
  assert.ok(longest < 1, `${longest} ms`);
});

for (const width of [320, 390, 768]) {
  test(`it fits a screen of ${width} pixels`, { timeout }, async (t) => {
    const viewport = { width, height: 780 };
    const { playground, page } = await open(t, { viewport, hasTouch: width < 700 });
    await playground.announce();
    for (const action of ["Like", "Comment", "Mention"]) await playground.act("Alice", action);
    const long = "word".repeat(60);
    const bob = playground.device("Bob");
    await bob.shows(4);
    await page.getByText("Under the hood").click();
    await playground.openDevice("Bob", "phone");
    const { overflow, small } = await page.evaluate((long) => {
      document.querySelector("[data-message]").textContent = long;
      const small = [...document.querySelectorAll("button, summary, a[href]:not(.skip)")]
        .filter((element) => element.checkVisibility())
        .map((element) => [element, element.getBoundingClientRect()])
        .filter(([, box]) => box.width < 24 || box.height < 24)
        .map(([element]) => element.outerHTML.slice(0, 100));
      const root = document.documentElement;
      return { overflow: root.scrollWidth - root.clientWidth, small };
    }, long);
    assert.equal(overflow, 0, "no scrolling sideways");
    assert.deepEqual(small, [], "everything is large enough to be hit");
  });
}
