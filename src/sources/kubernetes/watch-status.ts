/** What is to be said about the watches: for the debug pages, for metrics, and for people as problems. */
import type { Message } from "../../lib/message.ts";
import type { Reflector } from "./reflector.ts";
import { apiVersionOf, resourceNameOf } from "./watch-target.ts";

export interface WatchStatus {
  readonly kind: string;
  /** The namespace that the watch is confined to; "" for all. */
  readonly namespace: string;
  /** "networking.istio.io/v1"; "" as long as none is known. */
  readonly apiVersion: string;
  readonly state: "starting" | "listing" | "watching" | "retrying" | "forbidden" | "missing" | "stopped";
  readonly isSynced: boolean;
  /** Where the watch stands; "" before the first list. */
  readonly resourceVersion: string;
  readonly objects: number;
  /** Whole lists that were taken in after the first one. */
  readonly relists: number;
  /** Requests and watches that failed, since the start. */
  readonly failures: number;
  /** Text of the last failure; "" where there was none. */
  readonly lastError: string;
}

export function describeWatch({ target, table, state }: Reflector): WatchStatus {
  return {
    kind: target.kind,
    namespace: target.namespace ?? "",
    apiVersion: state.version === undefined ? "" : apiVersionOf(target.group, state.version),
    state: findState(state),
    isSynced: state.isSynced,
    resourceVersion: state.resourceVersion,
    objects: table.size,
    relists: state.relists,
    failures: state.failures,
    lastError: state.lastFailure?.text ?? "",
  };
}

function findState({ phase, fault }: Reflector["state"]): WatchStatus["state"] {
  if (phase === "stopped" || phase === "watching") return phase;
  if (fault === "forbidden" || fault === "missing") return fault;
  if (phase === "waiting") return "retrying";
  return phase === "finding" ? "starting" : "listing";
}

/** So many failures in a row are worth telling: one broken connection is not. */
const tellingFailures = 4;

/** The problems of the watches themselves: kinds that we may not or cannot read, and a server that is not reached. */
export function listWatchProblems(reflectors: readonly Reflector[]): readonly Message[] {
  const problems = reflectors.flatMap((reflector) => findProblem(reflector) ?? []);
  if (!reflectors.some(isUnreached)) return problems;
  const ref = { kind: "APIServer", namespace: "", name: "kubernetes" };
  const text = "the API server is not reached, the mesh stays as it was last known";
  return [...problems, { level: "error", code: "api-server-unreached", object: ref, path: "", text }];
}

function isUnreached({ state }: Reflector): boolean {
  if (state.phase === "watching" || state.fault !== "broken" || state.lastFailure?.type !== "unreached") return false;
  return state.unreachedBackoff.failures >= tellingFailures;
}

function findProblem(reflector: Reflector): Message | undefined {
  const { target, state } = reflector;
  const namespace = target.namespace ?? "";
  const object = { kind: "APIResource", namespace, name: resourceNameOf(target) };
  const stays = state.isSynced ? "its last known objects stay" : "its objects are not seen";
  switch (state.fault) {
    case "forbidden": {
      const within = namespace === "" ? "" : ` in namespace ${namespace}`;
      const text = `${target.kind} may not be listed and watched${within}, ${stays}: RBAC must allow it`;
      return { level: "error", code: "kind-forbidden", object, path: "", text };
    }
    case "missing": {
      // Nobody must install what nobody uses; what was there and is gone is another matter.
      const level = state.isSynced ? "error" : "info";
      const text = `${target.kind} is not served by the API server in a version that is read, ${stays}`;
      return { level, code: "kind-missing", object, path: "", text };
    }
    case "broken": {
      if (state.phase === "watching" || isUnreached(reflector)) return undefined;
      if (state.backoff.failures < tellingFailures) return undefined;
      const text = `${target.kind} cannot be read, ${stays}: the API server refuses it`;
      return { level: "error", code: "kind-failing", object, path: "", text };
    }
    case "none":
      return undefined;
  }
}
