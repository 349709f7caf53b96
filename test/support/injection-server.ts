/** The injector as the API server meets it, over HTTPS on a free port, with a mesh of objects that a test holds. */
import { createInjection } from "../../src/bootstrap/injection.ts";
import { createRootAuthority } from "../../src/ca/authority.ts";
import { createServingCertificates } from "../../src/ca/serving-certificates.ts";
import { type GivenOptions, resolveFlags } from "../../src/config/flags.ts";
import { startWebhookServer } from "../../src/http/webhook-server.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { type Log, silentLog } from "../../src/lib/log.ts";
import { applyDocuments, createBuilder } from "./translated-mesh.ts";

export interface InjectionServer {
  readonly port: number;
  /** PEM of the authority that its certificate is from. */
  readonly roots: string;
  /** Names of what was counted and measured, each with its labels' values. */
  readonly counted: readonly string[];
  /** Changes objects of the mesh. */
  apply(...objects: readonly object[]): void;
  stop(): Promise<void>;
}

export interface InjectionServerOptions {
  readonly objects?: readonly object[];
  readonly options?: GivenOptions;
  readonly log?: Log;
}

/** The ConfigMap of the injector; settings are as the defaults of its keys where nothing is given. */
export function buildSettings(config: object = {}, values: object = {}): object {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "istio-sidecar-injector", namespace: "istio-system" },
    data: { config: JSON.stringify(config), values: JSON.stringify(values) },
  };
}

/** A review of a new pod. */
export function buildReview(pod: unknown, namespace = "shop"): object {
  const names = { group: "", version: "v1" };
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "u1",
      operation: "CREATE",
      kind: { ...names, kind: "Pod" },
      resource: { ...names, resource: "pods" },
      namespace,
      object: pod,
    },
  };
}

/** Starts it; the caller stops it. */
export async function startInjectionServer(given: InjectionServerOptions = {}): Promise<InjectionServer> {
  const { objects = [buildSettings()], options = {}, log = silentLog } = given;
  const clock = systemClock;
  const { flags } = resolveFlags(options, {});
  const authority = await createRootAuthority({ organization: "mesh", lifetimeMs: 86_400_000, nowMs: clock.now() });
  const source = { kind: "authority", authority, names: ["127.0.0.1"] } as const;
  const certificates = await createServingCertificates({ source, clock, log });
  const builder = createBuilder();
  const counted: string[] = [];
  const metrics = {
    count: (name: string, labels: Readonly<Record<string, string>> = {}) =>
      void counted.push([name, ...Object.values(labels)].join(" ")),
    observe: (name: string) => void counted.push(name),
  };
  const injection = createInjection({ flags, snapshot: () => builder.current, metrics, clock, log });
  const apply = (...changed: readonly object[]): void => {
    applyDocuments(builder, changed);
    injection.notify();
  };
  apply(...objects);
  await injection.start();
  const server = await startWebhookServer({
    address: { host: "127.0.0.1", port: 0 },
    certificates,
    validate: () => {
      throw new Error("nothing is validated here");
    },
    inject: injection,
    isReady: () => true,
    metrics,
    log,
  });
  return {
    port: server.port,
    roots: authority.roots,
    counted,
    apply,
    async stop() {
      await server.stop();
      await injection.stop();
      certificates.stop();
    },
  };
}
