import { formatCertificate, parseCertificates } from "../lib/certificate.ts";
import type { Clock } from "../lib/clock.ts";
import { formatSpiffeIdentity } from "../lib/spiffe.ts";
import type { Authority } from "./authority.ts";
import type { CertificateSigner } from "./certificate-signer.ts";
import { signLeaf } from "./leaf.ts";
import type { LiveAuthority } from "./live-authority.ts";

export interface AuthoritySignerOptions {
  readonly authority: Pick<LiveAuthority, "load">;
  readonly clock: Clock;
}

/**
 * Signs with the authority of this mesh as it is at that moment; who asks for another signer by name gets this one, as
 * from istiod without an external one.
 */
export function createAuthoritySigner({ authority, clock }: AuthoritySignerOptions): CertificateSigner {
  return {
    name: "authority of the mesh",
    async sign({ request, identity, lifetimeMs }, signal) {
      const current = await authority.load(signal);
      const { certificate, serialNumber, notAfterMs } = await signLeaf(current, {
        names: [{ type: "url", value: formatSpiffeIdentity(identity) }],
        publicKey: request.publicKey,
        lifetimeMs,
        nowMs: clock.now(),
      });
      return { chain: [certificate, ...listChain(current)], roots: current.roots, serialNumber, notAfterMs };
    },
  };
}

const chains = new WeakMap<Authority, readonly string[]>();

/** The certificates between leaf and root, one each. */
function listChain(authority: Authority): readonly string[] {
  const known = chains.get(authority);
  if (known !== undefined) return known;
  const chain = authority.chain === "" ? [] : parseCertificates(authority.chain, "the chain").map(formatCertificate);
  chains.set(authority, chain);
  return chain;
}
