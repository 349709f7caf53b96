import { struct } from "@meltemi/protos";
import type { Metadata } from "@meltemi/protos/envoy/config/core/v3";
import type { ObjectRef } from "../../lib/message.ts";

/** Metadata that names the VirtualService behind a part, as telemetry and istioctl expect it. */
export function configMetadata(ref: ObjectRef): Metadata {
  const config = `/apis/networking.istio.io/v1/namespaces/${ref.namespace}/virtual-service/${ref.name}`;
  return { filter_metadata: { istio: struct({ config }) } };
}
