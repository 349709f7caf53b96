/** All that is tried, in order. */
import type { AttackName } from "./attacks/attacks.ts";
import type { GarbageName } from "./garbage.ts";

/** What clients do. */
export interface ClientScenario {
  readonly title: string;
  readonly attack: AttackName;
  /** Clients at once, at full size. */
  readonly clients: number;
  /** What attackers have to see for it: their answer, or that they are thrown out. */
  readonly sees?: string;
}

/** What the control plane does. */
export interface ControlPlaneScenario {
  readonly title: string;
  readonly garbage: GarbageName;
  /** What the proxy has to do with it: refuse with reasons, or lose streams, or take it. */
  readonly outcome: "refused" | "streams lost" | "taken";
  /** True where what came cannot be mended on the same stream. */
  readonly isCutOff?: boolean;
}

export const clientScenarios: readonly ClientScenario[] = [
  { title: "connected, silent", attack: "idle", clients: 10_000 },
  { title: "a byte of a head now and then", attack: "drip", clients: 10_000 },
  { title: "asked for 4 MB, never read", attack: "unread", clients: 10_000, sees: "status 200" },
  { title: "a body announced, none sent", attack: "bodyless", clients: 10_000 },
  { title: "asked, and gone with a reset", attack: "vanish", clients: 500, sees: "vanished" },
  { title: "heads of 70 kB", attack: "longHeads", clients: 10_000, sees: "status 431" },
  { title: "heads of 150 headers", attack: "manyHeaders", clients: 10_000, sees: "status 431" },
  { title: "heads without an end", attack: "endlessHeads", clients: 10_000, sees: "status 431" },
  { title: "HTTP/2: rapid resets", attack: "rapidResets", clients: 20, sees: "closed" },
  { title: "HTTP/2: resets forced from the server", attack: "forcedResets", clients: 20, sees: "closed" },
  { title: "HTTP/2: CONTINUATION", attack: "continuations", clients: 20, sees: "closed" },
  { title: "HTTP/2: PING, answers not read", attack: "pings", clients: 20, sees: "closed" },
  { title: "HTTP/2: PING, answers read", attack: "readPings", clients: 20, sees: "closed" },
  { title: "HTTP/2: SETTINGS", attack: "settings", clients: 20, sees: "closed" },
  { title: "HTTP/2: empty DATA", attack: "emptyData", clients: 20, sees: "closed" },
  { title: "HTTP/2: PRIORITY", attack: "priorities", clients: 20, sees: "closed" },
  { title: "HTTP/2: WINDOW_UPDATE", attack: "windowUpdates", clients: 20, sees: "closed" },
  { title: "HTTP/2: no window for 100 answers each", attack: "zeroWindows", clients: 20 },
  { title: "HTTP/2: header bombs", attack: "headerBombs", clients: 20, sees: "closed" },
  { title: "TLS: half a ClientHello", attack: "halfHandshakes", clients: 2_000 },
  { title: "TLS: handshakes left in the middle", attack: "unansweredHandshakes", clients: 2_000 },
  { title: "TLS: renegotiation", attack: "renegotiations", clients: 20, sees: "closed" },
];

export const controlPlaneScenarios: readonly ControlPlaneScenario[] = [
  { title: "garbled messages", garbage: "garbledMessages", outcome: "streams lost" },
  { title: "garbled frames", garbage: "garbledFrames", outcome: "streams lost", isCutOff: true },
  { title: "fields without sense", garbage: "nonsense", outcome: "refused" },
  { title: "wrong types", garbage: "wrongTypes", outcome: "refused" },
  { title: "200 MB announced", garbage: "announced", outcome: "taken", isCutOff: true },
  { title: "4 GB announced", garbage: "tooLong", outcome: "streams lost" },
  { title: "50 MB of good clusters", garbage: "hugeGood", outcome: "taken" },
  { title: "50 MB of bad clusters", garbage: "hugeBad", outcome: "refused" },
  { title: "no nonces", garbage: "emptyNonces", outcome: "taken" },
  { title: "the same without end", garbage: "duplicates", outcome: "taken" },
  { title: "refusals without end", garbage: "refusals", outcome: "refused" },
  { title: "streams ended at once", garbage: "hangUps", outcome: "streams lost" },
  { title: "no answers", garbage: "silence", outcome: "taken" },
  { title: "unknown names removed", garbage: "removals", outcome: "taken" },
];
