/** A request as the router sees it, after the connection manager has put it in order. */
import type { HttpConnectionManager } from "@meltemi/protos/envoy/extensions/filters/network/http_connection_manager/v3";
import type { PlannedCall } from "./call.ts";
import { normalizePath } from "./request-path.ts";

export interface HttpRequest {
  readonly method: string;
  readonly scheme: string;
  /** With the query. */
  readonly path: string;
  readonly host: string;
  /** x-forwarded-proto: what the client spoke. */
  readonly forwardedProto: string;
  /** Without pseudo headers, names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly metadata: PlannedCall["metadata"];
  /** True where the connection was encrypted and ended here; and whether the client showed a certificate. */
  readonly isTls: boolean;
  readonly hasCertificate: boolean;
  readonly sample: number;
}

/** Applies what the connection manager does to authority, path and scheme before routing. */
export function prepareRequest(manager: HttpConnectionManager, call: PlannedCall, isTls: boolean): HttpRequest {
  const own = isTls ? "https" : "http";
  const isEdge = manager.use_remote_address?.value === true && (manager.xff_num_trusted_hops ?? 0) === 0;
  const forwardedProto = isEdge ? own : (call.headers.get("x-forwarded-proto") ?? own);
  return {
    method: call.method,
    scheme: forwardedProto,
    path: normalizePath(manager, call.path),
    host: stripHost(manager, call),
    forwardedProto,
    headers: call.headers,
    metadata: call.metadata,
    isTls,
    hasCertificate: isTls && call.tls?.certificate === true,
    sample: call.sample,
  };
}

/** Value of a header or pseudo header; undefined where the request has none. */
export function readHeader(request: HttpRequest, name: string): string | undefined {
  switch (name.toLowerCase()) {
    case ":method":
      return request.method;
    case ":path":
      return request.path;
    case ":scheme":
      return request.scheme;
    case ":authority":
    case "host":
      return request.host;
    case "x-forwarded-proto":
      return request.forwardedProto;
    default:
      return request.headers.get(name.toLowerCase());
  }
}

function stripHost(manager: HttpConnectionManager, call: PlannedCall): string {
  let { host } = call;
  const [, port] = /:(\d+)$/.exec(host) ?? [];
  if (port !== undefined) {
    const isOwn = manager.strip_matching_host_port === true && Number(port) === call.to.port;
    if (manager.strip_any_host_port === true || isOwn) host = host.slice(0, -port.length - 1);
  }
  return manager.strip_trailing_host_dot === true ? host.replace(/\.(?=$|:\d+$)/, "") : host;
}
