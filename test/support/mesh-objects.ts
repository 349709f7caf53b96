import { parseAllDocuments } from "yaml";
import type { MeshObject } from "../../src/api/kinds.ts";
import { parseObjects } from "../../src/api/parse.ts";
import { formatMessage } from "../../src/lib/message.ts";
import { createSnapshotBuilder, type SnapshotBuilder } from "../../src/snapshot/build.ts";
import type { ChangeSet } from "../../src/sources/source.ts";

/** Parses objects from YAML text (several documents); an object with an error fails the test that wrote it. */
export function parseMeshObjects(yaml: string): readonly MeshObject[] {
  return parseAllDocuments(yaml).flatMap((document) => {
    const raw: unknown = document.toJS();
    if (raw === null) return [];
    return parseObjects(raw).flatMap((parsed) => {
      const error = parsed.messages.find((message) => message.level === "error");
      if (error !== undefined) throw new Error(formatMessage(error));
      return parsed.object ?? [];
    });
  });
}

/** A change set that sets these objects. */
export function setObjects(objects: readonly MeshObject[]): ChangeSet {
  return { changes: objects.map((object) => ({ type: "set", object })), problems: [] };
}

/** A builder that holds the objects of a YAML text. */
export function buildMesh(yaml: string): SnapshotBuilder {
  const builder = createSnapshotBuilder({ domain: "cluster.local", clusterId: "Kubernetes" });
  builder.apply(setObjects(parseMeshObjects(yaml)));
  return builder;
}
