import type { Findings } from "./findings.ts";
import { createFieldReader, type FieldReader } from "./kubernetes/fields.ts";
import type { ObjectMeta } from "./object.ts";

/** Names of most objects: a DNS subdomain of 253 characters at most. */
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** RFC 3339, as Go's decoder of metav1.Time takes it. */
const timestamp =
  /^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3])(:[0-5][0-9]){2}([.,][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$/;
const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * Reads `metadata` of a raw object. Types are checked of every field, as Go's decoder does in istiod's webhook; names are
 * checked by the API server's rules, which istiod leaves to the API server (only its Gateways must be DNS labels). Objects of namespaced kinds without a namespace are in "default", as kubectl does.
 * `name` is "" where it is missing (and reported).
 */
export function parseMetadata(raw: unknown, isNamespaced: boolean, findings: Findings): ObjectMeta {
  const metadata = createFieldReader(raw, [], findings).object("metadata");
  checkTypes(metadata, findings);
  const name = metadata.text("name") ?? "";
  if (name === "") findings.error(["metadata", "name"], "is required", "required");
  else if (name.length > 253 || !subdomain.test(name)) {
    findings.error(
      ["metadata", "name"],
      `"${name.slice(0, 300)}" is not a valid name: lower-case letters, digits, "-" and "."`,
      "name",
    );
  }
  const given = metadata.text("namespace") ?? "";
  const namespace = isNamespaced ? given || "default" : "";
  if (isNamespaced && !dnsLabel.test(namespace)) {
    findings.error(["metadata", "namespace"], `"${namespace.slice(0, 100)}" is not a valid namespace`, "name");
  }
  const [creationTimestamp, resourceVersion, uid] = [
    metadata.text("creationTimestamp"),
    metadata.text("resourceVersion"),
    metadata.text("uid"),
  ];
  const generation = metadata.textOrNumber("generation");
  if (typeof generation === "string") {
    findings.error(["metadata", "generation"], "must be a number, not a string", "wrong-type");
  }
  return {
    name,
    namespace,
    labels: metadata.labels("labels") ?? {},
    annotations: metadata.labels("annotations") ?? {},
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
    ...(uid === undefined ? {} : { uid }),
    ...(typeof generation === "number" ? { generation } : {}),
  };
}

/** Fields that the mesh has no use for, but that no object can have with another type. */
function checkTypes(metadata: FieldReader, findings: Findings): void {
  for (const field of ["creationTimestamp", "deletionTimestamp"]) {
    const time = metadata.text(field);
    if (time !== undefined && !timestamp.test(time)) {
      findings.error([...metadata.path, field], `"${time.slice(0, 100)}" is not a time as in RFC 3339`, "time");
    }
  }
  for (const field of ["generateName", "selfLink"]) metadata.text(field);
  metadata.texts("finalizers");
  for (const field of ["ownerReferences", "managedFields"]) metadata.objects(field);
}
