/** A control plane that is sane until it is told not to be: ADS in both forms. */
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { serveActor } from "./actor.ts";
import { AdsStream, type Request } from "./ads-stream.ts";
import { type GarbageName, garbage } from "./garbage.ts";
import { buildGoodConfiguration, type Kind, kinds, type Places } from "./good-configuration.ts";

export interface Heard {
  /** Streams that were opened. */
  readonly streams: number;
  readonly acknowledged: number;
  /** Refusals, and the texts of some. */
  readonly refused: number;
  readonly reasons: readonly string[];
}

const mostReasons = 30;
const kindNames = Object.keys(kinds) as Kind[];

class ControlPlane {
  readonly #places: Places;
  readonly #streams = new Set<AdsStream>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #reasons = new Set<string>();
  readonly #leftOvers = new Set<string>();
  #good;
  #garbage: { readonly name: GarbageName; readonly scale: number } | undefined;
  #heard = { streams: 0, acknowledged: 0, refused: 0 };

  constructor(places: Places) {
    this.#places = places;
    this.#good = buildGoodConfiguration(places, 0);
  }

  listen(): Promise<number> {
    const server = createServer();
    server.on("session", (session) => session.on("error", () => undefined));
    server.on("stream", (http2Stream, headers) => {
      const isDelta = String(headers[":path"]).includes("/Delta");
      const stream: AdsStream = new AdsStream(http2Stream, isDelta, (request) => this.#onRequest(stream, request));
      this.#streams.add(stream);
      this.#heard.streams += 1;
      http2Stream.on("close", () => this.#streams.delete(stream));
      if (this.#garbage !== undefined) this.#spoil(stream);
    });
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
    });
  }

  /** From now on, on all streams. */
  lose(name: GarbageName, scale: number): void {
    this.#garbage = { name, scale };
    this.#heard = { streams: 0, acknowledged: 0, refused: 0 };
    this.#reasons.clear();
    for (const stream of this.#streams) this.#spoil(stream);
  }

  /** Comes to its senses, and sends an edition that is new. */
  recover(edition: number): Heard {
    this.#garbage = undefined;
    for (const timer of this.#timers) clearInterval(timer);
    this.#timers.clear();
    this.#good = buildGoodConfiguration(this.#places, edition);
    for (const stream of this.#streams) {
      for (const kind of kindNames) this.#sendGood(stream, kind, []);
    }
    this.#leftOvers.clear();
    return { ...this.#heard, reasons: [...this.#reasons] };
  }

  /** Ends all streams: for what cannot be mended on the one that was spoilt, such as half a message. */
  hangUp(): void {
    for (const stream of this.#streams) stream.end();
  }

  #spoil(stream: AdsStream): void {
    if (this.#garbage === undefined) return;
    const { name, scale } = this.#garbage;
    garbage[name](stream, {
      good: this.#good,
      scale,
      every: (periodMs, run) => {
        const timer = setInterval(() => (stream.isOver ? this.#stop(timer) : run()), periodMs);
        this.#timers.add(timer);
      },
      note: (names) => {
        for (const each of names) this.#leftOvers.add(each);
      },
    });
  }

  #stop(timer: NodeJS.Timeout): void {
    clearInterval(timer);
    this.#timers.delete(timer);
  }

  #onRequest(stream: AdsStream, { kind, names, nonce, error }: Request): void {
    if (error !== undefined) {
      this.#heard.refused += 1;
      if (this.#reasons.size < mostReasons) this.#reasons.add((error.message ?? "").slice(0, 300));
    } else if (nonce !== "") this.#heard.acknowledged += 1;
    if (kind === undefined || this.#garbage !== undefined) return;
    // An answer to a response asks for nothing new; names after one are answered as a whole, which does no harm.
    if (nonce === "" || (stream.isDelta && names.length > 0)) this.#sendGood(stream, kind, names);
  }

  #sendGood(stream: AdsStream, kind: Kind, names: readonly string[]): void {
    const isWhole = names.length === 0 || !stream.isDelta;
    const resources = isWhole ? this.#good[kind] : this.#good[kind].filter(({ name }) => names.includes(name));
    stream.answer({ kind, resources, removed: kind === "clusters" ? [...this.#leftOvers] : [] });
  }
}

let controlPlane: ControlPlane | undefined;
function get(): ControlPlane {
  if (controlPlane === undefined) throw new Error("the control plane has not been started");
  return controlPlane;
}

const commands = {
  start: (places: Places): Promise<number> => {
    controlPlane = new ControlPlane(places);
    return controlPlane.listen();
  },
  lose: ({ name, scale }: { readonly name: GarbageName; readonly scale: number }) => get().lose(name, scale),
  recover: (edition: number): Heard => get().recover(edition),
  hangUp: () => get().hangUp(),
};
export type ControlPlaneCommands = typeof commands;

serveActor(commands);
