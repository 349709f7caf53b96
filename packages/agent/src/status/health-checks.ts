/**
 * The application's own readiness where no kubelet asks for it: outside Kubernetes the ProxyConfig says how to probe
 * (readinessProbe), and the control plane hears of each change (pkg/istio-agent/health).
 */
import { execFile } from "node:child_process";
import type { Clock } from "../../../../src/lib/clock.ts";
import type { Log } from "../../../../src/lib/log.ts";
import { pause } from "../../../../src/lib/pause.ts";
import { isJsonObject, type JsonObject, readObject, readText, readTexts } from "../config/json.ts";
import { ConfigError } from "../config/proxy-config.ts";
import { probeGrpc } from "./grpc-probe.ts";
import { probeHttp } from "./http-probe.ts";
import type { ProbeOutcome, ProbeTarget } from "./probe-target.ts";
import type { ReadinessCheck } from "./readiness.ts";
import { probeTcp } from "./tcp-probe.ts";

type ProbeMethod =
  | { readonly kind: "http"; readonly path: string; readonly isTls: boolean; readonly headers: Record<string, string> }
  | { readonly kind: "tcp" }
  | { readonly kind: "grpc"; readonly service: string }
  | { readonly kind: "exec"; readonly command: readonly string[] };

export interface HealthCheckPlan {
  readonly method: ProbeMethod;
  /** The pod's own address where undefined. */
  readonly host: string | undefined;
  readonly port: number;
  readonly initialDelayMs: number;
  readonly timeoutMs: number;
  readonly periodMs: number;
  /** Probes in a row that change what is reported. */
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

/** From the ProxyConfig; undefined where it has no readinessProbe. Throws ConfigError for one that cannot be meant. */
export function parseHealthChecks(config: JsonObject): HealthCheckPlan | undefined {
  const probe = readObject(config, "readinessProbe");
  if (probe === undefined) return undefined;
  const [kind, action] = findAction(probe);
  const port = Number(action["port"] ?? 0);
  if (kind !== "exec" && !(port > 0 && port <= 65_535)) throw new ConfigError("readinessProbe: port must be a port");
  const seconds = (name: string, fallback: number): number => (Number(probe[name] ?? 0) || fallback) * 1000;
  return {
    method: parseMethod(kind, action),
    host: readText(action, "host"),
    port,
    initialDelayMs: seconds("initialDelaySeconds", 0),
    timeoutMs: seconds("timeoutSeconds", 1),
    periodMs: seconds("periodSeconds", 10),
    successThreshold: Number(probe["successThreshold"] ?? 0) || 1,
    failureThreshold: Number(probe["failureThreshold"] ?? 0) || 1,
  };
}

const kinds = { httpGet: "http", tcpSocket: "tcp", grpc: "grpc", exec: "exec" } as const;

function findAction(probe: JsonObject): readonly [ProbeMethod["kind"], JsonObject] {
  const found = Object.entries(kinds).flatMap(([field, kind]) => {
    const action = readObject(probe, field);
    return action === undefined ? [] : [[kind, action] as const];
  });
  const [first] = found;
  if (first === undefined || found.length > 1) {
    throw new ConfigError("readinessProbe needs one of httpGet, tcpSocket, grpc, exec");
  }
  return first;
}

function parseMethod(kind: ProbeMethod["kind"], action: JsonObject): ProbeMethod {
  switch (kind) {
    case "http": {
      const path = readText(action, "path") ?? "/";
      const listed = Array.isArray(action["httpHeaders"]) ? action["httpHeaders"].filter(isJsonObject) : [];
      const headers = listed.map((header) => [
        (readText(header, "name") ?? "").toLowerCase(),
        readText(header, "value") ?? "",
      ]);
      return {
        kind,
        path: path.startsWith("/") ? path : `/${path}`,
        isTls: readText(action, "scheme")?.toLowerCase() === "https",
        headers: Object.fromEntries(headers.filter(([name]) => name !== "")) as Record<string, string>,
      };
    }
    case "tcp":
      return { kind };
    case "grpc":
      return { kind, service: readText(action, "service") ?? "" };
    case "exec": {
      const command = readTexts(action, "command");
      if (command.length === 0) throw new ConfigError("readinessProbe: exec needs a command");
      return { kind, command };
    }
  }
}

export interface HealthCheckOptions {
  readonly plan: HealthCheckPlan;
  readonly target: ProbeTarget;
  /** An application is only well behind a proxy that is. */
  readonly checkReadiness: ReadinessCheck;
  /** Undefined where well, or else what is wrong; called at each change. */
  readonly report: (problem: string | undefined) => void;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
}

/** Probes until the signal; resolves then. */
export async function runHealthChecks(options: HealthCheckOptions): Promise<void> {
  const { plan, signal, clock, log, report } = options;
  let reported: "nothing" | "well" | "ill" = "nothing";
  let [successes, failures] = [0, 0];
  await pause(clock, plan.initialDelayMs, signal);
  while (!signal.aborted) {
    const problem = (await options.checkReadiness()) ?? (await findProblem(options));
    if (signal.aborted) return;
    [successes, failures] = problem === undefined ? [successes + 1, 0] : [0, failures + 1];
    if (successes >= plan.successThreshold && reported !== "well") {
      log.info("the application is well");
      reported = "well";
      report(undefined);
    } else if (problem !== undefined && failures >= plan.failureThreshold && reported !== "ill") {
      log.warn("the application is not well", { problem });
      reported = "ill";
      report(problem);
    }
    await pause(clock, plan.periodMs, signal);
  }
}

async function findProblem({ plan, target: own, clock }: HealthCheckOptions): Promise<string | undefined> {
  const { method, port, timeoutMs } = plan;
  const target = plan.host === undefined ? own : { ...own, host: plan.host };
  const outcome = await probe({ method, port, timeoutMs }, target, clock);
  if (outcome.status >= 200 && outcome.status < 400) return undefined;
  return outcome.problem ?? `the application answered with status ${outcome.status}`;
}

type SingleProbe = Pick<HealthCheckPlan, "method" | "port" | "timeoutMs">;

function probe({ method, port, timeoutMs }: SingleProbe, target: ProbeTarget, clock: Clock): Promise<ProbeOutcome> {
  switch (method.kind) {
    case "http":
      return probeHttp(target, { ...method, port, timeoutMs, statusPort: port }, clock);
    case "tcp":
      return probeTcp(target, { port, timeoutMs }, clock);
    case "grpc":
      return probeGrpc(target, { port, timeoutMs, service: method.service, userAgent: undefined }, clock);
    case "exec":
      return runCommand(method.command, timeoutMs);
  }
}

function runCommand([program = "", ...args]: readonly string[], timeoutMs: number): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: timeoutMs, killSignal: "SIGKILL" }, (error) => {
      resolve(error === null ? { status: 200 } : { status: 500, problem: error.message.split("\n")[0] ?? "" });
    });
  });
}
