/** The whole control plane in one process over objects that a test holds, and clients for it. */
import { onTestFinished } from "vitest";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { createMemorySource, type MemorySource } from "../../src/sources/memory.ts";
import type { XdsLimits } from "../../src/xds/limits.ts";
import { startTestControlPlane } from "./control-plane.ts";
import { XdsClient } from "./xds-client.ts";

export interface RunningMesh {
  readonly source: MemorySource;
  readonly controlPlane: ControlPlane;
  /** A client with a connection of its own, closed with the test. */
  connect(): XdsClient;
}

/** Starts a control plane with the objects of a YAML text on ports of its own; it stops with the test. */
export async function startMesh(yaml: string, limits: Partial<XdsLimits> = {}): Promise<RunningMesh> {
  const source = createMemorySource();
  source.apply(yaml);
  // Without a quiet time every change goes out on its own: tests can tell which change did what.
  const controlPlane = await startTestControlPlane({
    source,
    limits: { debounceQuietMs: 0, drainMs: 500, ...limits },
  });
  const clients: XdsClient[] = [];
  onTestFinished(async () => {
    for (const client of clients) client.close();
    await controlPlane.stop();
  });
  return {
    source,
    controlPlane,
    connect: () => {
      const client = new XdsClient(controlPlane.grpcAddress);
      clients.push(client);
      return client;
    },
  };
}
