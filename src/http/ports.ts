/** What the pages may see of the process: read-only views that the composition root connects to the real things. */
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { Generators } from "../translate/generators.ts";

/** State of one type of resource on one stream. */
export interface WatchView {
  /** Names that were asked for, sorted; empty where the proxy asks for everything of the type. */
  readonly names: readonly string[];
  /** Nonce of the last response; "" before the first. */
  readonly nonceSent: string;
  /** Nonce of the last response that the proxy took. */
  readonly nonceAcked: string;
  /** Milliseconds since the epoch; undefined before the first response. */
  readonly sentAtMs: number | undefined;
  /** What the proxy said when it refused the last response; "" where it did not. */
  readonly lastError: string;
}

/** One connected proxy. */
export interface ConnectionView {
  readonly connectionId: string;
  /** Milliseconds since the epoch. */
  readonly connectedAtMs: number;
  /** Remote address with port. */
  readonly address: string;
  readonly proxy: MeshProxy;
  /** By type URL. */
  readonly watches: ReadonlyMap<string, WatchView>;
}

/** A resource that is kept encoded. */
export interface CachedResource {
  readonly typeUrl: string;
  readonly name: string;
  readonly byteLength: number;
}

export interface DebugPort {
  /** Undefined until the sources have given their first content. */
  snapshot(): Snapshot | undefined;
  readonly generators: Generators;
  listConnections(): readonly ConnectionView[];
  listCachedResources(): readonly CachedResource[];
  /** Forgets encoded resources; the next push makes them anew. */
  clearCache(): void;
  /** Sends every proxy what it watches, changed or not; returns the number of proxies. */
  pushAll(): number;
}

/** What readiness and metrics need to know. */
export interface StatusPort {
  /** True where proxies can be served: the sources are read and the xDS port listens. */
  isReady(): boolean;
  /** What /ready says to people: why it is not ready, and which kinds cannot be read; "" where all is well. */
  describe(): string;
  readonly version: string;
}
