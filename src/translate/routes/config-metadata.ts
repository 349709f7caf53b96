import { struct } from "@meltemi/protos";
import type { Metadata } from "@meltemi/protos/envoy/config/core/v3";
import type { ObjectRef } from "../../lib/message.ts";

/** Metadata that names the networking object behind a part (kind in kebab case), as telemetry and istioctl expect it. */
export function configMetadata(ref: ObjectRef): Metadata {
  const kind = ref.kind.replaceAll(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
  const config = `/apis/networking.istio.io/v1/namespaces/${ref.namespace}/${kind}/${ref.name}`;
  return { filter_metadata: { istio: struct({ config }) } };
}
