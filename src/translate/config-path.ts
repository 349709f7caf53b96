import type { ObjectRef } from "../lib/message.ts";

/** Path of a networking object (kind in kebab case), by which telemetry and istioctl name what shaped a resource. */
export function formatConfigPath({ kind, namespace, name }: ObjectRef): string {
  const kebab = kind.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
  return `/apis/networking.istio.io/v1/namespaces/${namespace}/${kebab}/${name}`;
}
