/**
 * Incremental xDS, the client's side, for one type (docs: api-docs/xds_protocol, "incremental xDS"): pure, (state, event)
 * to [state, requests]. Requests carry what changed; a new stream begins with all names and the versions that are there.
 */
import type { DeltaDiscoveryRequest } from "@meltemi/protos/envoy/service/discovery/v3";
import type { Settled, SubscriptionEvent, Wanted } from "./subscription-state.ts";

export interface DeltaState {
  readonly wanted: Wanted;
  /** What is there, by name: told to the server when a stream begins. */
  readonly versions: ReadonlyMap<string, string>;
  readonly stream: "closed" | DeltaStream;
}

interface DeltaStream {
  readonly hasAsked: boolean;
  /** Nonce of the response that is being tried. */
  readonly pending: string | undefined;
  /** Not yet sent. A name may be subscribed to again: the server then sends it again. */
  readonly subscribe: ReadonlySet<string>;
  readonly unsubscribe: ReadonlySet<string>;
}

export type DeltaRequest = Omit<DeltaDiscoveryRequest, "node" | "type_url">;

export const initialDelta: DeltaState = { wanted: [], versions: new Map(), stream: "closed" };

const none: ReadonlySet<string> = new Set();

export function reduceDelta(
  state: DeltaState,
  event: SubscriptionEvent,
): readonly [DeltaState, readonly DeltaRequest[]] {
  const { stream } = state;
  switch (event.kind) {
    case "connected":
      return begin(state);
    case "disconnected":
      return [{ ...state, stream: "closed" }, []];
    case "want":
      return want(state, event.wanted);
    case "response":
      return stream === "closed" ? [state, []] : [{ ...state, stream: { ...stream, pending: event.nonce } }, []];
    case "settled":
      return settle(state, event);
  }
}

function begin(state: DeltaState): readonly [DeltaState, readonly DeltaRequest[]] {
  const stream: DeltaStream = { hasAsked: false, pending: undefined, subscribe: none, unsubscribe: none };
  if (state.wanted.length === 0) return [{ ...state, stream }, []];
  const request: DeltaRequest = {
    // No name in the first request asks for the whole set.
    ...(state.wanted === "*" ? {} : { resource_names_subscribe: state.wanted }),
    ...(state.versions.size === 0 ? {} : { initial_resource_versions: Object.fromEntries(state.versions) }),
  };
  return [{ ...state, stream: { ...stream, hasAsked: true } }, [request]];
}

function want(state: DeltaState, wanted: Wanted): readonly [DeltaState, readonly DeltaRequest[]] {
  const { stream } = state;
  const before = new Set(namesOf(state.wanted));
  const after = new Set(namesOf(wanted));
  const added = [...after].filter((name) => !before.has(name));
  const gone = [...before].filter((name) => !after.has(name));
  const versions = new Map([...state.versions].filter(([name]) => wanted === "*" || !gone.includes(name)));
  const next: DeltaState = { ...state, wanted, versions };
  if (stream === "closed") return [next, []];
  if (!stream.hasAsked) return stream.pending === undefined ? begin(next) : [next, []];
  const subscribe = new Set([...stream.subscribe, ...added].filter((name) => after.has(name)));
  const unsubscribe = new Set([...stream.unsubscribe, ...gone].filter((name) => !after.has(name)));
  const changed: DeltaStream = { ...stream, subscribe, unsubscribe };
  if (stream.pending !== undefined || (subscribe.size === 0 && unsubscribe.size === 0)) {
    return [{ ...next, stream: changed }, []];
  }
  return [{ ...next, stream: { ...changed, subscribe: none, unsubscribe: none } }, [changesOf(changed)]];
}

/** Acknowledges or refuses; what was wanted meanwhile goes along. */
function settle(state: DeltaState, event: Settled): readonly [DeltaState, readonly DeltaRequest[]] {
  const versions = new Map(state.versions);
  const wanted = state.wanted === "*" ? undefined : new Set(state.wanted);
  for (const name of event.removed) versions.delete(name);
  for (const [name, version] of event.accepted) {
    if (wanted === undefined || wanted.has(name)) versions.set(name, version);
  }
  const { stream } = state;
  if (stream === "closed" || stream.pending === undefined) return [{ ...state, versions }, []];
  const request: DeltaRequest = {
    ...changesOf(stream),
    response_nonce: stream.pending,
    ...(event.error === undefined ? {} : { error_detail: event.error }),
  };
  const settled: DeltaStream = { hasAsked: true, pending: undefined, subscribe: none, unsubscribe: none };
  return [{ ...state, versions, stream: settled }, [request]];
}

function changesOf({ subscribe, unsubscribe }: DeltaStream): DeltaRequest {
  return {
    ...(subscribe.size === 0 ? {} : { resource_names_subscribe: [...subscribe].sort() }),
    ...(unsubscribe.size === 0 ? {} : { resource_names_unsubscribe: [...unsubscribe].sort() }),
  };
}

function namesOf(wanted: Wanted): readonly string[] {
  return wanted === "*" ? [] : wanted;
}
