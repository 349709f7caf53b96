/** What happens when a service wants an address and port that already has a listener (Istio: networking/core/listener.go). */
import { isHttp, isTcp, type Protocol } from "../../lib/protocol.ts";

/** How a listener treats a protocol: as requests, as bytes, or by what it finds in the first bytes. */
export type ListenerKind = "http" | "tcp" | "auto";

/** Kind of a port's listener; undefined where it gets none. */
export function classifyProtocol(protocol: Protocol): ListenerKind | undefined {
  if (isHttp(protocol)) return "http";
  if (isTcp(protocol)) return "tcp";
  return protocol === "Unsupported" ? "auto" : undefined;
}

/**
 * - create: there is no listener yet
 * - share: the listener serves the port as it is (HTTP is told apart by routes)
 * - merge: chains are added
 * - mergeAndSniff: chains are added, and the listener now finds out what a connection carries
 * - replace: the new listener does all that the old one did
 * - refuse: looking at the first bytes would break the protocol that is there
 */
export type Resolution = "create" | "share" | "merge" | "mergeAndSniff" | "replace" | "refuse";

/** Protocols in which the server may speak first: a listener that waits for bytes of the client would hang. */
const serverFirst: ReadonlySet<Protocol> = new Set(["Mongo", "MySQL"]);

/** `existing` is the protocol of the listener, "Unsupported" for one that sniffs; undefined where there is none. */
export function resolveConflict(incoming: Protocol, existing: Protocol | undefined): Resolution {
  if (existing === undefined) return "create";
  if (incoming === "HTTP_PROXY") return "replace";
  const kind = classifyProtocol(incoming);
  const resolution = kind === undefined ? "refuse" : resolutions[kind][kindOf(existing)];
  if (resolution === "share" || incoming === existing) return resolution;
  return serverFirst.has(incoming) || serverFirst.has(existing) ? "refuse" : resolution;
}

const resolutions: { readonly [incoming in ListenerKind]: { readonly [existing in ListenerKind]: Resolution } } = {
  http: { http: "share", auto: "share", tcp: "mergeAndSniff" },
  tcp: { http: "mergeAndSniff", auto: "merge", tcp: "merge" },
  auto: { http: "replace", auto: "share", tcp: "mergeAndSniff" },
};

function kindOf(protocol: Protocol): ListenerKind {
  return classifyProtocol(protocol) ?? "tcp";
}
