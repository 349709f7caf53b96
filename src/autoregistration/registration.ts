/** Which workload entry a proxy outside Kubernetes stands for, and whether it may (Istio: pilot/pkg/autoregistration). */
import { parseText } from "../model/node.ts";
import type { Proxy as MeshProxy } from "../model/proxy.ts";
import type { VerifiedIdentity } from "../model/verified-identity.ts";

/** What operators switch on and off. */
export interface RegistrationSettings {
  /** PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION */
  readonly registersProxies: boolean;
  /** PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS */
  readonly takesHealth: boolean;
  /** ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY */
  readonly checksIdentity: boolean;
}

/** "group": the entry is made from a group; "entry": somebody wrote it, and the proxy names it. */
export interface Registration {
  readonly kind: "group" | "entry";
  readonly namespace: string;
  /** Name of the entry. */
  readonly name: string;
  /** Name of the group; "" where the proxy names an entry. */
  readonly group: string;
}

/** Longest name of an object, in characters. */
const maxNameLength = 253;

/**
 * The entry that a proxy stands for by its metadata (AUTO_REGISTER_GROUP, WORKLOAD_ENTRY, NAMESPACE, NETWORK); undefined
 * where it asks for none. The name of one that is made is the group's, the address and the network, joined by "-"; one
 * that is too long loses its beginning.
 */
export function describeRegistration(proxy: MeshProxy, settings: RegistrationSettings): Registration | undefined {
  const { metadata, addresses, network } = proxy;
  const [namespace, group, entry] = ["NAMESPACE", "AUTO_REGISTER_GROUP", "WORKLOAD_ENTRY"].map((name) =>
    parseText(metadata[name]),
  ) as [string, string, string];
  // The namespace has to be said: the one of the domain is a guess.
  if (settings.registersProxies && group !== "") {
    const [address = ""] = addresses;
    if (namespace === "" || address === "") return undefined;
    const parts = [group, address.replaceAll(":", "-"), ...(network === "" ? [] : [network])];
    return { kind: "group", namespace, name: parts.join("-").slice(-maxNameLength), group };
  }
  if (!settings.takesHealth || entry === "" || namespace === "") return undefined;
  return { kind: "entry", namespace, name: entry, group: "" };
}

/**
 * Why somebody may not stand for an entry; undefined where they may: their identity has to be proven, of the entry's
 * namespace and, where the entry has one, of its service account.
 */
export function checkIdentity(
  identity: VerifiedIdentity | undefined,
  entry: { readonly namespace: string; readonly serviceAccount?: string | undefined },
): string | undefined {
  if (identity === undefined) return "a workload needs a verified identity to be registered";
  if (identity.namespace !== entry.namespace) {
    return `a workload of namespace "${identity.namespace}" cannot be registered in "${entry.namespace}"`;
  }
  const wanted = entry.serviceAccount ?? "";
  if (wanted === "" || identity.serviceAccount === wanted) return undefined;
  return `a workload with service account "${identity.serviceAccount}" cannot be registered as "${wanted}"`;
}
