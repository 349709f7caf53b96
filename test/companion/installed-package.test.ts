/** The companion proxy as `npm install` leaves it on a machine that has Node and nothing of this repository. */
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type HeldPorts, holdPorts } from "../../tools/free-ports.ts";
import { eventually } from "../envoy/envoy-process.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const path = [dirname(process.execPath), process.env["PATH"] ?? ""].join(delimiter);
/** All that a program has from its surroundings. */
const bare = { HOME: process.env["HOME"] ?? "", PATH: path };

interface Packed {
  readonly filename: string;
  readonly files: readonly { readonly path: string }[];
}

let folder: string;
let packed: Packed;
let ports: HeldPorts;
const project = (...names: readonly string[]): string => join(folder, "project", ...names);
const installed = (...names: readonly string[]): string => project("node_modules/@meltemi/proxy", ...names);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "meltemi-package-"));
  ports = await holdPorts(2);
  const pack = ["pack", "--workspace", "@meltemi/proxy", "--pack-destination", folder, "--json"];
  packed = readPacked((await run("npm", pack, { cwd: root, env: registryEnvironment() })).stdout);
  mkdirSync(project());
  // What the cache has needs no network: `npm ci` of this repository has just fetched the same.
  const install = ["install", "--prefer-offline", join(folder, packed.filename)];
  const { code, stderr } = await run("npm", install, { cwd: project(), env: registryEnvironment() });
  expect(code, stderr).toBe(0);
}, 400_000);

afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await ports.release();
});

/** How the registry is reached is this machine's affair: its environment, but for what npm has set for the tests' own run. */
function registryEnvironment(): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(?:npm_|NODE_OPTIONS$|INIT_CWD$)/i.test(name));
  return { ...Object.fromEntries(own), PATH: path };
}

