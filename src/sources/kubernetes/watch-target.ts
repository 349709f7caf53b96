/** What is watched: one list of the API server, of one kind and perhaps of one namespace or name. */
import type { Kind } from "../../api/kinds.ts";
import { findKindInfo } from "../../api/known-kinds.ts";
import { groupVersionPath, istioResources, kubeResources, type ResourceNames } from "../../api/resource-names.ts";

export interface WatchTarget {
  /** Unique among the targets: the kind, and what narrows it. */
  readonly id: string;
  readonly kind: Kind;
  /** "" for the core group. */
  readonly group: string;
  readonly plural: string;
  /** Versions that we read, the preferred one first. */
  readonly versions: readonly string[];
  /** Defined by a CustomResourceDefinition, so it may be missing, or served in other versions. */
  readonly isCustom: boolean;
  readonly namespace?: string;
  readonly fieldSelector?: string;
}

export interface TargetOptions {
  /** Kinds to watch; every kind that the API layer reads where not given. */
  readonly kinds?: readonly string[];
  /** Where ConfigMaps are watched. */
  readonly systemNamespace: string;
  /** Names of the ConfigMaps; all of the namespace where not given. */
  readonly configMapNames?: readonly string[];
  /** Names of ConfigMaps that are watched in every namespace, too. */
  readonly configMapsEverywhere?: readonly string[];
  /** Where Secrets are watched; nowhere else. */
  readonly secretNamespaces: readonly string[];
  /** The only namespace whose other objects are watched; all of them where not given. */
  readonly watchNamespace?: string;
}

/** Lists what is to be watched, those first whose absence would be misread as an empty mesh. */
export function listTargets(options: TargetOptions): readonly WatchTarget[] {
  const kube = Object.entries<ResourceNames>(kubeResources).flatMap(([kind, names]) => narrow(kind, names, options));
  const istio = Object.entries<ResourceNames>(istioResources).flatMap(([kind, names]) => narrow(kind, names, options));
  const isWanted = ({ kind }: WatchTarget): boolean => options.kinds === undefined || options.kinds.includes(kind);
  return [...kube, ...istio.map((target) => ({ ...target, isCustom: true }))].filter(isWanted);
}

function narrow(kind: string, names: ResourceNames, options: TargetOptions): readonly WatchTarget[] {
  const info = findKindInfo(kind);
  const versions = names.versions.filter((version) => info?.versions.includes(apiVersionOf(names.group, version)));
  if (info === undefined || versions.length === 0) return [];
  const { group, plural } = names;
  // findKindInfo knows only kinds that can be handed over.
  const target = { id: kind, kind: kind as Kind, group, plural, versions, isCustom: false };
  if (kind === "Secret") return [...new Set(options.secretNamespaces)].map((namespace) => within(target, namespace));
  if (kind === "ConfigMap") {
    const narrowed = within(target, options.systemNamespace);
    const named = (name: string): WatchTarget => ({
      ...narrowed,
      id: `${narrowed.id}/${name}`,
      fieldSelector: `metadata.name=${name}`,
    });
    const own = options.configMapNames === undefined ? [narrowed] : [...new Set(options.configMapNames)].map(named);
    // Gateways may take certificates of authorities from ConfigMaps, too. Where settings are read, all are read already.
    const isRead = (namespace: string): boolean =>
      options.configMapNames === undefined && namespace === options.systemNamespace;
    const more = [...new Set(options.secretNamespaces)].filter((namespace) => !isRead(namespace));
    const everywhere = (options.configMapsEverywhere ?? []).map((name) => ({
      ...target,
      id: `${target.id} ${name}`,
      fieldSelector: `metadata.name=${name}`,
    }));
    return [...own, ...more.map((namespace) => within(target, namespace)), ...everywhere];
  }
  return names.isNamespaced && options.watchNamespace !== undefined
    ? [within(target, options.watchNamespace)]
    : [target];
}

function within(target: WatchTarget, namespace: string): WatchTarget {
  return { ...target, id: `${target.id} in ${namespace}`, namespace };
}

/** "networking.istio.io/v1", or "v1" for the core group: as objects name it. */
export function apiVersionOf(group: string, version: string): string {
  return group === "" ? version : `${group}/${version}`;
}

/** Path of the target's list. */
export function pathOf({ group, plural, namespace }: WatchTarget, version: string): string {
  const within = namespace === undefined ? "" : `/namespaces/${namespace}`;
  return `${groupVersionPath(group, version)}${within}/${plural}`;
}

/** The resource as RBAC rules and CustomResourceDefinitions name it, such as "gateways.networking.istio.io". */
export function resourceNameOf({ group, plural }: WatchTarget): string {
  return group === "" ? plural : `${plural}.${group}`;
}

/** What narrows the list, for its query. */
export function selectorOf({ fieldSelector }: WatchTarget): Readonly<Record<string, string>> {
  return fieldSelector === undefined ? {} : { fieldSelector };
}
