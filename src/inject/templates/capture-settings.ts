/** Which traffic of a pod is captured: said by its annotations, else by the mesh. */
import type { PlainObject } from "../../api/plain-value.ts";
import { annotation } from "../annotation-names.ts";
import { defined } from "../pod-fields.ts";
import { appendMultusNetwork } from "./multus-network.ts";
import type { TemplateData } from "./template-data.ts";

export interface CaptureSettings {
  readonly mode: string;
  readonly includeIpRanges: string;
  readonly excludeIpRanges: string;
  readonly includeInboundPorts: string;
  /** With the port of the agent's status server. */
  readonly excludeInboundPorts: string;
  /** Undefined where neither pod nor mesh says any. */
  readonly includeOutboundPorts: string | undefined;
  readonly excludeOutboundPorts: string | undefined;
  readonly virtualInterfaces: string | undefined;
  readonly excludeInterfaces: string | undefined;
}

export const interceptionMode = ({ annotations, proxyConfig }: TemplateData): string =>
  annotations[annotation.interceptionMode] ?? proxyConfig.interceptionMode ?? "REDIRECT";

export const statusPort = ({ annotations, values }: TemplateData): string =>
  (annotations[annotation.statusPort] ?? String(values.proxy.statusPort)).trim();

export function deriveCapture(data: TemplateData): CaptureSettings {
  const { annotations, values } = data;
  const { proxy } = values;
  const ports = (name: string, byDefault: string) => annotations[name] ?? (byDefault === "" ? undefined : byDefault);
  return {
    mode: interceptionMode(data),
    includeIpRanges: annotations[annotation.includeOutboundIpRanges] ?? proxy.includeIpRanges,
    excludeIpRanges: annotations[annotation.excludeOutboundIpRanges] ?? proxy.excludeIpRanges,
    includeInboundPorts: annotations[annotation.includeInboundPorts] ?? proxy.includeInboundPorts,
    excludeInboundPorts: addPort(
      statusPort(data),
      annotations[annotation.excludeInboundPorts] ?? proxy.excludeInboundPorts,
    ),
    includeOutboundPorts: ports(annotation.includeOutboundPorts, proxy.includeOutboundPorts),
    excludeOutboundPorts: ports(annotation.excludeOutboundPorts, proxy.excludeOutboundPorts),
    virtualInterfaces: annotations[annotation.virtualInterfaces] ?? annotations[annotation.kubevirtInterfaces],
    excludeInterfaces: annotations[annotation.excludeInterfaces],
  };
}

/** Adds a port to a comma-separated list that does not have it; 0 is none. */
function addPort(port: string, list: string): string {
  if (port === "" || port === "0") return list;
  const ports = list.split(",");
  if (ports.includes(port)) return list;
  return [...ports.map((item) => item.trim()).filter((item) => item !== ""), port].join(",");
}

/** What the CNI plugin, which sees annotations alone, has to know. */
export function cniAnnotations(data: TemplateData): PlainObject {
  const { annotations, values } = data;
  const capture = deriveCapture(data);
  const unlessBlank = (text: string | undefined) => (text === "" ? undefined : text);
  return defined({
    [annotation.networks]:
      values.cni.provider === "multus"
        ? appendMultusNetwork(annotations[annotation.networks] ?? "", { namespace: "default", name: "istio-cni" })
        : undefined,
    [annotation.interceptionMode]: capture.mode,
    [annotation.includeOutboundIpRanges]: unlessBlank(capture.includeIpRanges),
    [annotation.excludeOutboundIpRanges]: unlessBlank(capture.excludeIpRanges),
    [annotation.includeInboundPorts]: capture.includeInboundPorts,
    [annotation.excludeInboundPorts]: capture.excludeInboundPorts,
    [annotation.includeOutboundPorts]: capture.includeOutboundPorts,
    [annotation.excludeOutboundPorts]: capture.excludeOutboundPorts,
  });
}
