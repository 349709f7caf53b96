/** What is right about a configuration of webhooks of ours, validating or mutating, and the patch that makes it so. */
import { Buffer } from "node:buffer";
import { ownField, ownText } from "./admission-review.ts";

export type WebhookKind = "validating" | "mutating";

/** Where the API server keeps them. */
export const configurationPaths: { readonly [Kind in WebhookKind]: string } = {
  validating: "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
  mutating: "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
};

const revisionLabel = "istio.io/rev";

export interface WebhookConfiguration {
  readonly name: string;
  readonly resourceVersion: string;
  /** Value of the label `istio.io/rev`; undefined where there is none. */
  readonly revision: string | undefined;
  readonly webhooks: readonly WebhookEntry[];
}

export interface WebhookEntry {
  /** Such as "rev.validation.istio.io": how the API server names the webhook that refused. */
  readonly name: string;
  /** Whom the API server calls; equal for webhooks that go to the same place. */
  readonly endpoint: string;
  /** Base64 of PEM; "" where there is none. */
  readonly caBundle: string;
  readonly failurePolicy: string;
}

/** Reads the answer of a list; entries that are no configurations are left out. */
export function parseConfigurationList(raw: unknown): {
  readonly resourceVersion: string;
  readonly configurations: readonly WebhookConfiguration[];
} {
  const items = ownField(raw, "items");
  const configurations = (Array.isArray(items) ? items : []).map(parseConfiguration);
  return { resourceVersion: ownText(ownField(raw, "metadata"), "resourceVersion"), configurations };
}

function parseConfiguration(raw: unknown): WebhookConfiguration {
  const metadata = ownField(raw, "metadata");
  const revision = ownField(ownField(metadata, "labels"), revisionLabel);
  const webhooks = ownField(raw, "webhooks");
  return {
    name: ownText(metadata, "name"),
    resourceVersion: ownText(metadata, "resourceVersion"),
    revision: typeof revision === "string" ? revision : undefined,
    webhooks: (Array.isArray(webhooks) ? webhooks : []).map(parseEntry),
  };
}

function parseEntry(raw: unknown): WebhookEntry {
  const client = ownField(raw, "clientConfig");
  const service = ownField(client, "service");
  const place =
    service === undefined
      ? ownText(client, "url")
      : ["namespace", "name", "path", "port"].map((key) => ownField(service, key));
  return {
    name: ownText(raw, "name"),
    endpoint: JSON.stringify(place),
    caBundle: ownText(client, "caBundle"),
    failurePolicy: ownText(raw, "failurePolicy"),
  };
}

/** Which configurations are ours. */
export interface ConfigurationSelection {
  /** Exactly these; every one with our revision where this is empty. */
  readonly names: readonly string[];
  readonly revision: string;
}

/** A configuration that bears the label of another revision is another control plane's, whatever its name is. */
export function isSelected(configuration: WebhookConfiguration, { names, revision }: ConfigurationSelection): boolean {
  const isNamed = names.length === 0 ? configuration.revision !== undefined : names.includes(configuration.name);
  return isNamed && (configuration.revision ?? revision) === revision;
}

export interface PatchOperation {
  readonly op: "test" | "add";
  readonly path: string;
  readonly value: string;
}

/** What the webhooks have to be like. */
export interface WantedState {
  /** PEM of the roots. */
  readonly roots: string;
  /** Endpoints that were seen to refuse what is invalid: their webhooks fail closed. */
  readonly provenEndpoints: ReadonlySet<string>;
}

/**
 * The JSON patch that brings a configuration into that state; empty where it is. A policy that is Fail already is never
 * taken back: another replica proved it. The patch holds for the version that was read, and for no later one.
 */
export function buildPatch(configuration: WebhookConfiguration, wanted: WantedState): readonly PatchOperation[] {
  const caBundle = Buffer.from(wanted.roots).toString("base64");
  const changes = configuration.webhooks.flatMap((entry, index): readonly PatchOperation[] => {
    const path = `/webhooks/${index}`;
    const isOpen = entry.failurePolicy !== "Fail" && wanted.provenEndpoints.has(entry.endpoint);
    return [
      ...(entry.caBundle === caBundle
        ? []
        : [{ op: "add", path: `${path}/clientConfig/caBundle`, value: caBundle } as const]),
      ...(isOpen ? [{ op: "add", path: `${path}/failurePolicy`, value: "Fail" } as const] : []),
    ];
  });
  if (changes.length === 0) return [];
  return [{ op: "test", path: "/metadata/resourceVersion", value: configuration.resourceVersion }, ...changes];
}
