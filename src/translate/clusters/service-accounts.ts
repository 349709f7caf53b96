import type { MeshConfig } from "../../api/mesh-config/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { Endpoint } from "../../model/endpoint.ts";
import type { Service } from "../../model/service.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";

const prefix = "spiffe://";
const identityOfAccount = /^spiffe:\/\/[^/]*(\/ns\/[^/]*\/sa\/[^/]*)$/;

/**
 * Names that servers of a service may prove: SPIFFE identities of its workloads, in the mesh's trust domain and its
 * aliases, and the names that the service's owner gave. Sorted, each once.
 */
export function listSubjectAltNames(snapshot: Snapshot, service: Service): readonly string[] {
  const endpoints = snapshot.endpoints.list(service.hostname, service.namespace);
  return collectNames(endpoints, service.subjectAltNames, snapshot.mesh);
}

const collectNames = memoByIdentity(
  (endpoints: readonly Endpoint[], given: readonly string[], mesh: MeshConfig): readonly string[] => {
    const names = new Set(given);
    for (const { namespace, serviceAccount } of endpoints) {
      if (serviceAccount === "") continue;
      const path = serviceAccount.startsWith(prefix) ? undefined : `/ns/${namespace}/sa/${serviceAccount}`;
      names.add(path === undefined ? serviceAccount : `${prefix}${mesh.trustDomain}${path}`);
    }
    for (const name of [...names]) {
      // Other identities may mean anything in another trust domain.
      const path = identityOfAccount.exec(name)?.[1];
      for (const alias of path === undefined ? [] : mesh.trustDomainAliases) names.add(`${prefix}${alias}${path}`);
    }
    return [...names].sort();
  },
);
