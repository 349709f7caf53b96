/** One endpoint as Envoy reads it (Istio: xds/endpoints/endpoint_builder.go buildEnvoyLbEndpoint). */

import { struct, u32 } from "@meltemi/protos";
import type { HealthStatus } from "@meltemi/protos/envoy/config/core/v3";
import type { LbEndpoint } from "@meltemi/protos/envoy/config/endpoint/v3";
import { memoByIdentity } from "../../lib/memo.ts";
import type { Endpoint } from "../../model/endpoint.ts";
import { buildAddress } from "../address.ts";

const drainingLabel = "istio.io/draining";
const nameLabels = ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"] as const;
const revisionLabels = ["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"] as const;
// The default revision is not sent: telemetry fills it in.
const defaultRevision = "latest";

/**
 * The wire form of an endpoint. The same object comes back for the same endpoint, so that of a thousand endpoints only
 * the one that changed is encoded anew. `takesMtls`: whether clients may speak mutual TLS to it; `dualStack`: whether they
 * are told all of its addresses.
 */
export const buildLbEndpoint: (endpoint: Endpoint, takesMtls: boolean, dualStack: boolean) => LbEndpoint =
  memoByIdentity((endpoint: Endpoint, takesMtls: boolean, dualStack: boolean): LbEndpoint => {
    const others = dualStack ? endpoint.additionalAddresses : [];
    const tlsMode =
      takesMtls && endpoint.tlsMode !== "" && endpoint.tlsMode !== "disabled" ? endpoint.tlsMode : undefined;
    const health = selectHealth(endpoint);
    return {
      endpoint: {
        address: buildAddress(endpoint.address, endpoint.port),
        ...(others.length === 0
          ? {}
          : { additional_addresses: others.map((address) => ({ address: buildAddress(address, endpoint.port) })) }),
      },
      ...(health === undefined ? {} : { health_status: health }),
      load_balancing_weight: u32(weightOf(endpoint)),
      metadata: {
        filter_metadata: {
          ...(tlsMode === undefined ? {} : { "envoy.transport_socket_match": struct({ tlsMode }) }),
          istio: struct({ workload: formatWorkload(endpoint) }),
        },
      },
    };
  }, 2);

export function weightOf(endpoint: Endpoint): number {
  return endpoint.weight === 0 ? 1 : endpoint.weight;
}

/** undefined: nobody watches it, so it counts as healthy. Envoy has no word for an endpoint that is about to go. */
function selectHealth(endpoint: Endpoint): HealthStatus | undefined {
  if (isDraining(endpoint)) return "DRAINING";
  if (endpoint.health === "UNKNOWN") return undefined;
  return endpoint.health === "TERMINATING" ? "UNHEALTHY" : endpoint.health;
}

/** True where the endpoint finishes its sessions and takes no new ones. */
export function isDraining(endpoint: Endpoint): boolean {
  return endpoint.health === "DRAINING" || (endpoint.labels[drainingLabel] ?? "") !== "";
}

/** "workload;namespace;canonical name;canonical revision;cluster": what clients report of servers they cannot reach. */
function formatWorkload(endpoint: Endpoint): string {
  const name = firstLabel(endpoint, nameLabels) ?? endpoint.workloadName;
  const revision = firstLabel(endpoint, revisionLabels) ?? defaultRevision;
  const shown = revision === defaultRevision ? "" : revision;
  return [endpoint.workloadName, endpoint.namespace, name, shown, endpoint.clusterId].join(";");
}

function firstLabel({ labels }: Endpoint, names: readonly string[]): string | undefined {
  return names.map((name) => labels[name]).find((value) => value !== undefined);
}
