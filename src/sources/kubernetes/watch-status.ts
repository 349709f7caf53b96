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
  const problems: Message[] = [];
  let unreached = 0;
  for (const { target, state } of reflectors) {
    const name = resourceNameOf(target);
    const within = target.namespace === undefined ? "" : ` in namespace ${target.namespace}`;
    const stays = state.isSynced ? "its last known objects stay" : "its objects are not seen";
    const tell = (level: Message["level"], code: string, text: string): void => {
      const ref = { kind: "APIResource", namespace: target.namespace ?? "", name };
      problems.push({ level, code, object: ref, path: "", text });
    };
    if (state.fault === "forbidden") {
      tell(
        "error",
        "kind-forbidden",
        `${target.kind} may not be listed and watched${within}, ${stays}: RBAC must allow it`,
      );
    } else if (state.fault === "missing") {
      // Nobody must install what nobody uses; what was there and is gone is another matter.
      const level = state.isSynced ? "error" : "info";
      tell(level, "kind-missing", `${target.kind} is not served by the API server in a version that is read, ${stays}`);
    } else if (state.phase !== "watching" && state.fault === "broken" && state.backoff.failures >= tellingFailures) {
      if (state.lastFailure?.type === "unreached") unreached++;
      else tell("error", "kind-failing", `${target.kind} cannot be read, ${stays}: the API server refuses it`);
    }
  }
  if (unreached > 0) {
    const ref = { kind: "APIServer", namespace: "", name: "kubernetes" };
    const text = "the API server is not reached, the mesh stays as it was last known";
    problems.push({ level: "error", code: "api-server-unreached", object: ref, path: "", text });
  }
  return problems;
}
