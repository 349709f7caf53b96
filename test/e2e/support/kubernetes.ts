/** The cluster of `make e2e`, as its administrator sees it. Tests run in the node's network. */
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { runProgram } from "../../../tools/e2e/run-program.ts";
import { waitFor } from "../../../tools/e2e/wait.ts";

export { sleep, waitFor };

export interface Container {
  readonly name: string;
  readonly image: string;
  readonly restartPolicy?: string;
}

export interface Pod {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec: {
    readonly serviceAccountName: string;
    readonly containers: readonly Container[];
    readonly initContainers?: readonly Container[];
  };
  readonly status: {
    readonly podIP?: string;
    readonly phase?: string;
    readonly conditions?: readonly PodCondition[];
  };
}

interface PodCondition {
  readonly type: string;
  readonly status: string;
}

/** Standard output of kubectl; rejects with its errors. */
export function kubectl(args: readonly string[], input?: string): Promise<string> {
  return runProgram("kubectl", args, { limitMs: 240_000, ...(input !== undefined && { input }) });
}

/** Applies YAML. */
export async function apply(manifest: string): Promise<void> {
  await kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], manifest);
}

/** Pods of a namespace that are there to stay, in the order of their names. */
export async function listPods(namespace: string, selector = ""): Promise<readonly Pod[]> {
  const answer = await kubectl(["-n", namespace, "get", "pods", "-l", selector, "-o", "json"]);
  const { items } = JSON.parse(answer) as { readonly items: readonly Pod[] };
  return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

export async function findPod(namespace: string, selector: string): Promise<Pod> {
  const [pod] = await listPods(namespace, selector);
  if (pod === undefined) throw new Error(`no pod ${selector} in ${namespace}`);
  return pod;
}

/** Waits until at least so many pods are there and all of them are ready; those that are going do not count. */
export async function waitForReady(namespace: string, selector: string, least = 1): Promise<void> {
  await waitFor(`${least} ready pods ${selector} in ${namespace}`, 180_000, async () => {
    const pods = await listPods(namespace, selector);
    const ready = pods.filter(({ status }) => status.conditions?.some(isReady));
    return ready.length >= least && ready.length === pods.length ? undefined : `${ready.length} of ${pods.length}`;
  });
}

const isReady = ({ type, status }: PodCondition): boolean => type === "Ready" && status === "True";

export async function readServiceIp(namespace: string, name: string): Promise<string> {
  return await kubectl(["-n", namespace, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}"]);
}

/** Output of a command in a container; rejects where it fails. */
export function runInPod(
  namespace: string,
  pod: string,
  { container, command }: { readonly container: string; readonly command: readonly string[] },
): Promise<string> {
  return kubectl(["-n", namespace, "exec", pod, "-c", container, "--", ...command]);
}

const client = `
  const print = (text) => process.stdout.write(text + "\\n");
  const request = require("node:http").get(process.argv[1], { timeout: 5000 }, (response) => {
    response.setEncoding("utf8").on("data", print).on("error", (error) => print(error.code));
  });
  request.on("timeout", () => request.destroy(new Error("timeout"))).on("error", (error) => print(error.code));
`;

/** A command for the toolbox that prints what a URL answers, or the code of the error where nothing does. */
export const askFor = (url: string): readonly string[] => ["node", "-e", client, url];

/** The packet filter's rules in a pod's network, from both of the kernel's tables. */
export async function readRedirection(pod: Pod): Promise<string> {
  const pid = findProcessOf(pod.metadata.uid);
  const read = (program: string): Promise<string> =>
    runProgram("nsenter", ["-t", String(pid), "--net", "--", program, "-t", "nat"]).catch(String);
  return `${await read("iptables-nft-save")}\n${await read("iptables-legacy-save")}`;
}

/** Any process of a pod, by its cgroup: the kubelet writes the pod's uid into the name. */
function findProcessOf(uid: string): number {
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if (readFileSync(`/proc/${name}/cgroup`, "utf8").includes(uid)) return Number(name);
    } catch {
      // It has ended meanwhile.
    }
  }
  throw new Error(`no process of pod ${uid}`);
}
