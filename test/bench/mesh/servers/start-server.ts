import type { GivenOptions } from "../../../../src/config/flags.ts";
import type { Mesh } from "../meshes/mesh.ts";
import { type ExternalServerOptions, openExternalServer } from "./external-server.ts";
import { startFileServer } from "./file-server.ts";
import { startKubernetesServer } from "./kubernetes-server.ts";
import { startMemoryServer } from "./memory-server.ts";
import type { MeshServer } from "./mesh-server.ts";

export const forkedSources = ["memory", "file", "kubernetes"] as const;

export type ServerChoice =
  | {
      readonly source: (typeof forkedSources)[number];
      /** Flags of the control plane, beside those that name the source. */
      readonly flags: GivenOptions;
    }
  | ({ readonly source: "external" } & ExternalServerOptions);

/** Starts a server with a mesh (or gives it to one that runs). */
export function startServer(
  choice: ServerChoice,
  { objects, probe }: Mesh,
  progress: (line: string) => void,
): Promise<MeshServer> {
  switch (choice.source) {
    case "memory":
      return startMemoryServer(objects, choice.flags);
    case "file":
      return startFileServer(objects, choice.flags);
    case "kubernetes":
      return startKubernetesServer(objects, choice.flags, progress);
    case "external":
      return openExternalServer(objects, probe, choice);
  }
}
