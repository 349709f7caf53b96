import { parseAllDocuments } from "yaml";
import type { MeshObject } from "../../src/api/kinds.ts";
import { defaultMeshConfig } from "../../src/api/mesh-config/defaults.ts";
import type { MeshConfig } from "../../src/api/mesh-config/schema.ts";
import { parseObjects } from "../../src/api/parse.ts";
import { formatMessage } from "../../src/lib/message.ts";
import { createSnapshotBuilder, type SnapshotBuilder } from "../../src/snapshot/build.ts";
import type { Snapshot } from "../../src/snapshot/snapshot.ts";
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

/** A mesh that can be changed step by step, as sources change it; `mesh` replaces single settings. */
export function createTestMesh(mesh: Partial<MeshConfig> = {}): SnapshotBuilder {
  return createSnapshotBuilder({
    domain: "cluster.local",
    clusterId: "Kubernetes",
    mesh: { ...defaultMeshConfig, ...mesh },
  });
}

/** A builder that holds the objects of a YAML text. */
export function buildMesh(yaml: string): SnapshotBuilder {
  const builder = createTestMesh();
  builder.apply(setObjects(parseMeshObjects(yaml)));
  return builder;
}

/** Sets these objects and gives the snapshot that has them. */
export function applyObjects(builder: SnapshotBuilder, ...objects: readonly MeshObject[]): Snapshot {
  return builder.apply(setObjects(objects)).after;
}

/** A mesh of these objects. */
export function snapshotOf(objects: readonly MeshObject[], mesh: Partial<MeshConfig> = {}): Snapshot {
  return applyObjects(createTestMesh(mesh), ...objects);
}
