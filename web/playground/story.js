// What the two users post and say to each other, as notifications.

export const POSTS = {
  alice: "First loaf out of the new oven. The whole house smells of it.",
  bob: "Early train to the coast. Nobody there but the gulls and me.",
  anybody: "Hello, everyone.",
};

const COMMENTS = {
  alice: ["Bring me a shell!", "I can hear the waves from here.", "Next time I’m coming along."],
  bob: ["Save me a slice!", "Is that rye?", "Now I need butter. And a train to yours."],
};
const ANNOUNCEMENTS = [
  "The autumn fair opens on Saturday. Everyone is welcome.",
  "Tonight from ten to eleven we move house; you will not notice.",
  "The new reading room is open.",
];
const turns = new Map();

/** What `actor` did, as a notification to `recipient`. */
export function describe(type, actor, recipient) {
  const post = { entityType: "post", entityId: `${recipient.id}-post-1` };
  const about = {
    like: () => ({ ...post, message: `${actor.name} liked your post` }),
    comment: () => ({
      ...post,
      message: `${actor.name} commented: “${next(COMMENTS[actor.id] ?? COMMENTS.bob)}”`,
    }),
    mention: () => ({
      entityType: "post",
      entityId: `${actor.id}-post-2`,
      message: `${actor.name} mentioned you: “@${recipient.id} you would love this”`,
    }),
    follow: () => ({
      entityType: "user",
      entityId: actor.id,
      message: `${actor.name} started following you`,
    }),
  };
  return { to: recipient.id, type, actorId: actor.id, ...about[type]() };
}

export function systemAnnouncement() {
  return {
    to: { all: true },
    type: "system",
    title: "Announcement",
    message: next(ANNOUNCEMENTS),
  };
}

/** The next of a list, in turn. */
function next(list) {
  const turn = turns.get(list) ?? 0;
  turns.set(list, turn + 1);
  return list[turn % list.length];
}
