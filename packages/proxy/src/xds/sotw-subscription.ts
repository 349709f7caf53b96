/**
 * State of the world, the client's side, for one type (docs: api-docs/xds_protocol): pure, (state, event) to
 * [state, requests]. Every request repeats the whole subscription, the version that was taken last and the nonce of the
 * response that came last.
 */
import type { DiscoveryRequest } from "@meltemi/protos/envoy/service/discovery/v3";
import type { Settled, SubscriptionEvent, Wanted } from "./subscription-state.ts";

export interface SotwState {
  readonly wanted: Wanted;
  /** The version that was taken last, on any stream. */
  readonly version: string;
  readonly stream: "closed" | SotwStream;
}

interface SotwStream {
  /** Nonce of the last response that was settled. */
  readonly nonce: string;
  /** Nonce of the response that is being tried. */
  readonly pending: string | undefined;
  /** True once something was asked for on this stream. */
  readonly hasAsked: boolean;
  /** Names that were let go while a response was tried. */
  readonly dropped: ReadonlySet<string>;
}

export type SotwRequest = Omit<DiscoveryRequest, "node" | "type_url">;

export const initialSotw: SotwState = { wanted: [], version: "", stream: "closed" };

const newStream: SotwStream = { nonce: "", pending: undefined, hasAsked: false, dropped: new Set() };

export function reduceSotw(state: SotwState, event: SubscriptionEvent): readonly [SotwState, readonly SotwRequest[]] {
  const { stream } = state;
  switch (event.kind) {
    case "connected":
      return ask({ ...state, stream: newStream });
    case "disconnected":
      return [{ ...state, stream: "closed" }, []];
    case "want":
      return want(state, event.wanted);
    case "response":
      return stream === "closed" ? [state, []] : [{ ...state, stream: { ...stream, pending: event.nonce } }, []];
    case "settled":
      return stream === "closed" || stream.pending === undefined ? [state, []] : settle(state, stream, event);
  }
}

/** Asks anew, where there is something to ask for: nothing is no subscription on a stream that has had none. */
function ask(state: SotwState): readonly [SotwState, readonly SotwRequest[]] {
  const { stream } = state;
  if (stream === "closed" || (state.wanted.length === 0 && !stream.hasAsked)) return [state, []];
  return [{ ...state, stream: { ...stream, hasAsked: true } }, [requestOf(state, stream, state.wanted)]];
}

function want(state: SotwState, wanted: Wanted): readonly [SotwState, readonly SotwRequest[]] {
  const { stream } = state;
  const next = { ...state, wanted };
  if (stream === "closed" || isSame(state.wanted, wanted)) return [next, []];
  if (stream.pending === undefined) return ask(next);
  const kept = new Set(wanted);
  const gone = namesOf(state.wanted).filter((name) => !kept.has(name));
  return [{ ...next, stream: { ...stream, dropped: new Set([...stream.dropped, ...gone]) } }, []];
}

/**
 * Acknowledges, or refuses with the version as it was. A name that was let go and is wanted again has to be missing in
 * one request: the server sends what it takes for known only then.
 */
function settle(
  state: SotwState,
  stream: SotwStream,
  { version, error }: Settled,
): readonly [SotwState, readonly SotwRequest[]] {
  const settled: SotwStream = { nonce: stream.pending ?? "", pending: undefined, hasAsked: true, dropped: new Set() };
  const next: SotwState = { ...state, version: error === undefined ? version : state.version, stream: settled };
  const { wanted } = next;
  const first = wanted === "*" ? wanted : wanted.filter((name) => !stream.dropped.has(name));
  const answer = requestOf(next, settled, first);
  const answers = [error === undefined ? answer : { ...answer, error_detail: error }];
  return [next, isSame(first, wanted) ? answers : [...answers, requestOf(next, settled, wanted)]];
}

function requestOf({ version }: SotwState, { nonce }: SotwStream, wanted: Wanted): SotwRequest {
  return { version_info: version, response_nonce: nonce, resource_names: namesOf(wanted) };
}

/** The whole set is asked for by no name at all. */
function namesOf(wanted: Wanted): readonly string[] {
  return wanted === "*" ? [] : wanted;
}

function isSame(left: Wanted, right: Wanted): boolean {
  if (left === "*" || right === "*") return left === right;
  return left.length === right.length && left.every((name, index) => name === right[index]);
}
