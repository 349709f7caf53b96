/**
 * Debug pages over xDS: a request for "istio.io/debug" names one page (Istio: pilot/pkg/xds/debuggen.go), one for
 * "istio.io/debug/syncz" gets what each proxy has taken (statusgen.go). Only who has proven an identity is answered.
 */
import {
  encode,
  encodeDeltaDiscoveryResponse,
  encodeDiscoveryResponse,
  frameDeltaResource,
  frameSotwResource,
  struct,
} from "@meltemi/protos";
import type { ClientConfig, ClientConfig_GenericXdsConfig } from "@meltemi/protos/envoy/service/status/v3";
import { textHash } from "../lib/hash.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { VerifiedIdentity } from "../model/verified-identity.ts";
import type { ConnectionStatus, WatchStatus } from "./debug-view.ts";
import type { ReceivedRequest } from "./request.ts";
import type { Status } from "./transport.ts";

export const debugTypeUrl = "istio.io/debug";
const syncTypeUrl = `${debugTypeUrl}/syncz`;
const clientConfigTypeUrl = "type.googleapis.com/envoy.service.status.v3.ClientConfig";

export interface DebugPages {
  /** The body of a page, "page?query", for somebody of a namespace; undefined where they may not see it. */
  answer(name: string, namespace: string): string | undefined;
  /** Whether somebody of a namespace sees the proxies of all. */
  seesAll(namespace: string): boolean;
}

export interface DebugSource {
  /** Undefined where no debug pages are served over xDS. */
  readonly pages: DebugPages | undefined;
  listConnections(): readonly ConnectionStatus[];
  /** What `control_plane.identifier` says. */
  readonly controlPlane: string;
}

interface DebugResource {
  readonly name: string;
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

export function isDebugType(typeUrl: string): boolean {
  return typeUrl === debugTypeUrl || typeUrl.startsWith(`${debugTypeUrl}/`);
}

/** The encoded response, why there is none, or undefined where the request is the answer to a response. */
export function answerDebugRequest(
  request: ReceivedRequest,
  identity: VerifiedIdentity | undefined,
  source: DebugSource,
): Uint8Array | Status | undefined {
  const { pages } = source;
  if (identity === undefined || pages === undefined) {
    return { code: "UNAUTHENTICATED", details: "authentication required" };
  }
  if (request.event.request.nonce !== "") return undefined;
  const resources =
    request.typeUrl === syncTypeUrl
      ? listSyncStates(source.listConnections(), pages.seesAll(identity.namespace) ? undefined : identity.namespace)
      : readPage(request, identity, pages);
  return "code" in resources ? resources : encodeResponse(request, resources, source.controlPlane);
}

function readPage(
  { typeUrl, event }: ReceivedRequest,
  identity: VerifiedIdentity,
  pages: DebugPages,
): readonly DebugResource[] | Status {
  const names = event.variant === "sotw" ? event.request.names : event.request.subscribe;
  const [name] = names;
  if (typeUrl !== debugTypeUrl || name === undefined || names.length > 1) {
    return { code: "INVALID_ARGUMENT", details: "exactly one debug request is required" };
  }
  const body = pages.answer(name, identity.namespace);
  if (body === undefined) {
    return {
      code: "PERMISSION_DENIED",
      details: `the debug info is not available for current identity: "${identity}"`,
    };
  }
  return [{ name, typeUrl, value: Buffer.from(body) }];
}

function listSyncStates(
  connections: readonly ConnectionStatus[],
  onlyNamespace: string | undefined,
): readonly DebugResource[] {
  return connections
    .filter(({ proxy }) => onlyNamespace === undefined || proxy.namespace === onlyNamespace)
    .map((connection) => {
      const value = encode("envoy.service.status.v3.ClientConfig", describeClient(connection));
      return { name: connection.proxy.id, typeUrl: clientConfigTypeUrl, value };
    });
}

function describeClient({ proxy, watches }: ConnectionStatus): ClientConfig {
  const sorted = [...watches].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return {
    node: { id: proxy.id, metadata: struct(describeMetadata(proxy)) },
    generic_xds_configs: sorted.map(([typeUrl, watch]) => describeWatch(typeUrl, watch)),
  };
}

function describeMetadata({ clusterId, namespace, istioVersion }: MeshProxy): { readonly [name: string]: string } {
  const version = istioVersion && `${istioVersion.major}.${istioVersion.minor}.${istioVersion.patch}`;
  return { CLUSTER_ID: clusterId, NAMESPACE: namespace, ...(version === undefined ? {} : { ISTIO_VERSION: version }) };
}

function describeWatch(typeUrl: string, watch: WatchStatus): ClientConfig_GenericXdsConfig {
  const lastUpdated = watch.sentAtMs === undefined ? undefined : toTimestamp(watch.sentAtMs);
  const error = { last_update_attempt: lastUpdated, details: watch.lastError };
  return {
    type_url: typeUrl,
    config_status: judge(watch),
    last_updated: lastUpdated,
    ...(watch.lastError === "" ? {} : { error_state: error }),
  };
}

function judge({ lastError, nonceSent, nonceAcked }: WatchStatus): "ERROR" | "NOT_SENT" | "SYNCED" | "STALE" {
  if (lastError !== "") return "ERROR";
  if (nonceSent === "") return "NOT_SENT";
  return nonceSent === nonceAcked ? "SYNCED" : "STALE";
}

function toTimestamp(epochMs: number) {
  const seconds = Math.floor(epochMs / 1000);
  return { seconds, nanos: Math.round((epochMs - seconds * 1000) * 1e6) };
}

function encodeResponse(
  { typeUrl, event }: ReceivedRequest,
  resources: readonly DebugResource[],
  controlPlane: string,
): Uint8Array {
  const parts = resources.map(({ name, typeUrl, value }) => {
    return { name, typeUrl, message: value, version: textHash(Buffer.from(value).toString("latin1")) };
  });
  const version = textHash(parts.map((part) => part.version).join(" "));
  const head = { typeUrl, nonce: `debug-${version}`, controlPlane };
  return event.variant === "sotw"
    ? encodeDiscoveryResponse(
        { ...head, version },
        parts.map((part) => frameSotwResource(part.typeUrl, part.message)),
      )
    : encodeDeltaDiscoveryResponse(
        { ...head, systemVersion: version, removedNames: [] },
        parts.map((part) => frameDeltaResource(part)),
      );
}
