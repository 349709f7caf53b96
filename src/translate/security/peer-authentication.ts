/**
 * Which mutual TLS a workload or a service takes, by PeerAuthentication. Narrower objects win: mesh (root namespace,
 * no selector), namespace (no selector), workload; of equals the oldest (Istio: security/authn/policy_applier.go and
 * model/authentication.go).
 */
import type { Labels } from "../../api/object.ts";
import { labelsMatch } from "../../api/object.ts";
import type { PeerAuthentication } from "../../api/peer-authentication/schema.ts";
import { memoByIdentity } from "../../lib/memo.ts";
import type { Snapshot } from "../../snapshot/snapshot.ts";

export type MtlsMode = "DISABLE" | "PERMISSIVE" | "STRICT";

/** What a workload takes: `mode` on all ports but those in `ports`. */
export interface WorkloadMtls {
  readonly mode: MtlsMode;
  readonly ports: ReadonlyMap<number, MtlsMode>;
}

interface NamespacePolicies {
  readonly mode: MtlsMode | undefined;
  readonly forWorkloads: readonly PeerAuthentication[];
}

interface PolicyIndex {
  readonly meshMode: MtlsMode | undefined;
  readonly namespaces: ReadonlyMap<string, NamespacePolicies>;
}

const noPorts: ReadonlyMap<number, MtlsMode> = new Map();
const plain: { readonly [mode in MtlsMode]: WorkloadMtls } = {
  DISABLE: { mode: "DISABLE", ports: noPorts },
  PERMISSIVE: { mode: "PERMISSIVE", ports: noPorts },
  STRICT: { mode: "STRICT", ports: noPorts },
};

/**
 * What a service of a namespace most likely takes, by policies of its namespace and of the mesh alone: a hint for
 * clients, since policies for single workloads speak of ports of workloads and not of services.
 */
export function inferNamespaceMtlsMode(snapshot: Snapshot, namespace: string): MtlsMode {
  const index = findIndex(snapshot);
  return index.namespaces.get(namespace)?.mode ?? index.meshMode ?? "PERMISSIVE";
}

/** What a workload takes; `labels` are those of the workload. Without any object it takes both (PERMISSIVE). */
export function findWorkloadMtls(snapshot: Snapshot, namespace: string, labels: Labels): WorkloadMtls {
  const base = inferNamespaceMtlsMode(snapshot, namespace);
  const candidates = findIndex(snapshot).namespaces.get(namespace)?.forWorkloads ?? [];
  const policy = candidates.find(({ spec }) => labelsMatch(spec.selector?.matchLabels ?? {}, labels));
  if (policy === undefined) return plain[base];
  const mode = parseMode(policy.spec.mtls?.mode) ?? base;
  const ports = new Map<number, MtlsMode>();
  for (const [port, setting] of Object.entries(policy.spec.portLevelMtls ?? {})) {
    ports.set(Number(port), parseMode(setting.mode) ?? mode);
  }
  return ports.size === 0 ? plain[mode] : { mode, ports };
}

/** The mode of one port of the workload itself (not of a service). */
export function findPortMtlsMode(mtls: WorkloadMtls, port: number): MtlsMode {
  return mtls.ports.get(port) ?? mtls.mode;
}

function findIndex(snapshot: Snapshot): PolicyIndex {
  return indexPolicies(snapshot.peerAuthentications, snapshot.mesh.rootNamespace ?? "istio-system");
}

const indexPolicies = memoByIdentity((policies: readonly PeerAuthentication[], rootNamespace: string): PolicyIndex => {
  const modes = new Map<string, MtlsMode>();
  const seen = new Set<string>();
  const forWorkloads = new Map<string, PeerAuthentication[]>();
  for (const policy of policies) {
    const { namespace } = policy.meta;
    if (Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0) {
      // In the root namespace a selector selects nothing: Istio takes only whole-mesh policies from there.
      if (namespace !== rootNamespace) forWorkloads.set(namespace, [...(forWorkloads.get(namespace) ?? []), policy]);
      continue;
    }
    if (seen.has(namespace)) continue;
    seen.add(namespace);
    const mode = parseMode(policy.spec.mtls?.mode);
    if (mode !== undefined) modes.set(namespace, mode);
  }
  const names = new Set([...modes.keys(), ...forWorkloads.keys()]);
  return {
    meshMode: modes.get(rootNamespace),
    namespaces: new Map(
      [...names].map((name) => [name, { mode: modes.get(name), forWorkloads: forWorkloads.get(name) ?? [] }]),
    ),
  };
});

/** UNSET, like an absent mode, leaves it to the wider policy. */
function parseMode(mode: string | undefined): MtlsMode | undefined {
  return mode === "DISABLE" || mode === "PERMISSIVE" || mode === "STRICT" ? mode : undefined;
}
