/** ProxyConfig.connectionSettings: limits and timeouts of connections that proxies take (istio.mesh.v1alpha1). */
import type { Static } from "typebox";
import { parseDuration } from "../../lib/duration.ts";
import type { Findings, Path } from "../findings.ts";
import { type DeepReadonly, duration, flag, int32, oneOf, optional, record } from "../schema-fields.ts";

export const connectionSettingsSchema = record(
  {
    profile: optional(
      oneOf(["SIDECAR", "EDGE"], "EDGE sets what gateways that face strangers should have, where not stated."),
    ),
    listenerPerConnectionBufferLimitBytes: optional(int32("Bytes that are held for a connection of a gateway.")),
    clusterPerConnectionBufferLimitBytes: optional(int32("Not used.")),
    httpIdleTimeout: optional(duration("After this long without requests a connection is closed.")),
    httpMaxConnectionDuration: optional(duration("A connection is closed after this long.")),
    httpMaxStreamDuration: optional(duration("A request with its response may take this long.")),
    httpStreamIdleTimeout: optional(duration("A request or response may stand still for this long.")),
    httpRequestTimeout: optional(duration("A whole request has to be there after this long.")),
    httpRequestHeadersTimeout: optional(duration("The headers of a request have to be there after this long.")),
    httpDrainTimeout: optional(duration("How long after a GOAWAY requests are still taken.")),
    httpMaxConcurrentStreams: optional(int32("Most requests of HTTP/2 at once on a connection.")),
    http2InitialStreamWindowSize: optional(int32("Bytes that a stream of HTTP/2 may send unasked.")),
    http2InitialConnectionWindowSize: optional(int32("Bytes that a connection of HTTP/2 may send unasked.")),
    httpHeadersWithUnderscoresAction: optional(
      oneOf(
        [
          "HEADERS_WITH_UNDERSCORES_UNSPECIFIED",
          "HEADERS_WITH_UNDERSCORES_ALLOW",
          "HEADERS_WITH_UNDERSCORES_REJECT_REQUEST",
          "HEADERS_WITH_UNDERSCORES_DROP_HEADER",
        ],
        "What happens to headers with underscores in their names.",
      ),
    ),
    httpMergeSlashes: optional(flag("Whether several slashes of a path become one; as the mesh says where not given.")),
    httpPathWithEscapedSlashesAction: optional(
      oneOf(
        [
          "PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED",
          "KEEP_UNCHANGED",
          "REJECT_REQUEST",
          "UNESCAPE_AND_REDIRECT",
          "UNESCAPE_AND_FORWARD",
        ],
        "What happens to %2F and %5C in paths; as the mesh says where not given.",
      ),
    ),
    listenerConnectionLimit: optional(int32("Not used.")),
    globalDownstreamConnectionLimit: optional(int32("Not used.")),
  },
  "Limits and timeouts of connections from clients.",
);

export type ConnectionSettings = DeepReadonly<Static<typeof connectionSettingsSchema>>;

/** Least values of numbers; Envoy refuses smaller windows. */
const least: { readonly [field in keyof ConnectionSettings]: number } = {
  listenerPerConnectionBufferLimitBytes: 0,
  clusterPerConnectionBufferLimitBytes: 0,
  httpMaxConcurrentStreams: 1,
  http2InitialStreamWindowSize: 65_535,
  http2InitialConnectionWindowSize: 65_535,
  listenerConnectionLimit: 1,
  globalDownstreamConnectionLimit: 1,
};

/** Reports numbers that are too small and negative times, as Istio does (pkg/config/validation/agent). */
export function checkConnectionSettings(settings: ConnectionSettings, path: Path, findings: Findings): void {
  for (const [field, value] of Object.entries(settings)) {
    const lowest = least[field as keyof ConnectionSettings];
    if (typeof value === "number" && lowest !== undefined && value < lowest) {
      findings.error([...path, field], `must be at least ${lowest}`, "out-of-range");
    }
    if (typeof value === "string" && (parseDuration(value) ?? 0) < 0) {
      findings.error([...path, field], "must not be negative", "duration");
    }
  }
}
