/** Command line and image of the proxy's container, the same for sidecars and gateways. */
import type { PlainObject } from "../../api/plain-value.ts";
import { sortEntries } from "../../lib/text-order.ts";
import { annotation } from "../annotation-names.ts";
import { defined } from "../pod-fields.ts";
import type { TemplateData } from "./template-data.ts";

export type ProxyRole = "sidecar" | "router";

export function proxyImageOf({ annotations, values, proxyImage }: TemplateData): string {
  const named = annotations[annotation.proxyImage] ?? values.proxy.image;
  return named.includes("/") ? named : proxyImage;
}

export function proxyArguments(role: ProxyRole, data: TemplateData): readonly string[] {
  const { annotations, values } = data;
  const { proxy } = values;
  return [
    "proxy",
    role,
    "--domain",
    `$(POD_NAMESPACE).svc.${proxy.clusterDomain}`,
    `--proxyLogLevel=${annotations[annotation.logLevel] ?? proxy.logLevel}`,
    `--proxyComponentLogLevel=${annotations[annotation.componentLogLevel] ?? proxy.componentLogLevel}`,
    agentLogArgument(data),
    ...(values.stsPort === 0 ? [] : [`--stsPort=${values.stsPort}`]),
    ...(values.logAsJson ? ["--log_as_json"] : []),
  ];
}

export const agentLogArgument = ({ annotations, values }: TemplateData): string =>
  `--log_output_level=${annotations[annotation.agentLogLevel] ?? values.logLevel}`;

/** A variable with a fixed value. The API server leaves an empty value out, so it is none from the start. */
export const variable = (name: string, value: string): PlainObject =>
  defined({ name, value: value === "" ? undefined : value });

/** The variables that mesh, ProxyConfig objects and the pod's annotation ask for. */
export const proxyMetadata = ({ proxyConfig }: TemplateData): readonly PlainObject[] =>
  sortEntries(Object.entries(proxyConfig.proxyMetadata ?? {})).map(([name, value]) => variable(name, value));
