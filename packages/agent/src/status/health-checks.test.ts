import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it, onTestFinished } from "vitest";
import { systemClock } from "../../../../src/lib/clock.ts";
import { silentLog } from "../../../../src/lib/log.ts";
import { type HealthCheckPlan, parseHealthChecks, runHealthChecks } from "./health-checks.ts";

const target = { host: "127.0.0.1", localAddress: "127.0.0.6" };

it.each([
  [{ httpGet: { port: 80, path: "live", scheme: "HTTPS", httpHeaders: [{ name: "X-A", value: "1" }] } }, "http"],
  [{ tcpSocket: { port: 80, host: "db" }, timeoutSeconds: 3, periodSeconds: 5, failureThreshold: 2 }, "tcp"],
  [{ grpc: { port: 80 }, initialDelaySeconds: 4 }, "grpc"],
  [{ exec: { command: ["true"] } }, "exec"],
])("reads %j", (readinessProbe, kind) => {
  const plan = parseHealthChecks({ readinessProbe });
  expect(plan?.method.kind).toBe(kind);
  expect([plan?.timeoutMs, plan?.periodMs, plan?.failureThreshold]).toEqual(
    kind === "tcp" ? [3_000, 5_000, 2] : [1_000, 10_000, 1],
  );
});

it.each([{}, { httpGet: { port: 1 }, exec: { command: ["x"] } }, { tcpSocket: {} }, { exec: { command: [] } }])(
  "refuses %j",
  (readinessProbe) => {
    expect(() => parseHealthChecks({ readinessProbe })).toThrow(/^readinessProbe/);
  },
);

/** What is reported, in order, until there are so many reports; `onReport` is called after each. */
async function watch(plan: HealthCheckPlan, count: number, onReport: (reports: number) => void): Promise<string[]> {
  const end = new AbortController();
  onTestFinished(() => end.abort());
  const reports: string[] = [];
  const options = {
    plan,
    target,
    checkReadiness: async () => undefined,
    signal: end.signal,
    clock: systemClock,
    log: silentLog,
  };
  await runHealthChecks({
    ...options,
    report(problem) {
      reports.push(problem ?? "well");
      if (reports.length === count) end.abort();
      else onReport(reports.length);
    },
  });
  return reports;
}

const fast = { initialDelaySeconds: 0.01, periodSeconds: 0.01, timeoutSeconds: 30 };

it("tells each change, after as many probes as it takes", async () => {
  let status = 503;
  let asked = 0;
  const server = createServer((_incoming, response) => {
    asked += 1;
    response.writeHead(status).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const plan = parseHealthChecks({
    readinessProbe: { httpGet: { port }, ...fast, failureThreshold: 3, successThreshold: 2 },
  });
  if (plan === undefined) throw new Error("there is no plan");
  const counts: number[] = [];
  const reports = await watch(plan, 3, (number) => {
    counts.push(asked);
    asked = 0;
    status = number === 1 ? 302 : 500;
  });
  const ill = "the application answered with status 503";
  expect(reports).toEqual([ill, "well", "the application answered with status 500"]);
  expect(counts).toEqual([3, 2]);
});

it.each([
  [["true"], "well"],
  [["false"], "Command failed: false"],
  [["/nowhere/program"], "spawn /nowhere/program ENOENT"],
])("runs %s", async (command, expected) => {
  const plan = parseHealthChecks({ readinessProbe: { exec: { command }, ...fast } });
  if (plan === undefined) throw new Error("there is no plan");
  expect(await watch(plan, 1, () => undefined)).toEqual([expected]);
});
