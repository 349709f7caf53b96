/** Meltemi by its chart and Bookinfo by its manifests, as the documentation tells a user to. */
import { join } from "node:path";
import { root } from "./layout.ts";
import { runInNode } from "./node.ts";
import type { NodePrograms } from "./node-programs.ts";

const sample = join(root, "manifests/samples/bookinfo-kubernetes");
/** Two processors are enough for the whole mesh: what pods reserve is less than on a node that serves people. */
const settings = ["--set=resources.requests.cpu=100m", "--set=proxy.resources.requests.cpu=10m"];
/** Also on a machine that does other work besides. */
const limit = "300s";

/** Installs both and waits until every pod is ready. Rejects with what the pods say where one does not become ready. */
export async function installMesh(programs: NodePrograms, progress: (line: string) => void): Promise<void> {
  const kubectl = (...args: readonly string[]): Promise<string> =>
    runInNode(programs.kubectl, args, { limitMs: 330_000 });
  const install = [
    "upgrade",
    "--install",
    "meltemi",
    join(root, "manifests/chart"),
    "--namespace",
    "istio-system",
    ...settings,
  ];
  try {
    progress("installing the chart");
    await runInNode(programs.helm, [...install, "--create-namespace", "--wait", "--timeout", limit], {
      limitMs: 330_000,
    });
    progress("applying Bookinfo");
    await kubectl("apply", "--server-side", "-f", sample, "-f", join(root, "manifests/samples/bookinfo/reviews.yaml"));
    for (const namespace of ["bookinfo", "istio-ingress"])
      await kubectl("-n", namespace, "rollout", "status", "deployment", `--timeout=${limit}`);
    progress("every pod is ready");
  } catch (cause) {
    throw new Error(`${cause instanceof Error ? cause.message : String(cause)}\n${await describeFailure(kubectl)}`);
  }
}

/** Pods, the last events, and the last lines of the control plane: what one would look for next. */
async function describeFailure(kubectl: (...args: readonly string[]) => Promise<string>): Promise<string> {
  const questions = [
    ["get", "pods", "-A"],
    ["get", "events", "-A", "--sort-by=.lastTimestamp", "--field-selector=type=Warning"],
    ["-n", "istio-system", "logs", "deployment/meltemi", "--tail=20"],
  ];
  const answers = questions.map(async (question) => {
    const answer = await kubectl(...question).catch(String);
    return `--- kubectl ${question.join(" ")}\n${answer.trimEnd().split("\n").slice(-30).join("\n")}`;
  });
  return (await Promise.all(answers)).join("\n");
}
