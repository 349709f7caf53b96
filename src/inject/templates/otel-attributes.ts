import { annotation } from "../annotation-names.ts";
import { nameOf, textField } from "../pod-fields.ts";
import type { TemplateData } from "./template-data.ts";

/**
 * OTEL_RESOURCE_ATTRIBUTES, where a tracing provider of the mesh asks for OpenTelemetry's conventions for services in
 * Kubernetes (serviceAttributeEnrichment OTEL_SEMANTIC_CONVENTIONS); "" otherwise.
 */
export function otelAttributes({ mesh, annotations, labels, owner, containers }: TemplateData): string {
  const isWanted = mesh.extensionProviders.some(
    ({ opentelemetry }) => opentelemetry?.serviceAttributeEnrichment === "OTEL_SEMANTIC_CONVENTIONS",
  );
  if (!isWanted) return "";
  const [first] = containers;
  const only = containers.length === 1 ? first : undefined;
  const firstSaid = (...texts: readonly (string | undefined)[]) => texts.find((text) => (text ?? "") !== "") ?? "";
  const attributes = [
    ["service.namespace", firstSaid(annotations[annotation.otelNamespace], owner.namespace)],
    [
      "service.version",
      firstSaid(
        annotations[annotation.otelVersion],
        labels["app.kubernetes.io/version"],
        only && versionOfImage(textField(only, "image")),
      ),
    ],
    [
      "service.instance.id",
      // The kubelet puts the name in: that of a controller's pod is not known yet.
      firstSaid(annotations[annotation.otelInstance], first && `${owner.namespace}.$(POD_NAME).${nameOf(first)}`),
    ],
  ];
  return attributes.flatMap(([name, value]) => (value === "" ? [] : [`${name}=${value}`])).join(",");
}

/** Tag and digest of an image "registry:port/name:tag@digest". */
function versionOfImage(image: string): string {
  const [named = "", digest = ""] = image.split("@", 2);
  const colon = named.lastIndexOf(":");
  const tag = colon > named.lastIndexOf("/") ? named.slice(colon + 1) : "";
  return [tag, digest].filter((part) => part !== "").join("@");
}
