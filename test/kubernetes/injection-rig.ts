/** The injector of the chart beside a real API server, which calls a control plane of this process by its address. */
import { stringify } from "yaml";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import type { Log } from "../../src/lib/log.ts";
import type { Cluster } from "../../tools/cluster/cluster.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { type Manifest, renderChart, type Values, valueAt } from "./chart-rendering.ts";

export const systemNamespace = "istio-system";

export interface InjectorOptions {
  readonly cluster: Cluster;
  /** "" for the default one. */
  readonly revision?: string;
  /** Values of the chart. */
  readonly values?: Values;
  readonly log?: Log;
}

export interface Injector {
  readonly controlPlane: ControlPlane;
  /** Name of its MutatingWebhookConfiguration. */
  readonly name: string;
  /** Puts its objects into the cluster, as they are in the chart; its webhooks go to the control plane, or to `port`. */
  install(values?: Values, port?: number): Promise<void>;
}

/** Starts a control plane and installs the chart's injector for it; the caller stops the control plane. */
export async function startInjector(options: InjectorOptions): Promise<Injector> {
  const { cluster, revision = "", log } = options;
  const name = revision === "" ? "istio-sidecar-injector" : `istio-sidecar-injector-${revision}`;
  const controlPlane = await startTestControlPlane({
    ...(log === undefined ? {} : { log }),
    options: {
      kubeconfig: cluster.kubeconfig,
      httpsAddr: "127.0.0.1:0",
      validationWebhookConfigName: "none",
      injectionWebhookConfigName: name,
      leaderElection: "false",
      writeStatus: "false",
      ...(revision === "" ? {} : { revision }),
    },
  });
  const install = async (values: Values = {}, port = controlPlane.webhookPort): Promise<void> => {
    const manifests = await renderChart({ revision, ...options.values, ...values });
    const objects = manifests
      .filter((object) => object.metadata.name === name)
      .map((object) => (object.kind === "ConfigMap" ? object : withAddress(object, port)));
    if (objects.length !== 2) throw new Error(`the chart has ${objects.length} objects ${name}`);
    const text = objects.map((object) => stringify(object)).join("---\n");
    await cluster.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], text);
  };
  await install();
  return { controlPlane, name, install };
}

/** Nothing routes to Services here. */
function withAddress(object: Manifest, port: number): object {
  const webhooks = valueAt(object, "webhooks") as readonly Values[];
  return {
    ...object,
    webhooks: webhooks.map((webhook) => {
      const path = valueAt(webhook, "clientConfig.service.path");
      return { ...webhook, clientConfig: { url: `https://127.0.0.1:${port}${path}` } };
    }),
  };
}

/** Namespaces with labels, by name. */
export async function createNamespaces(
  cluster: Cluster,
  namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>,
): Promise<void> {
  const objects = Object.entries(namespaces).map(([name, labels]) =>
    JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name, labels } }),
  );
  await cluster.kubectl(["apply", "-f", "-"], objects.join("\n---\n"));
}
