import type { Log } from "../lib/log.ts";
import { formatMessage, type Message } from "../lib/message.ts";

/**
 * Prints what there is to say about the objects of the mesh, each once when it appears and once more when it is gone, as
 * "file:line field: reason". Returns the function that takes all messages of a moment.
 */
export function createProblemLog(log: Log): (messages: readonly Message[]) => void {
  const config = log.child({ component: "config" });
  let shown: ReadonlyMap<string, Message> = new Map();
  return (messages) => {
    const now = new Map(
      messages.filter(({ level }) => level !== "info").map((message) => [formatMessage(message), message]),
    );
    for (const [line, { level, code }] of now) {
      if (shown.has(line)) continue;
      if (level === "error") config.error(line, { code });
      else config.warn(line, { code });
    }
    for (const [line, { code }] of shown) {
      if (!now.has(line) && !isRestated(line, shown, now)) config.info(`solved: ${line}`, { code });
    }
    shown = now;
  };
}

/** The same problem at the same place of the same object with other words, or on another line, is not solved. */
function isRestated(line: string, before: ReadonlyMap<string, Message>, now: ReadonlyMap<string, Message>): boolean {
  const old = before.get(line);
  if (old === undefined) return false;
  for (const message of now.values()) {
    const { object, path, code } = message;
    const sameObject =
      object.kind === old.object.kind && object.namespace === old.object.namespace && object.name === old.object.name;
    if (sameObject && path === old.path && code === old.code) return true;
  }
  return false;
}
