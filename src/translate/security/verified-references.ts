import type { Gateway } from "../../api/gateway/schema.ts";
import { memoByKey } from "../../lib/slot-memo.ts";
import { parseCredentialReference } from "../../model/credential-grant.ts";
import { buildCredentialCertificate } from "./sds.ts";

/**
 * Names kubernetes-gateway://… that Gateways of a namespace refer to for Secrets of the same namespace, and for MUTUAL the
 * names of the roots that go with them (Istio: pilot/pkg/model/gateway.go, VerifiedCertificateReferences). The same set
 * for the same Gateways.
 */
export const listVerifiedReferences: (gateways: readonly Gateway[], namespace: string) => ReadonlySet<string> =
  memoByKey((gateways: readonly Gateway[], namespace) => {
    const own = gateways.filter(({ meta }) => meta.namespace === namespace);
    const names = own.flatMap(({ spec }) => (spec.servers ?? []).flatMap(({ tls }) => listReferences(tls, namespace)));
    return new Set(names);
  });

type ServerTls = NonNullable<NonNullable<Gateway["spec"]["servers"]>[number]["tls"]>;

function listReferences(tls: ServerTls | undefined, namespace: string): readonly string[] {
  const { credentialName = "", credentialNames = [], mode } = tls ?? {};
  const given = credentialNames.length > 0 ? credentialNames : [credentialName];
  return given.flatMap((credential) => {
    if (credential === "") return [];
    const { name = "" } = buildCredentialCertificate(credential);
    const reference = parseCredentialReference(name, namespace);
    if (typeof reference === "string" || reference.namespace !== namespace) return [];
    return mode === "MUTUAL" ? [name, `${name}-cacert`] : [name];
  });
}
