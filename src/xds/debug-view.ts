/** A read-only look at streams and resources, for debug pages and the command line. */
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import { listSet } from "../push/resource-set.ts";
import type { ResourceStore } from "../push/resource-store.ts";
import { isEncoded } from "../push/response-encoder.ts";
import type { Snapshot } from "../snapshot/snapshot.ts";
import type { Built } from "../translate/built.ts";
import type { Connection, Watch } from "./connection.ts";
import { basisOf, type Delivery } from "./delivery.ts";
import { isWildcard, namesOf } from "./subscription.ts";

/** State of one type on one stream. */
export interface WatchStatus {
  /** Names that were asked for, sorted; empty where the proxy asks for everything. */
  readonly names: readonly string[];
  readonly isWildcard: boolean;
  /** Version of what was last sent; "" before. */
  readonly versionSent: string;
  /** Nonce of the last response; "" before the first. */
  readonly nonceSent: string;
  /** Nonce of the last response that the proxy took; "" before. */
  readonly nonceAcked: string;
  /** Milliseconds since the epoch; undefined before the first response. */
  readonly sentAtMs: number | undefined;
  /** What the proxy said when it refused the last response, on one line; "" where it did not. */
  readonly lastError: string;
}

/** One connected proxy. */
export interface ConnectionStatus {
  /** "<name.namespace>-<number>" */
  readonly connectionId: string;
  readonly proxy: MeshProxy;
  /** Milliseconds since the epoch. */
  readonly connectedAtMs: number;
  /** Remote address with port. */
  readonly address: string;
  readonly variant: "sotw" | "delta";
  /** By type URL. */
  readonly watches: ReadonlyMap<string, WatchStatus>;
}

export interface XdsDebug {
  /** Undefined until the first change was applied. */
  snapshot(): Snapshot | undefined;
  listConnections(): readonly ConnectionStatus[];
  /** What was last sent to a connection of a type; empty where there is no such connection or watch. */
  currentResources(connectionId: string, typeUrl: string): readonly Built<object>[];
  listCachedResources(): readonly { readonly typeUrl: string; readonly name: string; readonly byteLength: number }[];
  /** Has everything made anew; what comes out equal is not sent. */
  clearCache(): void;
  /** Sends every proxy what it watches, changed or not; returns the number of proxies. */
  pushAll(): number;
}

/** Creates the view over live streams; nothing is copied until somebody asks. */
export function createDebugView(store: ResourceStore, connections: ReadonlyMap<string, Connection>): XdsDebug {
  return {
    snapshot: () => store.snapshot,
    listConnections: () => [...connections.values()].map(describeConnection),
    currentResources: (connectionId, typeUrl) => {
      const watch = connections.get(connectionId)?.watches.get(typeUrl);
      if (watch === undefined) return [];
      return [...listSet(basisOf(watch.state.delivery))].filter(isEncoded).map(({ built }) => built);
    },
    listCachedResources: () => {
      return [...store.listResources()].map(({ typeUrl, name, bytes }) => ({
        typeUrl,
        name,
        byteLength: bytes.length,
      }));
    },
    clearCache: () => {
      store.invalidateAll();
      for (const connection of connections.values()) connection.noteChange();
    },
    pushAll: () => {
      for (const connection of connections.values()) connection.resendAll();
      return connections.size;
    },
  };
}

function describeConnection(connection: Connection): ConnectionStatus {
  const { id, port, proxy, variant } = connection.inputs;
  return {
    connectionId: id,
    proxy,
    connectedAtMs: connection.connectedAtMs,
    address: port.peer,
    variant,
    watches: new Map([...connection.watches].map(([typeUrl, watch]) => [typeUrl, describeWatch(watch)])),
  };
}

function describeWatch({ state, nonceSent, nonceAcked, sentAtMs, lastError }: Watch): WatchStatus {
  const { subscription, delivery } = state;
  return {
    names: subscription === undefined ? [] : [...namesOf(subscription).names],
    isWildcard: subscription !== undefined && isWildcard(subscription),
    versionSent: versionOf(delivery),
    nonceSent,
    nonceAcked,
    sentAtMs,
    lastError,
  };
}

function versionOf(delivery: Delivery): string {
  if (delivery.kind === "none") return "";
  return delivery.kind === "rejected" ? delivery.refused.version : basisOf(delivery).version;
}
