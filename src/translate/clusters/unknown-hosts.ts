/**
 * The cluster for hosts that no service has, where the proxy looks them up itself (Istio: cluster_builder.go
 * buildAllowAnyDFPCluster, row C5).
 */
import { duration } from "@meltemi/protos";
import type { Cluster } from "@meltemi/protos/envoy/config/cluster/v3";
import type { HttpProtocolOptions } from "@meltemi/protos/envoy/extensions/upstreams/http/v3";
import type { ClientTls } from "../../api/destination-rule/schema.ts";
import { createSlotMemo } from "../../lib/slot-memo.ts";
import type { Built } from "../built.ts";
import { hasExtension } from "../capabilities.ts";
import { buildForwardDiscovery, findUnknownHostCache } from "../dns/dynamic-forward.ts";
import { dynamicDnsCluster } from "../names.ts";
import type { ScopeView } from "../scope.ts";
import { tlsSocketName } from "../security/transport-socket.ts";
import { buildTransport, decideForwardTls } from "./cluster-tls.ts";
import { buildConnectionLimits } from "./connection-pool.ts";
import { buildHttp1Options, packHttpOptions } from "./http-options.ts";
import { providedByCluster } from "./load-balancer.ts";
import { buildClusterFilters, exchangesMetadata } from "./service-clusters.ts";
import { formatStatName } from "./stat-name.ts";

const idleTimeoutMs = 300_000;

const memo = createSlotMemo<readonly Built<Cluster>[]>();
const none: readonly Built<Cluster>[] = [];

/** One cluster, none under other policies. TLS of the mesh's policy that cannot be had leaves it out, not in plain text. */
export function buildUnknownHosts(view: ScopeView): readonly Built<Cluster>[] {
  const cache = findUnknownHostCache(view);
  if (cache === undefined) return none;
  const { key, snapshot } = view;
  const { mesh } = snapshot;
  const filters = buildClusterFilters(key);
  const slot = `${dynamicDnsCluster} ${hasExtension(key.capabilities, tlsSocketName)} ${JSON.stringify(cache)}`;
  return memo({ owner: mesh, slot }, [filters.filters], () => {
    const settings: ClientTls | undefined = mesh.outboundTrafficPolicy.tls;
    const isPlain = (settings?.mode ?? "DISABLE") === "DISABLE";
    const { insecureSkipVerify = false, sni = "" } = settings ?? {};
    const tls = decideForwardTls(settings, { mesh, exchangesMetadata: exchangesMetadata(key) });
    if (tls.kind === "refused") return none;
    if (tls.kind !== "plain" && !hasExtension(key.capabilities, tlsSocketName)) return none;
    const message: Cluster = {
      name: dynamicDnsCluster,
      // Without TLS there is no name to check.
      ...buildForwardDiscovery(cache, isPlain || insecureSkipVerify || sni !== ""),
      ...providedByCluster,
      alt_stat_name: formatStatName(dynamicDnsCluster),
      ...buildConnectionLimits(undefined, mesh),
      ...packHttpOptions(
        tls.kind === "plain" || tls.httpOptions === undefined
          ? {
              common_http_protocol_options: { idle_timeout: duration(idleTimeoutMs) },
              use_downstream_protocol_config: {
                http_protocol_options: buildHttp1Options(mesh),
                http2_protocol_options: {},
              },
            }
          : buildTlsOptions(tls.httpOptions),
      ),
      ...buildTransport(tls, undefined, false),
      ...filters,
    };
    return [{ name: dynamicDnsCluster, message, sources: [] }];
  });
}

/** With names to send and check these are all the options there are, as in Istio. */
function buildTlsOptions(
  options: NonNullable<HttpProtocolOptions["upstream_http_protocol_options"]>,
): HttpProtocolOptions {
  return { upstream_http_protocol_options: options, explicit_http_config: { http_protocol_options: {} } };
}
