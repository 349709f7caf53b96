import { describe } from "vitest";
import { parseAllDocuments } from "yaml";
import { createKubeClient } from "../../src/kube/create-kube-client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { silentLog } from "../../src/lib/log.ts";
import { createKubernetesSource } from "../../src/sources/kubernetes/kubernetes-source.ts";
import { FakeApiServer, type RawObject } from "../support/fake-api-server.ts";
import { defineSourceLaws } from "./source-laws.ts";

/** Puts the objects of a text on the server, and removes those that the text held before. */
function writePart(server: FakeApiServer, parts: Map<string, readonly string[]>, part: string, text: string): void {
  const objects = parseAllDocuments(text).flatMap((document) => (document.toJS() as RawObject | null) ?? []);
  for (const object of objects) {
    server.put("services", { ...object, metadata: { ...object.metadata, namespace: "default" } });
  }
  const names = objects.map(({ metadata }) => metadata.name);
  for (const name of parts.get(part) ?? []) if (!names.includes(name)) server.remove("services", name);
  parts.set(part, names);
}

describe.each([
  ["streamed lists", true],
  ["lists in pages", false],
])("the Kubernetes source with %s", (_, canStreamLists) => {
  defineSourceLaws(async () => {
    const server = await FakeApiServer.start();
    server.canStreamLists = canStreamLists;
    const client = await createKubeClient({ kubeconfig: server.kubeconfig(), clock: systemClock, log: silentLog });
    const parts = new Map<string, readonly string[]>();
    return {
      source: createKubernetesSource({
        client,
        kinds: ["Service"],
        systemNamespace: "istio-system",
        secretNamespaces: [],
        clock: systemClock,
        random: Math.random,
        log: silentLog,
        // The events of one write may come in several chunks.
        limits: { batchMs: 20 },
      }),
      write: async (part, text) => writePart(server, parts, part, text),
      settle: () => new Promise<void>((resolve) => setTimeout(resolve, 200)),
      close: async () => {
        client.close();
        await server.close();
      },
    };
  });
});
