/**
 * Builds the programs by which others tell whether HTTP/2 and gRPC are spoken rightly, from the Go module beside this file:
 * h2spec (a client that breaks the rules), h2specd (a server that does), and the interoperability client and server of
 * gRPC for Go. The result stays in .cache/conformance.
 */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBuilt, type GoModule } from "../go/go-module.ts";

const module: GoModule = {
  name: "conformance",
  folder: fileURLToPath(new URL(".", import.meta.url)),
  cacheFolder: fileURLToPath(new URL("../../.cache/conformance/", import.meta.url)),
  programs: { h2spec: "h2spec", h2specd: "h2specd", client: "grpc-interop-client", server: "grpc-interop-server" },
  ldflags: "-s -w",
  duration: "1 to 3 minutes on two processors",
};

export interface ConformancePrograms {
  readonly h2spec: string;
  readonly h2specd: string;
  readonly interopClient: string;
  readonly interopServer: string;
}

/**
 * Paths of the programs; builds what is missing or belongs to another version. `progress` receives one line for each
 * step. Rejects with a message that says what to install.
 */
export async function conformancePrograms(
  progress: (line: string) => void = () => undefined,
): Promise<ConformancePrograms> {
  await ensureBuilt(module, progress);
  const path = (name: string): string => join(module.cacheFolder, name);
  return {
    h2spec: path("h2spec"),
    h2specd: path("h2specd"),
    interopClient: path("grpc-interop-client"),
    interopServer: path("grpc-interop-server"),
  };
}
