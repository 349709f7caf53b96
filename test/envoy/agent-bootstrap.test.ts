/** Bootstraps that the agent writes: each case says what the agent is told, its golden what Envoy is given; Envoy takes it. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { NetworkInterfaceInfo } from "node:os";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it, onTestFinished } from "vitest";
import { parse } from "yaml";
import type { ProxyType } from "../../packages/agent/src/config/node.ts";
import { type AgentFlags, defaultFlags, readSettings } from "../../packages/agent/src/config/settings.ts";
import { buildAgentBootstrap, type EnvoySockets } from "../../packages/agent/src/envoy/launch.ts";
import { envoyBinary } from "../../tools/envoy/fetch.ts";

interface Case {
  readonly type: ProxyType;
  readonly environment: Readonly<Record<string, string>>;
  readonly files?: Readonly<Record<string, string>>;
  readonly flags?: Partial<AgentFlags>;
  readonly sockets?: Partial<EnvoySockets>;
  readonly interfaces?: Readonly<Record<string, readonly { readonly address: string }[]>>;
  readonly logAsJson?: boolean;
}

const folder = fileURLToPath(new URL("agent-bootstrap/", import.meta.url));
const cases = readdirSync(folder)
  .filter((name) => name.endsWith(".yaml"))
  .map((name) => name.slice(0, -".yaml".length));

function buildCase({ type, environment, files = {}, ...rest }: Case): object {
  const given = rest.interfaces ?? { eth0: [{ address: environment["INSTANCE_IP"] ?? "" }] };
  const interfaces = Object.fromEntries(
    Object.entries(given).map(([name, infos]) => [
      name,
      // Nothing else of an interface is asked for.
      infos.map(({ address }) => ({ address, internal: false }) as NetworkInterfaceInfo),
    ]),
  );
  const settings = readSettings(
    { type, environment, flags: { ...defaultFlags, ...rest.flags }, interfaces },
    (path) => files[path],
  );
  const sockets = {
    xds: "./etc/istio/proxy/XDS",
    secrets: "./var/run/secrets/workload-spiffe-uds/socket",
    files: undefined,
    hasCredentials: false,
    ...rest.sockets,
  };
  return buildAgentBootstrap({ settings, sockets, logAsJson: rest.logAsJson ?? false });
}

describe("the agent's bootstrap", () => {
  it.each(cases)("%s is as recorded, and Envoy takes it", async (name) => {
    const bootstrap = buildCase(parse(readFileSync(join(folder, `${name}.yaml`), "utf8")) as Case);
    await expect(`${JSON.stringify(bootstrap, null, 2)}\n`).toMatchFileSnapshot(join(folder, `${name}.golden.txt`));
    const work = mkdtempSync(join(tmpdir(), "meltemi-bootstrap-"));
    onTestFinished(() => rmSync(work, { recursive: true, force: true }));
    const file = join(work, "bootstrap.json");
    writeFileSync(file, JSON.stringify(bootstrap));
    const { stdout } = await promisify(execFile)(await envoyBinary(), [
      "--mode",
      "validate",
      "-c",
      file,
      "-l",
      "error",
    ]);
    expect(stdout).toContain("OK");
  });
});
