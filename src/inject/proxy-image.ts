import type { ProxyConfig } from "../api/mesh-config/schema.ts";
import type { Labels } from "../api/object.ts";
import { annotation } from "./annotation-names.ts";
import type { InjectionValues } from "./injection-values.ts";

/** Types that are published; a tag that already names one gets the other in its place. */
const knownTypes = ["distroless", "debug"];

export interface ImageChoice {
  readonly values: InjectionValues;
  readonly annotations: Labels;
}

/** Builds the image "<hub>/<name>:<tag>-<type>"; the type is said by the pod, else by its ProxyConfig, else by the mesh. */
export function buildProxyImage({ values, annotations }: ImageChoice, proxyConfig: ProxyConfig): string {
  return buildImage(values.proxy.image, { values, annotations }, proxyConfig.image?.imageType ?? "");
}

/** The same for the container that redirects traffic, which no ProxyConfig speaks of. */
export function buildInitImage({ values, annotations }: ImageChoice): string {
  return buildImage(values.proxyInit.image, { values, annotations }, "");
}

function buildImage(name: string, { values, annotations }: ImageChoice, imageType: string): string {
  const type = annotations[annotation.proxyImageType] ?? (imageType === "" ? values.variant : imageType);
  return `${values.hub}/${name === "" ? "proxyv2" : name}:${withType(values.tag, type)}`;
}

function withType(tag: string, type: string): string {
  if (type === "") return tag;
  const known = knownTypes.find((name) => tag.endsWith(`-${name}`));
  const plain = known === undefined ? tag : tag.slice(0, -known.length - 1);
  return type === "default" ? plain : `${plain}-${type}`;
}
