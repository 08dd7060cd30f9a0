// One device of a user: a Socket.IO connection that keeps an inbox up to date through
// dropped connections, restarts and gaps.

import { io } from "./vendor/socket.io.esm.min.js";
import { Inbox } from "./inbox.js";
import { inboxPage } from "./api.js";

const ANSWER_WITHIN = 10_000;

/** Tells by events: "change" (something to draw), "online" (a connection begins), "arrived" ({notifications}),
 *  "wire" ({name, payload}). */
export class Device extends EventTarget {
  inbox = new Inbox();
  /** "online", "connecting" or "offline". */
  status = "connecting";
  transport = "";
  /** Why it is as it is, when there is something to say. */
  note = "";
  olderCursor = null;

  #user;
  #renewUser;
  #socket;
  /** The sync under way, and the live changes that wait for it. */
  #syncing = null;
  #waiting = [];
  #triedNewToken = false;

  /** `renewUser` answers the user with a fresh token. */
  constructor(user, renewUser) {
    super();
    this.#user = user;
    this.#renewUser = renewUser;
    this.#socket = io({
      forceNew: true,
      autoConnect: false,
      // WebSocket first, polling where none gets through: a connection that breaks while it changes from
      // polling to WebSocket can look alive until a heartbeat is missing.
      transports: ["websocket", "polling"],
      tryAllTransports: true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 2_000,
      auth: (answer) => answer(this.#credentials()),
    });
    this.#listen();
    this.#socket.connect();
  }

  get wanted() {
    return this.status !== "offline";
  }

  get user() {
    return this.#user;
  }

  goOffline() {
    this.#socket.disconnect();
    this.#show("offline", "What arrives now waits on the server.");
  }

  comeBack() {
    this.#show("connecting");
    this.#socket.connect();
  }

  close() {
    this.#socket.removeAllListeners();
    this.#socket.disconnect();
  }

  /** Asks the server to change the inbox: `act("notification:read", { id })`. The change
   *  itself arrives as an event, like on every other device. */
  async act(event, payload) {
    try {
      const answer = await this.#ask(event, payload);
      if (this.note) this.#say("");
      return answer;
    } catch (problem) {
      this.#say(problem.message);
      return undefined;
    }
  }

  async loadOlder() {
    const page = await inboxPage(this.#user.token, { cursor: this.olderCursor });
    this.olderCursor = page.pagination.nextCursor ?? null;
    this.inbox.merge(page.notifications);
    this.#changed();
  }

  #credentials() {
    const { rev } = this.inbox;
    return rev === null ? { token: this.#user.token } : { token: this.#user.token, since: rev };
  }

  #listen() {
    const socket = this.#socket;
    socket.onAny((name, payload) => this.#tell("wire", { name, payload }));
    socket.on("connect", () => {
      this.#triedNewToken = false;
      this.transport = socket.io.engine.transport.name;
      socket.io.engine.on("upgrade", (transport) => {
        this.transport = transport.name;
        this.#changed();
      });
      this.#show("online");
      this.#tell("online");
    });
    socket.on("connect_error", (error) => this.#refused(error));
    socket.on("disconnect", () => {
      this.#syncing = null;
      this.#waiting = [];
      // Inactive: the server said goodbye, or the user did.
      if (socket.active) this.#show("connecting", this.note);
      else this.#show("offline", this.note);
    });
    socket.on("error", ({ message }) => this.#say(message));
    socket.on("server:shutdown", () => this.#show("connecting", "The server is restarting."));

    // Comes on connecting, and again whenever the server has more to tell than fits one page
    // or thinks that this device missed something.
    socket.on("notifications:pending", ({ notifications, ...rest }) => {
      this.#pending({ items: notifications, ...rest });
    });
    socket.on("notification", (notification) => {
      this.#live(notification.rev, () => {
        const fresh = this.inbox.add(notification);
        if (fresh) this.#tell("arrived", { notifications: [fresh] });
      });
    });
    socket.on("notification:updated", (change) => {
      this.#live(change.rev, () => this.inbox.update(change));
    });
    socket.on("notification:count", ({ unread, rev }) => {
      this.inbox.count(unread, rev);
      this.#changed();
    });
  }

  #pending(answer) {
    const fromScratch = this.inbox.rev === null || answer.reset;
    const fresh = this.inbox.catchUp(answer);
    if (fromScratch) {
      this.olderCursor = null;
      this.loadOlder().catch((problem) => this.#say(problem.message));
    } else if (fresh.length > 0) {
      this.#tell("arrived", { notifications: fresh });
    }
    this.#acknowledge();
    this.#changed();
  }

  /** Applies a live change in its turn. */
  #live(rev, apply) {
    if (this.#syncing) {
      this.#waiting.push({ rev, apply });
      return;
    }
    const place = this.inbox.place(rev);
    if (place === "old") return;
    if (place === "gap") {
      this.#waiting.push({ rev, apply });
      this.#sync();
      return;
    }
    apply();
    this.#acknowledge();
    this.#changed();
  }

  /** Asks for what is missing; what came meanwhile follows. */
  async #sync() {
    const turn = (this.#syncing = {});
    try {
      let answer;
      do {
        answer = await this.#ask("notifications:sync", { since: this.inbox.rev ?? 0 });
        if (this.#syncing !== turn) return;
        this.#pending({ ...answer, hasMore: false });
      } while (answer.hasMore && !answer.reset);
    } catch (problem) {
      // A new connection starts over from the rev that is held.
      if (this.#syncing === turn) this.#socket.io.engine?.close();
      this.#say(problem.message);
      return;
    }
    this.#syncing = null;
    for (const { rev, apply } of this.#waiting.splice(0)) this.#live(rev, apply);
  }

  #acknowledge() {
    this.#socket.emit("notification:ack", { upTo: this.inbox.rev });
  }

  async #ask(event, payload) {
    const answer = await this.#socket.timeout(ANSWER_WITHIN).emitWithAck(event, payload);
    if (!answer.ok) throw new Error(answer.error.message);
    return answer;
  }

  async #refused(error) {
    if (this.#socket.active) {
      // The network, not the server's word: the client tries again by itself.
      this.#show("connecting", "The server cannot be reached; trying again.");
      return;
    }
    const code = error.data?.code;
    if (code !== "CAPACITY" && !this.#triedNewToken) {
      this.#triedNewToken = true;
      try {
        this.#user = await this.#renewUser(this.#user.id);
        if (this.wanted) this.#socket.connect();
        return;
      } catch (problem) {
        this.#show("offline", problem.message);
        return;
      }
    }
    this.#show("offline", error.message);
  }

  #say(note) {
    this.note = note;
    this.#changed();
  }

  #show(status, note = "") {
    this.status = status;
    this.note = note;
    this.#changed();
  }

  #changed() {
    this.#tell("change");
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
