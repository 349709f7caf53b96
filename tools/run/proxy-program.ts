/** Which program the proxies of the local mesh are: the companion proxy, or with PROXY=envoy a real Envoy. */
import { fileURLToPath } from "node:url";
import { envoyBinary } from "../envoy/fetch.ts";

export interface ProxyProgram {
  /** What the proxies are called on the terminal, many of them. */
  readonly title: string;
  readonly command: string;
  /** What comes before the options that both take. */
  readonly args: readonly string[];
}

const companion = fileURLToPath(new URL("../../packages/proxy/src/cli/meltemi-proxy.mjs", import.meta.url));

/**
 * The program of a name; the companion proxy where there is none. Envoy is fetched where it is missing, of which
 * `progress` hears. Rejects for other names, and where Envoy cannot be fetched.
 */
export async function findProxyProgram(name: string, progress: (line: string) => void): Promise<ProxyProgram> {
  switch (name) {
    case "":
    case "companion":
      // Connections that applications keep open would hold up Ctrl-C for as long as proxies wait for their clients.
      return { title: "companion proxies", command: process.execPath, args: [companion, "--drain-time-s", "1"] };
    case "envoy":
      return { title: "Envoys", command: await envoyBinary(progress), args: [] };
    default:
      throw new Error(`PROXY is companion (also where it is not given) or envoy, not ${JSON.stringify(name)}`);
  }
}
