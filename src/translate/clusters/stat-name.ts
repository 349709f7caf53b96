import type { Service } from "../../model/service.ts";

/** What a pattern for names of statistics may refer to. `subset` is "", `targetPort` 0 where there is none. */
export interface StatNameParts {
  readonly service: Pick<Service, "hostname" | "name" | "namespace" | "registry">;
  readonly port: { readonly number: number; readonly name: string };
  readonly subset: string;
  readonly targetPort: number;
}

/** Envoy's name of a cluster in statistics ends with ";", so that tags are cut out of it without guessing. */
export function formatStatName(name: string): string {
  return `${name};`;
}

/** Fills in a pattern of the mesh, such as "%SERVICE%_%SUBSET_NAME%" (MeshConfig.outboundClusterStatName). */
export function expandStatName(pattern: string, { service, port, subset, targetPort }: StatNameParts): string {
  // Only services of Kubernetes have short names.
  const isKube = service.registry === "Kubernetes";
  const short = isKube ? `${service.name}.${service.namespace}` : service.hostname;
  return pattern
    .replaceAll("%SERVICE%", short)
    .replaceAll("%SERVICE_NAME%", isKube ? service.name : service.hostname)
    .replaceAll("%SERVICE_FQDN%", service.hostname)
    .replaceAll("%SERVICE_PORT%", String(port.number))
    .replaceAll("%SERVICE_PORT_NAME%", port.name)
    .replaceAll("%SUBSET_NAME%", subset)
    .replaceAll("%TARGET_PORT%", String(targetPort));
}
