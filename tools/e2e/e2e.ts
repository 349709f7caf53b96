/**
 * `make e2e`: a single-node Kubernetes on this machine, Meltemi installed into it with Helm, and the tests of test/e2e
 * against that; everything is gone at the end. KEEP=1 leaves it running, until `make e2e-down` or the next run;
 * TESTS=words picks test files by name.
 */
import { spawn } from "node:child_process";
import { dirname, join, relative } from "node:path";
import { bringUp } from "./cluster-up.ts";
import { installMesh } from "./install-mesh.ts";
import { kubeconfig, logFolder, root } from "./layout.ts";
import { findNodePid, stopNode } from "./node.ts";
import type { NodePrograms } from "./node-programs.ts";

const say = (line: string): void => console.log(line);
const isKept = process.env["KEEP"] === "1";
const startedAt = Date.now();
const step = (line: string): void =>
  say(`  ${String(Math.round((Date.now() - startedAt) / 1000)).padStart(4)} s  ${line}`);

let running: ReturnType<typeof spawn> | undefined;
let isEnding = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => void end(130));

try {
  say("Setting up a Kubernetes node");
  const programs = await bringUp(step);
  say("Installing Meltemi and Bookinfo");
  await installMesh(programs, step);
  say("Testing");
  await end(await runTests(programs), programs);
} catch (cause) {
  // What a node that is being ended leaves undone is nobody's news.
  if (!isEnding) {
    console.error(`error: ${cause instanceof Error ? cause.message : String(cause)}`);
    say("0 passed, 1 failed");
    await end(1);
  }
}

/** Exit code of the tests, which run in the node's network: every address of the cluster is theirs to dial. */
function runTests({ kubectl }: NodePrograms): Promise<number> {
  const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--config", "vitest.e2e.config.ts"];
  const words = (process.env["TESTS"] ?? "").split(/[ ,]+/).filter((word) => word !== "");
  const enter = ["-t", String(findNodePid()), "--net", "--", process.execPath, ...vitest, ...words];
  running = spawn("nsenter", enter, {
    cwd: root,
    detached: true,
    stdio: ["ignore", "inherit", "inherit"],
    env: { ...process.env, KUBECONFIG: kubeconfig, PATH: `${dirname(kubectl)}:${process.env["PATH"]}` },
  });
  return new Promise((resolve, reject) => {
    running?.on("error", reject).on("exit", (code) => resolve(code ?? 1));
  });
}

async function end(code: number, programs?: NodePrograms): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  running?.kill("SIGTERM");
  if (isKept && programs !== undefined) printInvitation(programs);
  else
    await stopNode().catch((cause: unknown) => {
      console.error(`error: ${String(cause)}; 'make e2e-down' tries it again`);
      process.exit(1);
    });
  if (code !== 0) say(`The logs of the node are in ${relative(root, logFolder)}.`);
  process.exit(code);
}

function printInvitation({ kubectl }: NodePrograms): void {
  say(`
The cluster runs on, in a network of its own. Beside it:
  alias kubectl='nsenter -t ${findNodePid()} --net ${kubectl} --kubeconfig ${kubeconfig}'
'make e2e-down' ends it.
`);
}
