import type { Mesh, MeshSize } from "./mesh.ts";
import {
  buildNamespace,
  buildService,
  buildSidecar,
  buildSlice,
  buildVirtualService,
  clusterOf,
  hostOf,
  type ServiceName,
} from "./mesh-objects.ts";
import { listAddresses } from "./plain-mesh.ts";

export function scopeNamespace(scope: number): string {
  return `scope-${scope}`;
}

/** Namespaces (no more than proxies) whose Sidecar resource imports their own services and those of the next one. */
export function buildScopedMesh(size: MeshSize): Mesh {
  const scopes = countScopes(size);
  const services = Array.from({ length: size.services }, (_, index): ServiceName => {
    return { name: `svc-${index}`, namespace: scopeNamespace(index % scopes) };
  });
  const last: ServiceName = services.at(-1) ?? { name: "", namespace: "" };
  const namespaces = Array.from({ length: scopes }, (_, scope) => scopeNamespace(scope));
  return {
    objects: [
      ...namespaces.map(buildNamespace),
      ...namespaces.map((namespace, scope) =>
        buildSidecar(namespace, ["./*", `${scopeNamespace((scope + 1) % scopes)}/*`]),
      ),
      ...services.flatMap((service, index) => [
        buildService(service, index),
        buildSlice(service, listAddresses(index, size.endpoints)),
        buildVirtualService(service, { host: service.name, routeName: "api", destination: hostOf(service) }),
      ]),
    ],
    groups: namespaces.map((namespace, scope) => ({
      name: namespace,
      namespace,
      count: Math.floor((size.proxies + scopes - 1 - scope) / scopes),
    })),
    services,
    probe: {
      group: { name: last.namespace, namespace: last.namespace, count: 1 },
      condition: { type: "cds", marker: clusterOf(last) },
    },
  };
}

export function countScopes({ scopes, proxies, services }: MeshSize): number {
  return Math.max(1, Math.min(scopes, proxies, services));
}

/** Names of the groups of proxies that import services of a scope. */
export function importersOf(scope: number, size: MeshSize): readonly string[] {
  const scopes = countScopes(size);
  return [...new Set([scope, (scope + scopes - 1) % scopes])].map(scopeNamespace);
}
