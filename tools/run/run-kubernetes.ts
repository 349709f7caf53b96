/**
 * `make run-kubernetes`: the Bookinfo mesh with its configuration in a real API server (etcd and kube-apiserver as plain
 * processes, no containers), so that kubectl changes it. The control plane has the rights that the chart gives it, and
 * its webhooks validate what is applied and inject the pods that are created. PROXY=envoy takes real Envoys in place of
 * companion proxies.
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments, stringify as stringifyYaml } from "yaml";
import { type Cluster, startCluster } from "../cluster/cluster.ts";
import { clusterPrograms } from "../cluster/programs.ts";
import { controlPlanePorts, gatewayPort } from "./mesh-layout.ts";
import {
  checkPorts,
  createRun,
  prepareFolder,
  runFolder,
  runProgram,
  sampleDir,
  say,
  startControlPlane,
  startWorkloads,
  step,
  waitFor,
} from "./mesh-run.ts";
import { findProxyProgram } from "./proxy-program.ts";

const namespace = "istio-system";
const chart = "manifests/chart";

await runProgram(async () => {
  say("Setting up");
  const proxy = await findProxyProgram(process.env["PROXY"] ?? "", step);
  const programs = await clusterPrograms(step);
  await checkPorts([{ port: controlPlanePorts.webhook, owner: "the webhook of the control plane" }]);
  prepareFolder();
  let cluster: Cluster | undefined;
  const processes = createRun(async () => cluster?.stop());

  say("Starting the API server");
  cluster = await startCluster({ folder: join(runFolder, "cluster") });
  step(`${cluster.url}, its log is ${join(runFolder, "cluster", "kube-apiserver.log")}`);
  await installMesh(cluster);

  say("Starting the mesh");
  const kubeconfig = await cluster.kubeconfigOf(namespace, "meltemi");
  const webhook = ["--httpsAddr", `127.0.0.1:${controlPlanePorts.webhook}`];
  await startControlPlane(processes, ["--kubeconfig", kubeconfig, ...webhook]);
  await applyConfiguration(cluster);
  await startWorkloads(processes, proxy);
  await waitFor("the product page", `http://127.0.0.1:${gatewayPort}/productpage`);
  printInvitation(cluster.kubeconfig, programs.kubectl);
});

/** Namespaces, CRDs, and from the chart what belongs to the API: account, roles, settings, webhooks. */
async function installMesh(cluster: Cluster): Promise<void> {
  await apply(cluster, "manifests/crds");
  await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"]);
  step(`${readdirSync("manifests/crds").length} kinds of Istio are known to it`);
  await cluster.kubectl(["apply", "--server-side", "-f", "-"], namespacesOfSample());
  const manifest = join(runFolder, "control-plane.yaml");
  writeFileSync(manifest, adaptToLocalProcess(await cluster.helm(["template", "meltemi", chart, "-n", namespace])));
  await apply(cluster, manifest);
}

/** Everything after the namespaces goes through the webhook, as it would in anybody's cluster. */
async function applyConfiguration(cluster: Cluster): Promise<void> {
  // Services first: routing that names what is not there yet would be complained about for a moment.
  for (const name of ["mesh", "services", "sidecars", "gateway", "reviews"])
    await apply(cluster, join(sampleDir, `${name}.yaml`));
  step(`applied ${sampleDir}`);
}

function apply(cluster: Cluster, path: string): Promise<string> {
  return cluster.kubectl(["apply", "--server-side", "-f", path]);
}

function namespacesOfSample(): string {
  const documents = parseAllDocuments(readFileSync(join(sampleDir, "mesh.yaml"), "utf8"));
  return documents
    .map((document) => document.toJS() as { readonly kind: string })
    .filter(({ kind }) => kind === "Namespace")
    .map((object) => stringifyYaml(object))
    .join("---\n");
}

interface Manifest {
  readonly kind: string;
  readonly webhooks?: readonly Webhook[];
}

interface Webhook {
  readonly clientConfig: { readonly service?: { readonly path?: string } };
}

/** The control plane is a process of this machine here: nothing of the chart that needs a node, and webhooks by address. */
function adaptToLocalProcess(rendered: string): string {
  const needsNode = ["Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"];
  return parseAllDocuments(rendered)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null && !needsNode.includes(manifest.kind))
    .map((manifest) => stringifyYaml(manifest?.webhooks === undefined ? manifest : withAddress(manifest)))
    .join("---\n");
}

function withAddress(manifest: Manifest): object {
  const server = `https://127.0.0.1:${controlPlanePorts.webhook}`;
  const webhooks = manifest.webhooks?.map((webhook) => {
    const url = `${server}${webhook.clientConfig.service?.path ?? ""}`;
    return { ...webhook, clientConfig: { url } };
  });
  return { ...manifest, webhooks };
}

function printInvitation(kubeconfig: string, kubectl: string): void {
  const debug = `127.0.0.1:${controlPlanePorts.monitoring}`;
  say(`
Open http://127.0.0.1:${gatewayPort}/productpage

Take the API server's credentials in another terminal:
  export KUBECONFIG=${join(process.cwd(), kubeconfig)}
Any kubectl will do; if you have none: alias kubectl=${kubectl}

Four things to try:
  1. kubectl get vs,dr,gw -A
  2. kubectl edit vs reviews-route -n bookinfo, give v1 the weight 0 and v3 the weight 100, and reload the page: the
     stars turn red. kubectl get vs reviews-route -n bookinfo -o yaml says on how many proxies that is live. Mistakes
     are refused with the field and the reason.
  3. Look at the services that the mesh knows: curl '${debug}/debug/registryz?pretty'
     (http://${debug}/debug lists all such pages)
  4. See what a pod becomes in the mesh, though nothing runs it here: kubectl label namespace default
     istio-injection=enabled, then kubectl run web --image=web --dry-run=server -o yaml

Ctrl-C ends everything that was started. Logs are in ${runFolder}/logs.
`);
}
