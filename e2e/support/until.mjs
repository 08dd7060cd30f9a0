import { setTimeout as pause } from "node:timers/promises";

/** Waits for something that nothing announces; the test's own time-out ends it. */
export async function until(condition) {
  for (;;) {
    const value = await condition();
    if (value) return value;
    await pause(10);
  }
}
