/** From a bare machine to a node that runs pods: what is missing is installed and built first. */
import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { buildImages } from "./images.ts";
import { imageFolder, nodeName } from "./layout.ts";
import { importImages, readLogEnd, runInNode, startNode } from "./node.ts";
import { type NodePrograms, nodePrograms } from "./node-programs.ts";
import { ensurePrerequisites } from "./prerequisites.ts";
import { waitFor } from "./wait.ts";

const dns = fileURLToPath(new URL("dns.yaml", import.meta.url));

/** Starts the node with its images and its DNS. `progress` receives one line for each step. */
export async function bringUp(progress: (line: string) => void): Promise<NodePrograms> {
  await ensurePrerequisites(progress);
  const programs = await nodePrograms(progress);
  progress("making the images");
  const archive = await buildImages(programs);
  progress("starting the node");
  await startNode(programs);
  progress("loading the images");
  await importImages([archive]);
  rmSync(imageFolder, { recursive: true });
  const kubectl = (...args: readonly string[]): Promise<string> => runInNode(programs.kubectl, args);
  await waitFor("the registration of the node", 60_000, async () => {
    const conditions = await kubectl(
      "get",
      "node",
      nodeName,
      "-o",
      "jsonpath={.status.conditions[?(@.type=='Ready')].status}",
    );
    return conditions === "True" ? undefined : `not ready: ${readLogEnd("kubelet")}`;
  });
  await kubectl("apply", "--server-side", "-f", dns);
  await kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=100s");
  progress("the node is ready, DNS answers");
  return programs;
}
