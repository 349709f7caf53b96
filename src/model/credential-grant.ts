/**
 * Names of credentials in SDS, and who may have them (Istio: pilot/pkg/model/credentials/resource.go, pilot/pkg/xds/sds.go
 * filterAuthorizedResources).
 */
import type { VerifiedIdentity } from "./verified-identity.ts";

const caSuffix = "-cacert";

/** What a resource name stands for. */
export interface CredentialReference {
  /** The name that the proxy asks by. */
  readonly resourceName: string;
  /** kubernetes://[NAMESPACE/]NAME, kubernetes-gateway://NAMESPACE/NAME, configmap://NAMESPACE/NAME. */
  readonly kind: "secret" | "gatewaySecret" | "configMap";
  readonly namespace: string;
  /** With the suffix, where there is one. */
  readonly name: string;
  /** The name of the object that `name` stands for without its suffix "-cacert". */
  readonly plainName: string;
  /** Certificates to check others with, and no key. */
  readonly isRoots: boolean;
}

const prefixes = [
  ["kubernetes://", "secret"],
  ["kubernetes-gateway://", "gatewaySecret"],
  ["configmap://", "configMap"],
] as const;

/** Reads a resource name; the text says what is wrong with it. Without a namespace in it that of the proxy is meant. */
export function parseCredentialReference(resourceName: string, ownNamespace: string): CredentialReference | string {
  const [prefix, kind] = prefixes.find(([start]) => resourceName.startsWith(start)) ?? [];
  if (prefix === undefined || kind === undefined) return "it is no name of a credential";
  const [first = "", second] = resourceName.slice(prefix.length).split("/");
  if (second === undefined && kind !== "secret") return "it must name a namespace";
  const [namespace, name] = second === undefined ? [ownNamespace, first] : [first, second];
  if (namespace === "" || name === "") return "namespace or name is empty";
  const hasSuffix = name.endsWith(caSuffix);
  return {
    resourceName,
    kind,
    namespace,
    name,
    plainName: hasSuffix ? name.slice(0, -caSuffix.length) : name,
    isRoots: hasSuffix || kind === "configMap",
  };
}

export interface GrantQuestion {
  readonly identity: VerifiedIdentity;
  readonly reference: CredentialReference;
  /** Whether the identity's account may read Secrets of its namespace. */
  readonly mayReadSecrets: boolean;
  /** Names that Gateways of the proxy's own namespace refer to. */
  readonly verifiedReferences: ReadonlySet<string>;
}

/** The right of one identity to one credential. Contents of credentials are given for nothing else. */
export class CredentialGrant {
  readonly reference: CredentialReference;
  // Makes the type nominal, as does the private constructor: no object literal passes for a grant.
  readonly #identity: VerifiedIdentity;

  private constructor(reference: CredentialReference, identity: VerifiedIdentity) {
    this.reference = reference;
    this.#identity = identity;
  }

  /**
   * A Secret is for proxies of its own namespace whose account may read Secrets there; its certificates of authorities are
   * for all proxies of the namespace. One that a Gateway of the namespace refers to needs no more than that. ConfigMaps
   * are public. A text says why not.
   */
  static decide({ identity, reference, mayReadSecrets, verifiedReferences }: GrantQuestion): CredentialGrant | string {
    const granted = new CredentialGrant(reference, identity);
    switch (reference.kind) {
      case "configMap":
        return granted;
      case "gatewaySecret":
        return reference.namespace === identity.namespace && verifiedReferences.has(reference.resourceName)
          ? granted
          : "no Gateway of the proxy's namespace refers to it";
      case "secret":
        if (reference.namespace !== identity.namespace) return "it is in another namespace than the proxy";
        if (reference.isRoots || mayReadSecrets) return granted;
        return `service account ${identity.namespace}/${identity.serviceAccount} may not list secrets`;
    }
  }

  toString(): string {
    return `${this.reference.resourceName} for ${this.#identity.toString()}`;
  }
}
