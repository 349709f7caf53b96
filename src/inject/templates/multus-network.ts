/** The annotation k8s.v1.cni.cncf.io/networks: names with commas between them, or a JSON list of objects. */

import { parseJson } from "../parse-json.ts";
import { field, isList, isObject } from "../pod-fields.ts";

interface Network {
  readonly namespace: string;
  readonly name: string;
}

/** Adds a network that is not yet there, in the form that the annotation has. One that is no list of networks stays. */
export function appendMultusNetwork(existing: string, network: Network): string {
  const short = `${network.namespace}/${network.name}`;
  if (existing.trim() === "") return short;
  if (!existing.includes("]")) {
    return existing.split(",").some((item) => item.trim() === short) ? existing : `${existing}, ${short}`;
  }
  const parsed = parseJson(existing);
  if (!isList(parsed)) return existing;
  const isThere = parsed.some(
    (item) =>
      isObject(item) && field(item, "name") === network.name && (field(item, "namespace") ?? "") === network.namespace,
  );
  const end = existing.lastIndexOf("]");
  const added = JSON.stringify({ name: network.name, namespace: network.namespace });
  const separator = parsed.length === 0 ? "" : ", ";
  return isThere ? existing : `${existing.slice(0, end)}${separator}${added}${existing.slice(end)}`;
}
