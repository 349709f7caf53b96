/** The path from YAML to resources without network or timers: what golden cases and the fuzzer run. */

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { TypeName } from "@meltemi/protos";
import { parseAllDocuments } from "yaml";
import { parseObject, parseObjects } from "../../src/api/parse.ts";
import { buildEntry } from "../../src/autoregistration/build-entry.ts";
import { describeRegistration } from "../../src/autoregistration/registration.ts";
import { generators } from "../../src/bootstrap/generators.ts";
import type { Message } from "../../src/lib/message.ts";
import { defaultFeatures, type Features } from "../../src/model/features.ts";
import { type NodeMessage, parseNode } from "../../src/model/node.ts";
import type { Proxy as MeshProxy } from "../../src/model/proxy.ts";
import { createSnapshotBuilder, type SnapshotBuilder } from "../../src/snapshot/build.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
import type { Built } from "../../src/translate/built.ts";

/** How a case describes a proxy. */
export interface ProxyDescription {
  readonly name: string;
  readonly type: "sidecar" | "router";
  readonly address: string;
  readonly workload: string;
  readonly namespace: string;
  readonly labels: { readonly [name: string]: string };
  readonly istioVersion?: string;
  readonly extensions?: readonly string[];
  readonly metadata?: { readonly [name: string]: unknown };
}

export interface ResourcesOfProxy {
  readonly clusters: readonly Built<object>[];
  readonly endpoints: readonly Built<object>[];
  readonly listeners: readonly Built<object>[];
  readonly routes: readonly Built<object>[];
  readonly names: readonly Built<object>[];
}

export const typeNames = {
  clusters: "envoy.config.cluster.v3.Cluster",
  endpoints: "envoy.config.endpoint.v3.ClusterLoadAssignment",
  listeners: "envoy.config.listener.v3.Listener",
  routes: "envoy.config.route.v3.RouteConfiguration",
  names: "istio.networking.nds.v1.NameTable",
} as const satisfies Readonly<Record<keyof ResourcesOfProxy, TypeName>>;

/** All documents of a YAML text as plain values; throws on text that is no YAML. */
export function readDocuments(text: string): readonly unknown[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error !== undefined) throw error;
    const value: unknown = document.toJS();
    return value === null ? [] : [value];
  });
}

/** The documents of a file, those that it includes first. */
export function readCaseFile(file: string): {
  readonly head: Record<string, unknown>;
  readonly documents: readonly unknown[];
} {
  const [head, ...own] = readDocuments(readFileSync(file, "utf8")) as [Record<string, unknown>, ...unknown[]];
  const includes = (head["include"] ?? []) as readonly string[];
  const included = includes.flatMap((name) => readDocuments(readFileSync(join(dirname(file), name), "utf8")));
  return { head, documents: [...included, ...own] };
}

/** A mesh without objects; `features` are those that differ from the defaults. */
export function createBuilder(features: Partial<Features> = {}): SnapshotBuilder {
  const options = { domain: "cluster.local", clusterId: "Kubernetes" };
  return createSnapshotBuilder({ ...options, features: { ...defaultFeatures, ...features } });
}

/** Parses raw objects and applies the good ones as one step; the messages are those of parsing. */
export function applyDocuments(builder: SnapshotBuilder, documents: readonly unknown[]): readonly Message[] {
  const parsed = documents.flatMap((document) => parseObjects(document));
  const objects = parsed.flatMap(({ object }) => (object === undefined ? [] : [object]));
  const problems = parsed.flatMap(({ messages }) => messages);
  builder.apply({ changes: objects.map((object) => ({ type: "set", object })), problems });
  return problems;
}

/** Makes the workload entries of proxies that name a group (metadata AUTO_REGISTER_GROUP), as where they connect. `problems` are all that are known. */
export function registerProxies(
  builder: SnapshotBuilder,
  proxies: readonly MeshProxy[],
  problems: readonly Message[],
): void {
  const settings = { registersProxies: true, takesHealth: true, checksIdentity: false };
  const entries = proxies.flatMap((proxy) => {
    const registration = describeRegistration(proxy, settings);
    const { kind, namespace, group: name } = registration ?? { kind: "entry", namespace: "", group: "" };
    const group = kind === "group" ? builder.current.findObject("WorkloadGroup", namespace, name) : undefined;
    if (registration === undefined || group === undefined) return [];
    const { object, messages } = parseObject(buildEntry(registration, proxy, group));
    if (object === undefined) throw new Error(messages.map(({ text }) => text).join("; "));
    return [object];
  });
  if (entries.length > 0) builder.apply({ changes: entries.map((object) => ({ type: "set", object })), problems });
}

/** Throws where the description makes no valid node. */
export function describeProxy(description: ProxyDescription): MeshProxy {
  const { type, address, workload, namespace, labels, istioVersion, extensions, metadata } = description;
  const node: NodeMessage = {
    id: `${type}~${address}~${workload}.${namespace}~${namespace}.svc.cluster.local`,
    metadata: {
      NAMESPACE: namespace,
      CLUSTER_ID: "Kubernetes",
      LABELS: labels,
      ...(istioVersion === undefined ? {} : { ISTIO_VERSION: istioVersion }),
      ...metadata,
    },
    extensions: extensions?.map((name) => ({ name })),
  };
  const proxy = parseNode(node);
  if (typeof proxy === "string") throw new Error(`proxy ${description.name}: ${proxy}`);
  return proxy;
}

/** Everything that a proxy is given of a snapshot. */
export function translateFor(snapshot: Snapshot, proxy: MeshProxy): ResourcesOfProxy {
  const keys = generators.deriveKeys(snapshot, proxy);
  const scope = generators.createScopeView(snapshot, keys.scope);
  const workload = generators.createWorkloadView(scope, keys.workload);
  return {
    clusters: [...generators.outboundClusters(scope), ...generators.inboundClusters(workload)],
    endpoints: generators.loadAssignmentNames(scope).flatMap((name) => generators.loadAssignment(scope, name) ?? []),
    listeners: [...generators.outboundListeners(scope, keys.listener), ...generators.inboundListeners(workload)],
    routes: generators.routeNames(scope).map((name) => generators.routeConfiguration(scope, name)),
    names: generators.nameTable(scope),
  };
}

/** What is to be said of objects as the proxy's scope sees them. */
export function messagesFor(snapshot: Snapshot, proxy: MeshProxy): readonly Message[] {
  const { scope } = generators.deriveKeys(snapshot, proxy);
  return generators.messages(generators.createScopeView(snapshot, scope));
}