/** npm prints what scripts say before its JSON, and has had two forms of that: a list, and an object by name. */
function readPacked(output: string): Packed {
  const json = JSON.parse(output.slice(output.search(/^[[{]$/m))) as Readonly<Record<string, Packed>>;
  const [first] = Object.values(json);
  if (first === undefined) throw new Error(`npm packed nothing:\n${output}`);
  return first;
}

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(
  program: string,
  args: readonly string[],
  { cwd = project(), env = bare }: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = execFile(program, [...args], { cwd, env, maxBuffer: 1 << 26 }, (_error, stdout, stderr) =>
      resolve({ code: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

/** `--no`: what is not installed is not fetched. */
const npx = (...args: readonly string[]): Promise<Ended> => run("npx", ["--no", "meltemi-proxy", "--", ...args]);

/** The example of the documentation that is installed, on ports of this test. */
function writeExample(): string {
  const [, example = ""] = /<<'YAML'\n(.*?)\nYAML\n/s.exec(readFileSync(installed("dist/proxy.md"), "utf8")) ?? [];
  const [listener, admin] = ports.ports;
  const text = example.replace("port_value: 8080", `port_value: ${listener}`);
  writeFileSync(project("proxy.yaml"), text.replace("port_value: 9901", `port_value: ${admin}`));
  return "proxy.yaml";
}

describe("the package", () => {
  it("holds what it needs and nothing else", () => {
    const known =
      /^(?:LICENSE|README\.md|package\.json|src\/cli\/meltemi-proxy\.mjs|dist\/proxy\.md|dist\/.+\.js|dist\/.+\.d\.ts|dist\/protos\/gen\/descriptors\.json)$/;
    const paths = packed.files.map((file) => file.path);
    expect(paths.filter((name) => !known.test(name) || /test/.test(name))).toEqual([]);
    expect(paths).toEqual(expect.arrayContaining(["LICENSE", "README.md", "dist/index.js", "dist/index.d.ts"]));
    for (const name of paths) {
      const text = readFileSync(installed(name), "utf8");
      expect(text.includes(join(root, "packages")) || text.includes(join(root, "node_modules")), name).toBe(false);
    }
    expect(readFileSync(installed("LICENSE"), "utf8")).toBe(readFileSync(join(root, "LICENSE"), "utf8"));
  });

  it("can be published, and depends on what is published", () => {
    const manifest = JSON.parse(readFileSync(installed("package.json"), "utf8")) as {
      readonly private?: boolean;
      readonly dependencies: Readonly<Record<string, string>>;
    };
    expect(manifest).not.toHaveProperty("private");
    expect(Object.keys(manifest.dependencies).filter((name) => name.startsWith("@meltemi/"))).toEqual([]);
  });
});

describe("the installed command", () => {
  it("says its version", async () => {
    const { version } = JSON.parse(readFileSync(installed("package.json"), "utf8")) as { readonly version: string };
    const text = `meltemi-proxy  version: ${version}/node-${process.versions.node}\n`;
    expect(await npx("--version")).toMatchObject({ code: 0, stdout: text });
  });

  it("says what it needs where Node is too old", async () => {
    const older = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.20.2" } })`;
    const args = ["--import", `data:text/javascript,${older}`, installed("src/cli/meltemi-proxy.mjs"), "--version"];
    const stderr = "meltemi-proxy needs Node 22.19 or newer; this is Node 20.20.2.\n";
    expect(await run(process.execPath, args)).toEqual({ code: 1, stdout: "", stderr });
  });

  it("serves the example of its documentation", async () => {
    const file = writeExample();
    const checked = await npx("-c", file, "--mode", "validate");
    expect(checked).toMatchObject({ code: 0, stdout: `configuration '${file}' OK\n` });
    const [listener, admin] = ports.ports;
    const served = npx("-c", file);
    let hasEnded = false;
    void served.then(() => (hasEnded = true));
    const isServing = async (): Promise<boolean> => (await fetch(`http://127.0.0.1:${admin}/ready`)).status === 200;
    try {
      await eventually("it serves", async () => hasEnded || (await isServing()), 60_000);
      expect(hasEnded).toBe(false);
      expect(await (await fetch(`http://127.0.0.1:${listener}/`)).text()).toBe("hello\n");
      const stats = await (await fetch(`http://127.0.0.1:${admin}/stats?usedonly`)).text();
      expect(stats).toContain("http.hello.downstream_rq_2xx: 1\n");
    } finally {
      await fetch(`http://127.0.0.1:${admin}/quitquitquit`, { method: "POST" }).catch(() => undefined);
    }
    const { code, stdout } = await served;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\[[^\]]+\] "GET \/ HTTP\/1\.1" 200 - 0 6 /m);
  });
});

describe("the installed library", () => {
  const program = (problem: string): string => `
import { ConfigError, readBootstrap, type RunningProxy, startProxy } from "@meltemi/proxy";
const proxy: RunningProxy = await startProxy({ bootstrap: { path: "proxy.yaml" } });
await proxy.live;
const [listener] = proxy.listeners.list();
const port: number | undefined = proxy.adminPort;
console.log(listener?.name, port, readBootstrap("node: { id: a }").bootstrap.node?.id, proxy.state());
await proxy.close();
console.log(await startProxy({ bootstrap: { json: { nodes: 1 } } }).catch((error: unknown) => error instanceof ConfigError));
${problem}
`;

  it("serves a program", async () => {
    writeExample();
    writeFileSync(project("program.mts"), program(""));
    const { code, stdout, stderr } = await run(process.execPath, ["program.mts"]);
    expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: `hello ${ports.ports[1]} a LIVE\ntrue\n` });
  });

  it("has types", async () => {
    writeFileSync(project("typed.mts"), program(""));
    writeFileSync(project("mistyped.mts"), program('proxy.state() satisfies "DEAD";'));
    const tsc = [join(root, "node_modules/typescript/bin/tsc"), "--noEmit", "--strict", "--module", "nodenext"];
    const types = [
      "--target",
      "es2023",
      "--types",
      "node",
      "--typeRoots",
      join(root, "node_modules/@types"),
      "--skipLibCheck",
    ];
    const { stdout } = await run(process.execPath, [...tsc, ...types, "typed.mts", "mistyped.mts"]);
    const errors = stdout.split("\n").filter((line) => line.includes(": error TS"));
    expect(errors).toEqual([expect.stringMatching(/^mistyped\.mts\(.+ does not satisfy the expected type '"DEAD"'/)]);
  });
});
