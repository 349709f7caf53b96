import type { Caller } from "../lib/caller.ts";
import { formatSpiffeIdentity } from "../lib/spiffe.ts";
import type { Proxy as MeshProxy } from "./proxy.ts";

/**
 * Whose a stream is, proven by a credential that fits what the proxy says of itself (Istio: pilot/pkg/xds/auth.go). Nobody
 * can make one but `verify`: what asks for one, such as secrets, cannot be had by a claim, and never by a generator, whose
 * keys are claims.
 */
export class VerifiedIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
  // A private member makes the type nominal: no object literal passes for it.
  readonly #uri: string;

  private constructor({ identity }: Caller) {
    this.namespace = identity.namespace;
    this.serviceAccount = identity.serviceAccount;
    this.#uri = formatSpiffeIdentity(identity);
  }

  /**
   * The caller's identity, where namespace and service account are those of the proxy; a proxy that names no service account
   * is taken at its namespace. A text says why not.
   */
  static verify({ namespace, serviceAccount }: MeshProxy, caller: Caller): VerifiedIdentity | string {
    const { identity } = caller;
    const fits =
      identity.namespace === namespace && (serviceAccount === "" || identity.serviceAccount === serviceAccount);
    if (fits) return new VerifiedIdentity(caller);
    return `no identities ([${formatSpiffeIdentity(identity)}]) matched ${namespace}/${serviceAccount}`;
  }

  toString(): string {
    return this.#uri;
  }
}
