import { decode, encode, structToJson } from "@meltemi/protos";
import type { ExtAuthz } from "@meltemi/protos/envoy/extensions/filters/network/ext_authz/v3";
import type { AttributeContext_Peer, CheckRequest } from "@meltemi/protos/envoy/service/auth/v3";
import type { Struct } from "@meltemi/protos/google/protobuf";
import { callGrpc, compileGrpcTarget } from "../calls/grpc-call.ts";
import { ConfigError, need, within } from "../lib/config-error.ts";
import type { Stats } from "../lib/stats.ts";
import type { Address, DownstreamConnection } from "../listeners/connection.ts";
import { compileMetadataMatcher } from "../matchers/metadata-matcher.ts";
import type { NetworkFilterFactory } from "./types.ts";

const defaultTimeoutMs = 200;

/** Asks a service (envoy.service.auth.v3.Authorization) whether a connection may go on. */
export const extAuthzFactory: NetworkFilterFactory<ExtAuthz> = {
  name: "envoy.filters.network.ext_authz",
  type: "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
  compile(config, env) {
    if (config.stat_prefix === undefined || config.stat_prefix === "") {
      throw new ConfigError("stat_prefix", "must not be empty");
    }
    const service = need("grpc_service", config.grpc_service);
    const target = within("grpc_service", () => compileGrpcTarget(service, defaultTimeoutMs));
    const counters = createCounters(env.stats.scope(`ext_authz.${config.stat_prefix}`));
    const { filter_enabled_metadata: enabled } = config;
    const isEnabled = enabled && within("filter_enabled_metadata", () => compileMetadataMatcher(enabled));
    const deny = (connection: DownstreamConnection, details: string): false => {
      counters.closed.inc();
      connection.info.responseFlags.add("UAEX");
      connection.close("reset", details);
      return false;
    };
    return {
      async admit(connection) {
        if (isEnabled?.(connection.info.dynamicMetadata) === false) {
          counters.disabled.inc();
          return true;
        }
        counters.total.inc();
        counters.active.inc();
        try {
          const bytes = await callGrpc(env, {
            target,
            path: "/envoy.service.auth.v3.Authorization/Check",
            message: encode("envoy.service.auth.v3.CheckRequest", buildCheckRequest(config, connection)),
            onAbort: (run) => onceClosed(connection, run),
          });
          const { status, dynamic_metadata: metadata } = decode("envoy.service.auth.v3.CheckResponse", bytes);
          if (metadata !== undefined) noteMetadata(connection, metadata);
          if ((status?.code ?? 0) !== 0) {
            counters.denied.inc();
            return deny(connection, "ext_authz_denied");
          }
          counters.ok.inc();
          return true;
        } catch {
          counters.error.inc();
          if (config.failure_mode_allow !== true) return deny(connection, "ext_authz_error");
          counters.failureAllowed.inc();
          return true;
        } finally {
          counters.active.dec();
        }
      },
    };
  },
};

function createCounters(stats: Stats) {
  return {
    total: stats.counter("total"),
    error: stats.counter("error"),
    denied: stats.counter("denied"),
    disabled: stats.counter("disabled"),
    failureAllowed: stats.counter("failure_mode_allowed"),
    ok: stats.counter("ok"),
    closed: stats.counter("cx_closed"),
    active: stats.gauge("active"),
  };
}

/** Runs `run` when the connection ends; the result makes that harmless. */
function onceClosed(connection: DownstreamConnection, run: (cause: Error) => void): () => void {
  let isWanted = true;
  connection.onClose(() => {
    if (isWanted) run(new Error("the connection is closed"));
  });
  return () => {
    isWanted = false;
  };
}

function buildCheckRequest(config: ExtAuthz, connection: DownstreamConnection): CheckRequest {
  const { tls, sni } = connection;
  const source: AttributeContext_Peer = {
    ...buildPeer(connection.remoteAddress, principalOf(tls?.peer)),
    ...(config.include_peer_certificate === true && tls?.peer !== undefined
      ? { certificate: encodeURIComponent(tls.peer.pem) }
      : {}),
  };
  return {
    attributes: {
      source,
      destination: buildPeer(connection.localAddress, principalOf(tls?.local)),
      ...(config.include_tls_session === true && sni !== "" ? { tls_session: { sni } } : {}),
    },
  };
}

type Certificate = NonNullable<DownstreamConnection["tls"]>["peer"];

/** The first URI SAN, else the first DNS SAN, else the subject. */
function principalOf(certificate: Certificate): string {
  return certificate?.uriSans[0] ?? certificate?.dnsSans[0] ?? certificate?.subject ?? "";
}

function buildPeer({ ip, port }: Address, principal: string): AttributeContext_Peer {
  const address = ip.includes("/") ? { pipe: { path: ip } } : { socket_address: { address: ip, port_value: port } };
  return principal === "" ? { address } : { address, principal };
}

function noteMetadata({ info }: DownstreamConnection, metadata: Struct): void {
  info.dynamicMetadata.set("envoy.filters.network.ext_authz", structToJson(metadata));
}
