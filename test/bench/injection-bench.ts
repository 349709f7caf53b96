/**
 * `make bench`: what it costs to inject pods as an API server asks for it, over HTTPS at a steady rate. Requests are sent
 * when their time has come, whether earlier ones are answered or not, so that a pause counts for all that fall into it.
 *
 *   node test/bench/injection-bench.ts [--rate 100] [--seconds 20]
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { Agent, request } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { buildReview } from "../support/injection-server.ts";
import type { InjectionAnswer, InjectionCommand } from "./injection-process.ts";
import { formatBytes, percentile } from "./statistics.ts";

const { values } = parseArgs({
  options: { rate: { type: "string", default: "100" }, seconds: { type: "string", default: "20" } },
});
const [rate, seconds] = [Number(values.rate), Number(values.seconds)];
const warmUp = 200;
const child = fork(new URL("injection-process.ts", import.meta.url), {
  stdio: ["ignore", "inherit", "inherit", "ipc"],
});
try {
  await measure();
} finally {
  send({ do: "stop" });
  if (child.exitCode === null) await once(child, "exit");
}

async function measure(): Promise<void> {
  const { port, roots } = await next(child, "listening");
  const agent = new Agent({ keepAlive: true, maxSockets: 32, ca: roots });
  const inject = (body: Buffer): Promise<number> => post({ port, agent, body });
  for (let index = 0; index < warmUp; index++) await inject(buildBody(index));
  const before = await usage();
  const count = rate * seconds;
  const start = performance.now();
  const pending: Promise<number>[] = [];
  for (let index = 0; index < count; index++) {
    const due = start + (index * 1000) / rate;
    const wait = due - performance.now();
    if (wait > 0) await sleep(wait);
    pending.push(inject(buildBody(index)).then((end) => end - due));
  }
  const times = await Promise.all(pending);
  const after = await usage();
  agent.destroy();
  const ms = (value: number): string => `${value.toFixed(1)} ms`;
  process.stdout.write(
    [
      `\nInjection over HTTPS, ${rate} pods a second for ${seconds} s:`,
      `  p50 ${ms(percentile(times, 0.5))}, p99 ${ms(percentile(times, 0.99))}, longest ${ms(Math.max(...times))}`,
      `  ${ms((after.cpuMs - before.cpuMs) / count)} of CPU a pod, ${formatBytes(after.rssBytes)} resident\n`,
    ].join("\n"),
  );
}

/** A usual pod as a ReplicaSet makes it: three containers with ports and probes, volumes, and the API server's defaults. */
function buildBody(index: number): Buffer {
  const probe = (path: string): object => ({
    httpGet: { path, port: 8080, scheme: "HTTP" },
    periodSeconds: 10,
    timeoutSeconds: 1,
    successThreshold: 1,
    failureThreshold: 3,
  });
  const container = (name: string, port: number): object => ({
    name,
    image: `registry.example/${name}:v${index}`,
    ports: [{ name: "http", containerPort: port, protocol: "TCP" }],
    env: Array.from({ length: 10 }, (_, at) => ({ name: `SETTING_${at}`, value: `value-${at}` })),
    resources: { requests: { cpu: "100m", memory: "128Mi" } },
    livenessProbe: probe("/live"),
    readinessProbe: probe("/ready"),
    volumeMounts: [{ name: "data", mountPath: "/data" }],
    terminationMessagePath: "/dev/termination-log",
    terminationMessagePolicy: "File",
    imagePullPolicy: "IfNotPresent",
  });
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web-5d8f", uid: "u", controller: true };
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: "web-5d8f-",
      namespace: "shop",
      labels: { app: "web", version: "v1", "pod-template-hash": "5d8f" },
      annotations: { "prometheus.io/scrape": "true", "prometheus.io/port": "8080" },
      ownerReferences: [owner],
    },
    spec: {
      containers: [container("web", 8080), container("cache", 6379), container("metrics", 9102)],
      volumes: [{ name: "data", emptyDir: {} }],
      serviceAccountName: "web",
      restartPolicy: "Always",
      terminationGracePeriodSeconds: 30,
      dnsPolicy: "ClusterFirst",
      schedulerName: "default-scheduler",
      securityContext: {},
    },
  };
  return Buffer.from(JSON.stringify(buildReview(pod)));
}

interface Posting {
  readonly port: number;
  readonly agent: Agent;
  readonly body: Buffer;
}

/** Resolves to the time at which the whole answer was there; rejects where the pod was not injected. */
function post({ port, agent, body }: Posting): Promise<number> {
  return new Promise((resolve, reject) => {
    const asking = request({
      ...{ host: "127.0.0.1", port, agent, method: "POST", path: "/inject" },
      headers: { "content-type": "application/json", "content-length": body.length },
    });
    asking.on("error", reject);
    asking.on("response", (response) => {
      let text = "";
      response.on("data", (part: Buffer) => {
        text += part.toString();
      });
      response.on("end", () => {
        if (text.includes('"patch":"')) resolve(performance.now());
        else reject(new Error(`${response.statusCode} ${text.slice(0, 500)}`));
      });
    });
    asking.end(body);
  });
}

function send(command: InjectionCommand): void {
  if (child.connected) child.send(command);
}

async function usage(): Promise<Extract<InjectionAnswer, { readonly is: "usage" }>> {
  send({ do: "usage" });
  return next(child, "usage");
}

function next<Is extends InjectionAnswer["is"]>(
  process: ChildProcess,
  is: Is,
): Promise<Extract<InjectionAnswer, { readonly is: Is }>> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`the injector ended with code ${code}`));
    process.once("exit", onExit);
    process.once("message", (answer: unknown) => {
      process.off("exit", onExit);
      const given = answer as InjectionAnswer;
      if (given.is === is) resolve(given as Extract<InjectionAnswer, { readonly is: Is }>);
      else reject(new Error(`the injector says ${given.is}`));
    });
  });
}
