/** Cases of a reference folder, given to real Envoys that name themselves as its nodes do. */
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ControlPlane } from "../../src/bootstrap/control-plane.ts";
import { type Acceptance, checkAcceptance } from "../../test/envoy/acceptance.ts";
import type { NodeJson } from "../../test/envoy/isolated-envoy.ts";
import { startTestControlPlane } from "../../test/support/control-plane.ts";

export interface AcceptanceRow extends Acceptance {
  readonly proxy: string;
  readonly variant: "sotw" | "delta";
  /** The node's ISTIO_VERSION; "none": without one, as stock Envoys are. */
  readonly istioVersion: string;
}

/**
 * Gives a case of `folder` (mesh.yaml, cases/NAME/config.yaml) to an Envoy for each node, in both forms of xDS, with the
 * node's version of Istio and without one.
 */
export async function* acceptCase(
  folder: string,
  name: string,
  nodes: Readonly<Record<string, NodeJson>>,
): AsyncGenerator<AcceptanceRow> {
  const directory = mkdtempSync(join(tmpdir(), "meltemi-parity-"));
  copyFileSync(join(folder, "mesh.yaml"), join(directory, "mesh.yaml"));
  copyFileSync(join(folder, "cases", name, "config.yaml"), join(directory, "zz-config.yaml"));
  const server = await startTestControlPlane({ configDir: directory });
  try {
    for (const [proxy, node] of Object.entries(nodes)) {
      const { ISTIO_VERSION: version, ...metadata } = node.metadata;
      const stock = { node: { ...node, metadata }, istioVersion: "none" };
      const claims = version === undefined ? [stock] : [{ node, istioVersion: String(version) }, stock];
      for (const variant of ["sotw", "delta"] as const) {
        for (const { node: claimed, istioVersion } of claims) {
          yield { proxy, variant, istioVersion, ...(await accept(server, claimed, variant)) };
        }
      }
    }
  } finally {
    await server.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function accept(server: ControlPlane, node: NodeJson, variant: "sotw" | "delta"): Promise<Acceptance> {
  return checkAcceptance(server, { node, delta: variant === "delta" }).catch(nothingTaken);
}

/** An Envoy that ends or never gets everything has refused the case. */
function nothingTaken(cause: unknown): Acceptance {
  return {
    clusters: 0,
    listeners: 0,
    routes: 0,
    endpoints: 0,
    warming: [],
    awaitsCredentials: false,
    rejections: [String(cause)],
  };
}
