/** Which credentials a gateway will wait for in vain: those that its Gateways name and its namespace does not have. */
import type { Gateway } from "../../api/gateway/schema.ts";
import { refOf } from "../../api/object.ts";
import type { Message } from "../../lib/message.ts";
import { parseCredentialReference } from "../../model/credential-grant.ts";
import type { ScopeView } from "../scope.ts";
import { buildCredentialCertificate, buildCredentialRoots } from "./sds.ts";

type ServerTls = NonNullable<NonNullable<Gateway["spec"]["servers"]>[number]["tls"]>;

/** A credential is looked for where the gateway runs, which need not be where its Gateway object is. */
export function listCredentialMessages(view: ScopeView): readonly Message[] {
  return view.gateways.flatMap((gateway) =>
    (gateway.spec.servers ?? []).flatMap(({ tls }, index) =>
      listAsked(tls).flatMap(({ name, field }) => {
        const fault = findFault(view, name);
        if (fault === undefined) return [];
        const position = gateway.position === undefined ? {} : { position: gateway.position };
        return [
          {
            level: "warning" as const,
            code: "missing-credential",
            object: refOf(gateway),
            path: `spec.servers[${index}].tls.${field}`,
            text: `gateways in namespace ${view.key.namespace} wait for ${name}: ${fault}`,
            ...position,
          },
        ];
      }),
    ),
  );
}

interface Asked {
  /** As the proxy asks. */
  readonly name: string;
  readonly field: string;
}

/** What the TLS of a server makes the proxy ask the control plane for. */
function listAsked(tls: ServerTls | undefined): readonly Asked[] {
  const { mode, credentialName = "", credentialNames = [], caCertCredentialName = "" } = tls ?? {};
  const validates = mode === "MUTUAL" || mode === "OPTIONAL_MUTUAL";
  if (mode !== "SIMPLE" && !validates) return [];
  const given =
    credentialNames.length > 0
      ? credentialNames.map((credential, index) => ({ credential, field: `credentialNames[${index}]` }))
      : [{ credential: credentialName, field: "credentialName" }];
  const named = given.filter(({ credential }) => credential !== "");
  const [first] = named;
  const certificates = named.map(({ credential, field }) => ({
    name: buildCredentialCertificate(credential).name ?? "",
    field,
  }));
  if (!validates || first === undefined) return certificates;
  const roots =
    caCertCredentialName === ""
      ? { name: buildCredentialRoots(first.credential).name ?? "", field: first.field }
      : { name: buildCredentialCertificate(caCertCredentialName).name ?? "", field: "caCertCredentialName" };
  return [...certificates, roots];
}

/** Undefined where all is well, and for what the workload itself brings. */
function findFault({ snapshot, key }: ScopeView, name: string): string | undefined {
  if (name === "default" || name === "ROOTCA") return undefined;
  const reference = parseCredentialReference(name, key.namespace);
  if (typeof reference === "string") return reference;
  if (reference.kind !== "configMap" && reference.namespace !== key.namespace) return "it is in another namespace";
  return snapshot.credentials.findFault(reference);
}
