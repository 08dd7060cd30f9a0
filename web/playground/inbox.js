// One user's notifications as one device knows them: plain state, no page and no network.
//
// Every change of an inbox has a number, its rev, contiguous from 1. The device holds all
// changes up to `rev`; whoever feeds this class passes live changes in that order and turns
// to `catchUp` for everything else. Unread is the server's word, never counted here.

export class Inbox {
  /** The last change applied; null before the first answer. */
  rev = null;
  unread = 0;
  /** Everything with a seq up to this was read at `#readUpToRev`. */
  readUpTo = 0;

  #items = new Map();
  #gone = new Set();
  #unreadRev = -1;
  #readUpToRev = 0;

  /** Newest first; what was archived is kept, but not shown. */
  get items() {
    return [...this.#items.values()]
      .filter((item) => !item.archivedAt)
      .sort((one, other) => other.seq - one.seq);
  }

  get(id) {
    return this.#items.get(id);
  }

  /** Where a live change stands: "next" may be applied, "old" is known, "gap" needs a sync. */
  place(rev) {
    if (this.rev === null || rev > this.rev + 1) return "gap";
    return rev <= this.rev ? "old" : "next";
  }

  /** A `notifications:pending` event or the answer to `notifications:sync`.
   *  Returns the unread notifications that are new here, oldest first. */
  catchUp({ items, removed = [], readUpTo = 0, unread, to, reset = false }) {
    if (reset) this.#forget();
    this.#forgetItems(removed);
    this.#readAll(readUpTo, 0);
    // An answer that does not know of the last read-all was overtaken by it.
    const overtaken = readUpTo < this.readUpTo;
    const fresh = this.#take(items.map((item) => (overtaken ? this.#asRead(item) : item)));
    if (this.rev === null || to > this.rev) this.rev = to;
    this.count(unread, to);
    return fresh.sort((one, other) => one.seq - other.seq);
  }

  /** A page of the list over HTTP. It may be older than what is held. */
  merge(notifications) {
    this.#take(
      notifications.map((item) => (item.rev < this.#readUpToRev ? this.#asRead(item) : item)),
    );
  }

  /** A live `notification`. Returns it if it is new here. */
  add(notification) {
    this.rev = notification.rev;
    return this.#take([notification])[0];
  }

  /** A live `notification:updated`. */
  update({ rev, unread, items = [], removed = [], readUpTo = 0, clearedUpTo = 0 }) {
    this.rev = rev;
    this.#readAll(readUpTo, rev);
    this.#forgetItems(removed);
    for (const item of this.#items.values()) {
      if (item.seq <= clearedUpTo) this.#forgetItems([item.id]);
    }
    for (const change of items) {
      const held = this.#items.get(change.id);
      // A change of something that this device never loaded is of no use to it.
      if (held && change.rev > held.rev) this.#items.set(change.id, { ...held, ...change });
    }
    this.count(unread, rev);
  }

  /** The unread count as the server had it at `rev`. */
  count(unread, rev) {
    if (unread === undefined || rev < this.#unreadRev) return;
    this.unread = unread;
    this.#unreadRev = rev;
  }

  #take(notifications) {
    const fresh = [];
    for (const item of notifications) {
      const held = this.#items.get(item.id);
      if (this.#gone.has(item.id) || (held && held.rev >= item.rev)) continue;
      this.#items.set(item.id, item);
      if (!held && !item.read && !item.archivedAt) fresh.push(item);
    }
    return fresh;
  }

  #readAll(upTo, rev) {
    if (upTo <= this.readUpTo) return;
    this.readUpTo = upTo;
    this.#readUpToRev = rev;
    for (const item of this.#items.values()) this.#items.set(item.id, this.#asRead(item));
  }

  #asRead(item) {
    return item.read || item.seq > this.readUpTo ? item : { ...item, read: true };
  }

  #forgetItems(ids) {
    for (const id of ids) {
      this.#items.delete(id);
      this.#gone.add(id);
    }
  }

  #forget() {
    this.rev = null;
    this.readUpTo = 0;
    this.#items.clear();
    this.#gone.clear();
    this.#unreadRev = -1;
    this.#readUpToRev = 0;
  }
}
