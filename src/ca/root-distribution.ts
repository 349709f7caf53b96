/**
 * Which ConfigMaps tell the namespaces of the mesh whom to trust, and what has to be written for them to be right (row A10;
 * Istio: pilot/pkg/serviceregistry/kube/controller/namespacecontroller.go). Pure.
 */

/** Namespaces of Kubernetes in which nothing of the mesh runs; kube-system is none of them, as in istiod. */
const leftOut: ReadonlySet<string> = new Set(["kube-public", "kube-node-lease", "local-path-storage"]);

export const isServedNamespace = (name: string): boolean => !leftOut.has(name);

/** A ConfigMap as it has to be in every namespace. */
export interface DistributedText {
  /** Name of the ConfigMap. */
  readonly name: string;
  /** The key in it that is ours; others in it are left alone. */
  readonly key: string;
  readonly text: string;
  /** Where there is none, none is made; one that is there is kept right. */
  readonly isMade: boolean;
}

/** A ConfigMap as it is. */
export interface FoundConfigMap {
  readonly labels: Readonly<Record<string, string>>;
  readonly data: Readonly<Record<string, string>>;
}

export type ConfigMapWrite =
  | { readonly kind: "create"; readonly body: object }
  /** A merge patch. */
  | { readonly kind: "patch"; readonly body: object };

const label = "istio.io/config";

/** What brings it into the wanted state; undefined where nothing is to be done. */
export function planConfigMap(
  { name, key, text, isMade }: DistributedText,
  namespace: string,
  found: FoundConfigMap | undefined,
): ConfigMapWrite | undefined {
  const [labels, data] = [{ [label]: "true" }, { [key]: text }];
  if (found === undefined) {
    const metadata = { name, namespace, labels };
    return isMade ? { kind: "create", body: { apiVersion: "v1", kind: "ConfigMap", metadata, data } } : undefined;
  }
  const isRight = found.data[key] === text && found.labels[label] === "true";
  return isRight ? undefined : { kind: "patch", body: { metadata: { labels }, data } };
}
