import { createServer, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { resolveFlags } from "../config/flags.ts";
import { silentLog } from "../lib/log.ts";
import { createMemorySource, type MemorySource } from "../sources/memory.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { createLog } from "./log.ts";

const ephemeral = {
  secureGrpcAddr: "",
  grpcAddr: "127.0.0.1:0",
  httpAddr: "127.0.0.1:0",
  monitoringAddr: "127.0.0.1:0",
};
const service = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
`;
const running: ControlPlane[] = [];

afterEach(async () => {
  for (const controlPlane of running.splice(0)) await controlPlane.stop();
});

async function start(source: MemorySource, given: Record<string, string> = {}, log = silentLog): Promise<ControlPlane> {
  const { flags } = resolveFlags({ ...ephemeral, ...given }, {});
  const controlPlane = await startControlPlane({ flags, log, source });
  running.push(controlPlane);
  return controlPlane;
}

const get = (port: number, path: string): Promise<Response> => fetch(`http://127.0.0.1:${port}${path}`);

describe("a control plane in this process", () => {
  it("serves on ports of its own choice and shows the mesh", async () => {
    const source = createMemorySource();
    source.apply(service);
    const { grpcAddress, httpPort, monitoringPort, snapshot } = await start(source);
    expect(grpcAddress).toMatch(/^127\.0\.0\.1:[1-9]\d*$/);
    expect((await get(httpPort, "/ready")).status).toBe(200);
    const metrics = await (await get(monitoringPort, "/metrics")).text();
    expect(metrics).toMatch(/^pilot_services 1$/m);
    expect(metrics).toContain('pilot_inbound_updates{type="svc"} 1');
    expect(metrics).toContain('pilot_push_triggers{type="service"} 1');
    source.apply(service.replace("name: web", "name: shop"));
    expect(
      snapshot()
        .services.all.map(({ name }) => name)
        .sort(),
    ).toEqual(["shop", "web"]);
    const listed = (await (await get(httpPort, "/debug/registryz")).json()) as { hostname: string }[];
    expect(listed.map(({ hostname }) => hostname)).toContain("web.shop.svc.cluster.local");
  });

  it("hides the debug pages where they are switched off", async () => {
    const { httpPort } = await start(createMemorySource(), { debugOnHttp: "false" });
    expect((await get(httpPort, "/debug")).status).toBe(404);
    expect((await get(httpPort, "/ready")).status).toBe(200);
  });

  it("prints a problem of an object and counts it", async () => {
    const lines: string[] = [];
    const source = createMemorySource();
    const log = createLog({ level: "info", json: true, write: (line) => lines.push(line) });
    const { monitoringPort } = await start(source, {}, log);
    source.apply(service.replace("port: 80", "port: many"));
    await expect.poll(() => lines.join("")).toContain("Service shop/web");
    await expect
      .poll(async () => await (await get(monitoringPort, "/metrics")).text())
      .toContain('pilot_total_rejected_configs{type="Service",name="shop/web"} 1');
  });

  it("does not start where a port is taken, and leaves nothing behind", async () => {
    const taken = await new Promise<Server>((resolve) => {
      const server = createServer().listen(0, "127.0.0.1", () => resolve(server));
    });
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const source = createMemorySource();
    for (const flag of ["httpAddr", "monitoringAddr", "grpcAddr"]) {
      await expect(start(source, { [flag]: `127.0.0.1:${port}` })).rejects.toThrow(/EADDRINUSE|No address added/);
    }
    taken.close();
    // All ports that it did get are free again: it starts where nothing is in the way.
    await start(source, { grpcAddr: `127.0.0.1:${port}` });
  });
});
