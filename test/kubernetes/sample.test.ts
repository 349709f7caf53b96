/** `make run-kubernetes` as a newcomer meets it: the sample mesh, changed with kubectl while it runs. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterPrograms } from "../../tools/cluster/programs.ts";
import { eventually } from "../envoy/envoy-process.ts";
import { takeLocalMeshTurn } from "../support/local-mesh-turn.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const samples = join(root, "manifests/samples/bookinfo");
let mesh: ChildProcess | undefined;
let output = "";
let kubeconfig = "";
let kubectlProgram = "";
let endTurn = (): void => undefined;

beforeAll(async () => {
  kubectlProgram = (await clusterPrograms()).kubectl;
  endTurn = await takeLocalMeshTurn();
  const started = spawn(process.execPath, ["tools/run/run-kubernetes.ts"], { cwd: root });
  mesh = started;
  for (const stream of [started.stdout, started.stderr])
    stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  await until("the mesh serves", async () => {
    if (started.exitCode !== null) throw new Error(`make run-kubernetes ended:\n${output}`);
    return output.includes("Ctrl-C ends everything");
  });
  kubeconfig = /export KUBECONFIG=(\S+)/.exec(output)?.[1] ?? "";
}, 480_000);

afterAll(async () => {
  if (mesh !== undefined && mesh.exitCode === null) {
    const ended = new Promise((resolve) => mesh?.once("exit", resolve));
    if (mesh.kill("SIGINT")) await ended;
  }
  endTurn();
}, 60_000);

async function until(what: string, isTrue: () => Promise<boolean>, withinMs = 150_000): Promise<void> {
  const end = Date.now() + withinMs;
  while (!(await isTrue())) {
    if (Date.now() > end) throw new Error(`not within ${withinMs} ms: ${what}\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function kubectl(args: readonly string[], input = ""): Promise<{ readonly ok: boolean; readonly text: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, KUBECONFIG: kubeconfig };
    const child = execFile(kubectlProgram, [...args], { env }, (error, stdout, stderr) =>
      resolve({ ok: error === null, text: `${stdout}${stderr}` }),
    );
    child.stdin?.end(input);
  });
}

async function served(): Promise<string> {
  const page = await (await fetch("http://127.0.0.1:8080/productpage")).text();
  return /Reviews served by: <b>reviews-(v\d)</.exec(page)?.[1] ?? "none";
}

const weigh = (v1: number, v3: number): Promise<{ readonly ok: boolean; readonly text: string }> =>
  kubectl([
    "patch",
    "virtualservice",
    "reviews-route",
    "-n",
    "bookinfo",
    "--type=json",
    "-p",
    JSON.stringify([
      { op: "replace", path: "/spec/http/1/route/0/weight", value: v1 },
      { op: "replace", path: "/spec/http/1/route/2/weight", value: v3 },
    ]),
  ]);

describe("the Bookinfo mesh in an API server", () => {
  it("serves pages, and follows a weight that kubectl changes", async () => {
    expect(await served()).toBe("v1");
    expect(await weigh(0, 100)).toMatchObject({ ok: true });
    await eventually("v3 serves", async () => (await served()) === "v3");
    for (let page = 0; page < 50; page += 1) expect(await served()).toBe("v3");
    expect(await weigh(100, 0)).toMatchObject({ ok: true });
    await eventually("v1 serves", async () => (await served()) === "v1");
  });

  it("says in the status on how many proxies an object is live", async () => {
    // Six sidecars route to reviews; the gateway, which has only what its virtual services name, does not.
    await until("the status counts all sidecars", async () => {
      const field = "{.metadata.generation} {.status.observedGeneration} {.status.conditions[0].message}";
      const { text } = await kubectl(["get", "vs", "reviews-route", "-n", "bookinfo", "-o", `jsonpath=${field}`]);
      return /^(\d+) \1 6\/6 proxies up to date\.$/.test(text);
    });
    await until("the gateway's objects are live", async () => {
      const { text } = await kubectl(["get", "gateway", "my-gateway", "-n", "istio-system", "-o", "yaml"]);
      return text.includes("message: 1/1 proxies up to date.");
    });
  });

  it("refuses what is invalid with kind, field and reason, and goes on as before", async () => {
    const bad = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bad, namespace: bookinfo}
spec:
  hosts: [reviews]
  http: [{route: [{destination: {host: reviews}, weight: 50}, {destination: {host: ratings}, weight: -5}]}]
`;
    let answer = { ok: true, text: "" };
    // Once the webhook has seen itself refuse something, it fails closed; a moment after the start it may not have yet.
    await until("it is refused", async () => {
      answer = await kubectl(["apply", "--dry-run=server", "-f", "-"], bad);
      return !answer.ok;
    });
    expect(answer.text).toContain("VirtualService bookinfo/bad");
    expect(answer.text).toContain("spec.http[0].route[1].weight: must not be negative");
    expect(await served()).toBe("v1");
  });

  it("prints columns that say something", async () => {
    let text = "";
    await until("everything is live", async () => {
      ({ text } = await kubectl(["get", "vs,dr,gw", "-A"]));
      return !/Unused|Distributing/.test(text);
    });
    expect(text).toMatch(/reviews-route\s+\["reviews\.bookinfo\.svc\.cluster\.local"\]\s+Live/);
    expect(text).toMatch(/reviews-destination\s+reviews\.bookinfo\.svc\.cluster\.local\s+Live/);
    expect(text).toMatch(/my-gateway\s+\{"istio":"ingressgateway"\}\s+.*uk\.bookinfo\.com.*\s+Live/);
  });

  it("takes all sample manifests with server-side apply", async () => {
    const { ok, text } = await kubectl(["apply", "--server-side", "-f", samples]);
    expect(text).not.toMatch(/error|warning/i);
    expect(ok).toBe(true);
    expect(text).toContain("virtualservice.networking.istio.io/reviews-route serverside-applied");
  });
});
