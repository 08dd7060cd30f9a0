// The playground: two users side by side, what they do to each other, and their devices.

import { asCurl, openSession, send } from "./api.js";
import { Device } from "./device.js";
import { Presence } from "./presence.js";
import { describe, POSTS, systemAnnouncement } from "./story.js";
import { copyOf, DeviceView } from "./view.js";

const DEVICE_NAMES = ["Laptop", "Phone", "Tablet", "Watch", "Television", "Kiosk"];
const MOST_WIRE_LINES = 60;

const page = {
  panes: document.getElementById("panes"),
  announce: document.querySelector("[data-announce]"),
  alert: document.querySelector("[data-alert]"),
  announcer: document.querySelector("[data-announcer]"),
  sent: document.querySelector("[data-sent]"),
  copy: document.querySelector("[data-copy]"),
  wire: document.querySelector("[data-wire]"),
};

let session;
let sending = Promise.resolve();
/** What was said aloud already: one notification rings on many devices, but is said once. */
const announced = new Set();
const views = new Set();

start();

async function start() {
  try {
    session = await openSession();
  } catch (problem) {
    complain(`The playground could not start: ${problem.message}`);
    return;
  }
  const [one, other] = session.users;
  page.panes.append(pane(one, other), pane(other, one));
  page.announce.disabled = false;
  page.announce.addEventListener("click", () => tell(systemAnnouncement()));
  page.copy.addEventListener("click", () => navigator.clipboard.writeText(page.sent.textContent));
  // "2 min ago" grows old.
  setInterval(() => views.forEach((view) => view.draw()), 30_000);
}

/** The place of one user: the other's post to react to, and the own devices. */
function pane(user, other) {
  const element = copyOf("pane");
  const part = (selector) => element.querySelector(selector);
  element.dataset.user = user.id;
  element.setAttribute("aria-label", user.name);
  part("[data-initial]").textContent = user.name[0];
  part("[data-name]").textContent = user.name;
  part("[data-other-name]").textContent = other.name;
  part("[data-post]").textContent = POSTS[other.id] ?? POSTS.anybody;

  const actions = part("[data-actions]");
  actions.setAttribute("aria-label", `What ${user.name} does`);
  for (const [type, label] of [
    ["like", "Like"],
    ["comment", "Comment"],
    ["mention", "Mention"],
    ["follow", "Follow"],
  ]) {
    const button = copyOf("action");
    button.dataset.action = type;
    button.querySelector("use").setAttribute("href", `#i-${type}`);
    button.querySelector("span").textContent = label;
    button.addEventListener("click", () => tell(describe(type, user, other)));
    actions.append(button);
  }

  const names = new Map(session.users.map(({ id, name }) => [id, name]));
  const presence = new Presence(user, names, { keyOf: () => session.apiKey, complain });
  part("[data-board]").replaceWith(presence.view.element);

  const devices = part("[data-devices]");
  const open = part("[data-open-device]");
  const openDevice = () => {
    const taken = [...devices.children].map((each) => each.dataset.name);
    const name = DEVICE_NAMES.find((each) => !taken.includes(each));
    const { view, device } = newDevice(user, name, {
      closable: taken.length > 0,
      onClose: () => {
        device.close();
        presence.remove(device);
        views.delete(view);
        view.element.remove();
        refresh();
        open.focus();
      },
    });
    presence.add(device);
    view.element.dataset.name = name;
    devices.append(view.element);
    refresh();
    return view;
  };
  const refresh = () => {
    open.disabled = devices.children.length >= DEVICE_NAMES.length;
    part("[data-open-label]").textContent =
      devices.children.length === 1 ? "Open a second device" : "Open another device";
  };
  open.addEventListener("click", () => openDevice().element.querySelector(".bell").focus());
  openDevice();
  return element;
}

function newDevice(user, name, options) {
  const device = new Device(user, renewUser);
  const view = new DeviceView(device, { name, ...options });
  views.add(view);
  device.addEventListener("change", () => view.draw());
  device.addEventListener("arrived", ({ detail }) => {
    view.ring();
    for (const notification of detail.notifications) sayAloud(user, notification);
  });
  device.addEventListener("wire", ({ detail }) =>
    note(`${user.name}’s ${name.toLowerCase()}`, detail),
  );
  return { device, view };
}

async function renewUser(id) {
  session = await openSession();
  return session.users.find((user) => user.id === id);
}

/** Sends as an application's server would, and shows the same as a command. One after the
 *  other: what was clicked first arrives first. */
function tell(notification) {
  page.sent.textContent = asCurl(session.apiKey, notification);
  page.copy.disabled = false;
  sending = sending.then(async () => {
    try {
      await send(session.apiKey, notification);
      page.alert.hidden = true;
    } catch (problem) {
      complain(`Not sent: ${problem.message}`);
    }
  });
}

function sayAloud(user, { id, message }) {
  const key = `${user.id} ${id}`;
  if (announced.has(key)) return;
  announced.add(key);
  const line = document.createElement("span");
  line.textContent = `${user.name}: ${message} `;
  page.announcer.append(line);
  while (page.announcer.children.length > 5) page.announcer.firstElementChild.remove();
}

function note(where, { name, payload }) {
  const line = document.createElement("li");
  const event = document.createElement("b");
  event.textContent = name;
  line.append(`${where}  `, event, `  ${JSON.stringify(payload)}`);
  page.wire.prepend(line);
  while (page.wire.children.length > MOST_WIRE_LINES) page.wire.lastElementChild.remove();
}

function complain(text) {
  page.alert.textContent = text;
  page.alert.hidden = false;
}
