import type { Findings } from "./findings.ts";
import { createFieldReader } from "./kubernetes/fields.ts";
import type { ObjectMeta } from "./object.ts";

/** Names of most objects: a DNS subdomain of 253 characters at most. */
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const dnsLabel = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/**
 * Reads `metadata` of a raw object. Objects of namespaced kinds without a namespace are in "default", as kubectl does.
 * `name` is "" where it is missing (and reported).
 */
export function parseMetadata(raw: unknown, isNamespaced: boolean, findings: Findings): ObjectMeta {
  const metadata = createFieldReader(raw, [], findings).object("metadata");
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
