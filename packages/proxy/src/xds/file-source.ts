/**
 * Resources in a file (docs: core.v3.PathConfigSource): a DiscoveryResponse as JSON or YAML, read again when it is
 * replaced. A file that cannot be read, or is not good, leaves what there was.
 */
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { encode, fromJson } from "@meltemi/protos";
import { parseText } from "../config/read-bootstrap.ts";
import type { Log } from "../lib/log.ts";
import { readSotwResponse, readUpdate } from "./read-response.ts";
import type { ResourceType } from "./resource-types.ts";
import type { ResourceHandler, Subscription } from "./resource-update.ts";
import { describeRejections } from "./subscription-state.ts";
import { watchDirectory } from "./watched-directory.ts";

export interface FileSourceOptions {
  readonly path: string;
  /** Watched in place of the file's own directory; "" for that. */
  readonly directory: string;
  readonly log: Log;
}

/** Reads the file and goes on watching it until the subscription is closed. */
export function subscribeToFile(
  { path, directory, log }: FileSourceOptions,
  type: ResourceType,
  handler: ResourceHandler,
): Subscription {
  const file = new ResourceFile(path, type, handler, log);
  const stop = watchDirectory(directory === "" ? dirname(path) : directory, log, () => file.read());
  file.read();
  return {
    want: (names) => file.want(names),
    close() {
      stop();
      file.close();
    },
  };
}

class ResourceFile {
  readonly #path: string;
  readonly #type: ResourceType;
  readonly #handler: ResourceHandler;
  readonly #log: Log;
  #wanted: "*" | ReadonlySet<string> = new Set();
  #known = new Set<string>();
  #last = "";
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(path: string, type: ResourceType, handler: ResourceHandler, log: Log) {
    this.#path = path;
    this.#type = type;
    this.#handler = handler;
    this.#log = log;
  }

  /** Reads one after the other, so that the last content is the one that stays. */
  read(): void {
    this.#work = this.#work.then(() => this.#readNow());
  }

  want(names: "*" | Iterable<string>): void {
    this.#wanted = typeof names === "string" ? "*" : new Set(names);
    this.#last = "";
    this.read();
  }

  close(): void {
    this.#isClosed = true;
  }

  async #readNow(): Promise<void> {
    if (this.#isClosed) return;
    try {
      this.#handler.attempted?.();
      const text = await readFile(this.#path, "utf8");
      if (this.#isClosed || text === this.#last) return;
      await this.#use(text);
      this.#last = text;
    } catch (cause: unknown) {
      this.#log.warn("A file of resources cannot be used; what it said before stays in use", {
        path: this.#path,
        cause,
      });
      this.#handler.failed?.();
    }
  }

  async #use(text: string): Promise<void> {
    const name = "envoy.service.discovery.v3.DiscoveryResponse";
    const response = readSotwResponse(encode(name, fromJson(name, parseText(text))));
    const update = readUpdate(this.#type, response, { known: this.#type.isWholeSet ? this.#known : [], resources: [] });
    const resources = update.resources.filter((each) => this.#wanted === "*" || this.#wanted.has(each.name));
    const refused = await this.#handler.apply({ ...update, resources });
    const unreadable = update.unreadable.map(({ place, reason }) => ({ resource: place, reason }));
    const error = describeRejections([...refused, ...unreadable]);
    this.#known = new Set([...update.resources.map((each) => each.name)]);
    this.#handler.settled?.(response.version, error !== undefined);
    if (error !== undefined) {
      this.#log.warn("Configuration was refused", { path: this.#path, detail: error.message });
    }
  }
}
