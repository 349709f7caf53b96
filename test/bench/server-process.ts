/** The process that is measured: a whole control plane over a memory source, commanded by the load generator. */
import { createMemorySource } from "../../src/sources/memory.ts";
import { startTestControlPlane } from "../support/control-plane.ts";
import { buildMesh, type MeshSize } from "./large-mesh.ts";
import type { Answer, Command } from "./server-link.ts";

const size = JSON.parse(process.argv[2] ?? "{}") as MeshSize;
const source = createMemorySource();
source.apply(toText(buildMesh(size)));
const server = await startTestControlPlane({ source });

process.on("message", (message) => handle(message as Command));
// The load generator is gone: nobody will ask for anything any more.
process.on("disconnect", () => process.exit(1));
answer({ is: "listening", address: server.grpcAddress });

function handle(command: Command): void {
  switch (command.do) {
    case "apply": {
      const text = toText(command.objects);
      const at = process.hrtime.bigint();
      source.apply(text);
      answer({ is: "applied", at: String(at) });
      return;
    }
    case "usage":
      void readPushSeconds().then((pushSeconds) => {
        const { user, system } = process.cpuUsage();
        const rssBytes = process.memoryUsage.rss();
        answer({ is: "usage", usage: { cpuSeconds: (user + system) / 1e6, rssBytes, pushSeconds } });
      });
      return;
    case "stop":
      void server.stop().then(() => process.exit(0));
  }
}

/** Sum of the histogram over all types, as anybody can read it. */
async function readPushSeconds(): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${server.monitoringPort}/metrics`)).text();
  const sums = [...text.matchAll(/^pilot_xds_push_time_sum\{[^}]*\} (\S+)$/gm)];
  return sums.reduce((total, [, value]) => total + Number(value), 0);
}

/** JSON is YAML; one document for each object. */
function toText(objects: readonly object[]): string {
  return objects.map((object) => JSON.stringify(object)).join("\n---\n");
}

function answer(value: Answer): void {
  process.send?.(value);
}
