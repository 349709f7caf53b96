/**
 * gRPC's interoperability cases, between the client and the server of gRPC for Go, through Envoy and through the companion
 * proxy: without TLS, with TLS that ends at the proxy, and with TLS on both sides.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConformancePrograms, conformancePrograms } from "../../../tools/conformance/programs.ts";
import { holdPorts } from "../../../tools/free-ports.ts";
import { type DataPlane, dataPlanes } from "../../envoy/envoy-process.ts";
import { createTestAuthority } from "../../support/test-authority.ts";
import { runInteropCase, startInteropServer } from "./grpc-programs.ts";
import { type LanePlane, startLanes } from "./lanes.ts";

/** For reports of load (ORCA), which come as binary trailers and as a stream beside the calls. */
const readsLoad = ['-service_config_json={"loadBalancingConfig":[{"test_backend_metrics_load_balancer":{}}]}'] as const;
/** What is slow is no failure here. */
const soak = [
  ...["-soak_iterations=20", "-soak_num_threads=2"],
  ...["-soak_per_iteration_max_acceptable_latency_ms=60000", "-soak_overall_timeout_seconds=90"],
] as const;

type InteropCase = readonly [name: string, ...flags: string[]];

/**
 * All cases of the client but those that need credentials of a cloud, and pick_first_unary: Go's server does not tell who
 * it is, so that it fails without any proxy.
 */
const cases: readonly InteropCase[] = [
  ["empty_unary"],
  ["large_unary"],
  ["client_streaming"],
  ["server_streaming"],
  ["ping_pong"],
  ["empty_stream"],
  ["timeout_on_sleeping_server"],
  ["cancel_after_begin"],
  ["cancel_after_first_response"],
  ["status_code_and_message"],
  ["special_status_message"],
  ["custom_metadata"],
  ["unimplemented_method"],
  ["unimplemented_service"],
  ["orca_per_rpc", ...readsLoad],
  ["orca_oob", ...readsLoad],
  ["rpc_soak", ...soak],
  ["channel_soak", ...soak],
];
const mebibyte = 1_048_576;
const laneNames = ["plain", "tls-to-plain", "tls-to-tls"] as const;
type LaneName = (typeof laneNames)[number];

const serverName = "interop.test";
const folder = mkdtempSync(join(tmpdir(), "meltemi-interop-"));
const roots = join(folder, "roots.pem");
const stops: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
const planes = new Map<DataPlane, LanePlane>();
let programs: ConformancePrograms;

beforeAll(async () => {
  programs = await conformancePrograms();
  const authority = await createTestAuthority("interop");
  const certificate = await authority.issue(serverName);
  const files = { certificate: join(folder, "server.pem"), key: join(folder, "server-key.pem") };
  writeFileSync(roots, authority.rootPem);
  writeFileSync(files.certificate, certificate.certificatePem);
  writeFileSync(files.key, certificate.privateKeyPem);
  const { ports, release } = await holdPorts(2);
  stops.push(release);
  const [plainPort = 0, securePort = 0] = ports;
  const program = programs.interopServer;
  stops.push((await startInteropServer({ program, port: plainPort })).stop);
  stops.push((await startInteropServer({ program, port: securePort, tls: files })).stop);
  const plain = { port: plainPort, protocol: "http2" } as const;
  const secure = { port: securePort, protocol: "http2", tls: { name: serverName, roots: authority.rootPem } } as const;
  const lanes = [
    { name: "plain", isTls: false, upstream: plain },
    { name: "tls-to-plain", isTls: true, upstream: plain },
    { name: "tls-to-tls", isTls: true, upstream: secure },
  ] as const;
  for (const plane of dataPlanes) {
    const started = await startLanes({ plane, lanes, certificate });
    stops.push(started.stop);
    planes.set(plane, started);
  }
});

afterAll(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function run(plane: DataPlane, lane: LaneName, [testCase, ...flags]: InteropCase): Promise<string> {
  const port = planes.get(plane)?.port(lane) ?? 0;
  const tls = lane === "plain" ? undefined : { name: serverName, roots };
  return runInteropCase({ program: programs.interopClient, port, testCase, flags, tls });
}

describe.each(dataPlanes)("gRPC through %s", (plane) => {
  describe.each(laneNames)("%s", (lane) => {
    it.concurrent.each(cases)("%s", async (testCase, ...flags) => {
      expect(await run(plane, lane, [testCase, ...flags])).toBe("passed");
    });
  });

  it("ends with no connection and no request left", async () => {
    await planes.get(plane)?.expectIdle();
    expect(planes.get(plane)?.isRunning()).toBe(true);
  });
});

it("leaves no more memory behind in the companion the more often it is run", { timeout: 400_000 }, async () => {
  const growth = await planes.get("companion")?.measureGrowth(async () => {
    for (const lane of laneNames) {
      const results = await Promise.all(cases.map((each) => run("companion", lane, each)));
      // A deadline of a millisecond is not kept in order where many programs run: who failed is asked again, alone.
      for (const again of cases.filter((_, index) => results[index] !== "passed"))
        expect(await run("companion", lane, again)).toBe("passed");
    }
  });
  // Some 170 calls of half a megabyte and 120 connections each time.
  expect(growth?.heap).toBeLessThan(2 * mebibyte);
  expect(growth?.resident).toBeLessThan(64 * mebibyte);
});
