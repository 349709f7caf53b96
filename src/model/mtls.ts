import { compareByAge, type Labels, labelsMatch, type ObjectMeta } from "../api/object.ts";
import { memoByIdentity } from "../lib/memo.ts";

/** How a workload takes connections on a port. */
export type MtlsMode = "DISABLE" | "PERMISSIVE" | "STRICT";

type StatedMode = { readonly mode?: "UNSET" | MtlsMode };

/** The part of a PeerAuthentication that decides. */
export interface MtlsPolicy {
  readonly meta: ObjectMeta;
  readonly spec: {
    readonly selector?: { readonly matchLabels?: Labels };
    readonly mtls?: StatedMode;
    readonly portLevelMtls?: { readonly [port: string]: StatedMode };
  };
}

/** What policies are asked about: a whole namespace, or (with labels) a workload of it. */
export interface MtlsScope {
  readonly namespace: string;
  readonly rootNamespace: string;
}
export interface MtlsSubject extends MtlsScope {
  /** Labels of the workload. */
  readonly labels: Labels;
}

/** What holds for a workload: `ports` are exceptions by number of the workload's port. */
export interface MtlsModes<Policy extends MtlsPolicy = MtlsPolicy> {
  readonly mode: MtlsMode;
  readonly ports: ReadonlyMap<number, MtlsMode>;
  /** The policies that were read, the widest first: mesh, namespace, workload. */
  readonly policies: readonly Policy[];
}

/**
 * Evaluates peer authentication (Istio: security/authn ComposePeerAuthentication): the policy of the mesh (root namespace,
 * no selector) is overridden by that of the namespace and this by that of the workload; of several of one level the oldest
 * counts; what is unset is inherited, and PERMISSIVE in the end. Only a workload's policy has ports of its own. The list
 * is looked through once: ask with the same one (Snapshot.peerAuthentications) for every workload.
 */
export function evaluateMtls<Policy extends MtlsPolicy>(
  policies: readonly Policy[],
  subject: MtlsSubject,
): MtlsModes<Policy> {
  const chosen: Policy[] = listGeneralPolicies(policies, subject);
  let mode = foldModes(chosen);
  const ports = new Map<number, MtlsMode>();
  // In the root namespace a selector selects nothing, not even workloads of that namespace.
  const workload = subject.namespace === subject.rootNamespace ? undefined : findWorkloadPolicy(policies, subject);
  if (workload !== undefined) {
    chosen.push(workload);
    mode = resolveMode(workload.spec.mtls, mode);
    for (const [port, stated] of Object.entries(workload.spec.portLevelMtls ?? {})) {
      ports.set(Number(port), resolveMode(stated, mode));
    }
  }
  return { mode, ports, policies: chosen };
}

/**
 * What a service of a namespace most likely takes, by policies of its namespace and of the mesh alone: a hint for
 * clients, since policies for single workloads speak of ports of workloads and not of services.
 */
export function inferNamespaceMtls(policies: readonly MtlsPolicy[], scope: MtlsScope): MtlsMode {
  return foldModes(listGeneralPolicies(policies, scope));
}

/** The mode on one port of the workload (not of a service). */
export function modeOfPort(modes: MtlsModes, port: number): MtlsMode {
  return modes.ports.get(port) ?? modes.mode;
}

interface NamespacePolicies<Policy> {
  /** The oldest without a selector. */
  general: Policy | undefined;
  /** Those with a selector, oldest first. */
  readonly selecting: Policy[];
}

const indexByNamespace = memoByIdentity(
  (policies: readonly MtlsPolicy[]): ReadonlyMap<string, NamespacePolicies<MtlsPolicy>> => {
    const index = new Map<string, NamespacePolicies<MtlsPolicy>>();
    for (const policy of [...policies].sort(compareByAge)) {
      const { namespace } = policy.meta;
      const ofNamespace = index.get(namespace) ?? { general: undefined, selecting: [] };
      index.set(namespace, ofNamespace);
      if (Object.keys(policy.spec.selector?.matchLabels ?? {}).length > 0) ofNamespace.selecting.push(policy);
      else ofNamespace.general ??= policy;
    }
    return index;
  },
);

/** The policies without a selector that hold, the widest first. */
function listGeneralPolicies<Policy extends MtlsPolicy>(policies: readonly Policy[], scope: MtlsScope): Policy[] {
  const names = new Set([scope.rootNamespace, scope.namespace]);
  return [...names].flatMap((name) => findNamespace(policies, name)?.general ?? []);
}

function findWorkloadPolicy<Policy extends MtlsPolicy>(
  policies: readonly Policy[],
  { namespace, labels }: MtlsSubject,
): Policy | undefined {
  const selecting = findNamespace(policies, namespace)?.selecting ?? [];
  return selecting.find(({ spec }) => labelsMatch(spec.selector?.matchLabels ?? {}, labels));
}

/** The index holds exactly the given policies, so it may be read as one of their own type. */
function findNamespace<Policy extends MtlsPolicy>(
  policies: readonly Policy[],
  namespace: string,
): NamespacePolicies<Policy> | undefined {
  return indexByNamespace(policies).get(namespace) as NamespacePolicies<Policy> | undefined;
}

function foldModes(policies: readonly MtlsPolicy[]): MtlsMode {
  return policies.reduce<MtlsMode>((inherited, { spec }) => resolveMode(spec.mtls, inherited), "PERMISSIVE");
}

function resolveMode(stated: StatedMode | undefined, inherited: MtlsMode): MtlsMode {
  return stated?.mode === undefined || stated.mode === "UNSET" ? inherited : stated.mode;
}
