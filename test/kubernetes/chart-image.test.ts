/** The Dockerfiles, without Docker: what they copy is there, and with no more than that the programs run. */
import { type ChildProcess, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { envoyBinary } from "../../tools/envoy/fetch.ts";
import { findFreePort, findFreePorts } from "../../tools/free-ports.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const readText = (file: string): string => readFileSync(join(root, file), "utf8");

interface Instruction {
  /** Stage that it stands in, by its number. */
  readonly stage: number;
  readonly name: string;
  readonly words: readonly string[];
}

/** Instructions of a Dockerfile in the forms that ours use: lines with continuations, no here-documents. */
function parseDockerfile(text: string): readonly Instruction[] {
  const lines = text
    .replaceAll(/^#.*\n/gm, "")
    .replaceAll("\\\n", " ")
    .split("\n")
    .filter(Boolean);
  let stage = -1;
  return lines.map((line) => {
    const [name = "", ...words] = line.trim().split(/\s+/);
    if (name === "FROM") stage += 1;
    return { stage, name, words };
  });
}

/** Sources of the COPY instructions from the builder's context. */
const contextCopies = (instructions: readonly Instruction[]): readonly Instruction[] =>
  instructions.filter(({ name, words }) => name === "COPY" && !words[0]?.startsWith("--from="));

const ignoreRules = readText(".dockerignore")
  .split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"));

/** A pattern of .dockerignore: "*" stays within a name, and a leading double star also means the top. */
function matches(path: string, pattern: string): boolean {
  const source = pattern.replaceAll(".", "\\.").replaceAll("*", "[^/]*").replace("[^/]*[^/]*/", "(.*/)?");
  return new RegExp(`^${source}$`).test(path);
}

/** True for a path that .dockerignore keeps from the builder: the last rule that matches it or a folder above counts. */
function isIgnored(path: string): boolean {
  const parents = path.split("/").map((_part, index, parts) => parts.slice(0, index + 1).join("/"));
  const last = ignoreRules.findLast((rule) => parents.some((parent) => matches(parent, rule.replace("!", ""))));
  return last !== undefined && !last.startsWith("!");
}

const listFiles = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).map((path) => join(folder, path));

interface LockedPackage {
  readonly dev?: boolean;
  readonly link?: boolean;
  readonly resolved?: string;
}

/** What `npm ci --omit=dev` installs, by the lockfile: folders below node_modules. */
const packages = Object.entries(
  (JSON.parse(readText("package-lock.json")) as { readonly packages: Readonly<Record<string, LockedPackage>> })
    .packages,
).filter(([path, { dev }]) => path.startsWith("node_modules/") && dev !== true);

/** Lays the files of the last stage out as Docker would; packages and generated code as the other stages make them. */
function layOutImage(image: string): void {
  const instructions = parseDockerfile(readText("Dockerfile"));
  const last = Math.max(...instructions.map(({ stage }) => stage));
  for (const { words } of contextCopies(instructions.filter(({ stage }) => stage === last))) {
    const target = words.at(-1) ?? "";
    for (const source of words.slice(0, -1)) {
      const filter = (path: string): boolean => !isIgnored(path.slice(root.length));
      const destination = target === "./" ? join(image, source) : join(image, target);
      cpSync(join(root, source), destination, { recursive: true, filter });
    }
  }
  cpSync(join(root, "packages/protos/gen"), join(image, "packages/protos/gen"), { recursive: true });
  for (const [path, { link, resolved }] of packages) {
    if (link !== true) cpSync(join(root, path), join(image, path), { recursive: true });
    else if (resolved !== undefined) {
      const depth = path.split("/").length - 1;
      cpSync(join(root, path, ".."), join(image, path, ".."), {
        recursive: true,
        // Links to workspaces are made below, each for itself.
        filter: (file) => !lstatSync(file).isSymbolicLink(),
      });
      symlinkSync(join("../".repeat(depth), resolved), join(image, path));
    }
  }
}

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** The end of a process and all that it printed. */
function endOf(child: ChildProcess): Promise<Ended> {
  let output = "";
  child.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}

/** True as soon as the page is there, false where the process ends first or ten seconds go by. */
async function answers(child: ChildProcess, url: string): Promise<boolean> {
  for (let attempt = 0; attempt < 200 && child.exitCode === null; attempt++) {
    const isOk = await fetch(url).then(
      (response) => response.ok,
      () => false,
    );
    if (isOk) return true;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return false;
}

describe.each([
  ["Dockerfile", "65532:65532"],
  // The user whose traffic is not redirected.
  ["Dockerfile.proxy", "1337:1337"],
])("%s", (file, user) => {
  const instructions = parseDockerfile(readText(file));

  it("copies what is there and what .dockerignore lets through", () => {
    const sources = contextCopies(instructions).flatMap(({ words }) => words.slice(0, -1));
    expect(sources.length).toBeGreaterThan(0);
    expect(sources.filter((source) => !existsSync(join(root, source)) || isIgnored(source.replace(/\/$/, "")))).toEqual(
      [],
    );
  });

  it("ends in an image without rights, started without a shell", () => {
    const last = Math.max(...instructions.map(({ stage }) => stage));
    const ofImage = instructions.filter(({ stage }) => stage === last);
    expect(ofImage.filter(({ name }) => name === "RUN")).toEqual([]);
    expect(ofImage.find(({ name }) => name === "USER")?.words).toEqual([user]);
    const start = JSON.parse(
      ofImage.find(({ name }) => name === "ENTRYPOINT")?.words.join(" ") ?? "",
    ) as readonly string[];
    expect(start[0]).toBe("/nodejs/bin/node");
  });
});

describe("the builder's context", () => {
  it("has the manifest of every workspace where packages are installed", () => {
    const workspaces = packages
      .filter(([, { link }]) => link === true)
      .map(([, { resolved }]) => `${resolved}/package.json`);
    const stages = parseDockerfile(readText("Dockerfile"));
    for (const { stage } of stages.filter(({ name, words }) => name === "RUN" && words[1] === "ci")) {
      const copied = contextCopies(stages.filter((one) => one.stage === stage)).flatMap(({ words }) =>
        words.slice(0, -1),
      );
      expect(copied).toEqual(expect.arrayContaining([...workspaces, "package.json", "package-lock.json", ".npmrc"]));
    }
    expect(workspaces.length).toBeGreaterThan(0);
  });

  it("has no test, no generated code, no installed package and nothing beside", () => {
    expect(listFiles("src").filter((path) => !path.endsWith(".test.ts") && isIgnored(path))).toEqual([]);
    expect(listFiles("src").filter((path) => path.endsWith(".test.ts") && !isIgnored(path))).toEqual([]);
    for (const path of [
      "packages/protos/gen",
      "node_modules",
      ".git",
      ".cache",
      "test",
      "README.md",
      "manifests/chart",
    ]) {
      expect([path, isIgnored(path)]).toEqual([path, true]);
    }
  });
});

describe("the control plane's image", () => {
  const image = mkdtempSync(join(tmpdir(), "meltemi-image-"));
  const program = join(image, "src/cli/meltemi.mjs");
  const listImage = (): readonly string[] => readdirSync(image, { recursive: true, encoding: "utf8" }).sort();
  let before: readonly string[] = [];

  beforeAll(() => {
    layOutImage(image);
    before = listImage();
  });
  afterAll(() => rmSync(image, { recursive: true }));

  /** With nothing of this machine: no search path for packages, no home. */
  const run = (...args: readonly string[]): ChildProcess =>
    spawn(process.execPath, [program, ...args], { cwd: image, env: { NODE_ENV: "production" } });

  it("explains itself", async () => {
    const { code, output } = await endOf(run("serve", "--help"));
    expect(output).toContain("Usage: meltemi serve");
    expect(code).toBe(0);
  });

  it("serves, writes no file and ends cleanly", async () => {
    const port = await findFreePort();
    const config = join(root, "manifests/samples/bookinfo");
    const none = "127.0.0.1:0";
    const addresses = [
      "--secureGRPCAddr",
      none,
      "--grpcAddr",
      none,
      "--monitoringAddr",
      none,
      "--httpAddr",
      `127.0.0.1:${port}`,
    ];
    const child = run("serve", "--config-dir", config, ...addresses);
    onTestFinished(() => void child.kill("SIGKILL"));
    const end = endOf(child);
    const isReady = await answers(child, `http://127.0.0.1:${port}/ready`);
    child.kill("SIGTERM");
    const { code, output } = await end;
    expect([isReady, code, output]).toEqual([true, 0, expect.stringContaining("stopped")]);
    expect(listImage()).toEqual(before);
  });
});

describe("the proxy's image", () => {
  const start = join(root, "manifests/docker/start-envoy.ts");

  it("becomes Envoy with the bootstrap of its arguments, and hears SIGTERM itself", async () => {
    const [envoy, [port = 0, nobody = 0]] = [await envoyBinary(), await findFreePorts(2)];
    const identity = ["ingress.istio-system", "--type", "router", "--ip", "127.0.0.1"];
    // No control plane that happens to run on the usual port shall serve this Envoy.
    const args = [...identity, "--admin-port", String(port), "--discovery", `127.0.0.1:${nobody}`];
    const child = spawn(process.execPath, [
      start,
      envoy,
      ...args,
      "--",
      "--concurrency",
      "1",
      "--log-level",
      "warning",
    ]);
    onTestFinished(() => void child.kill("SIGKILL"));
    const end = endOf(child);
    expect(await answers(child, `http://127.0.0.1:${port}/server_info`)).toBe(true);
    const info = await (await fetch(`http://127.0.0.1:${port}/server_info`)).json();
    expect(info).toMatchObject({
      node: { id: "router~127.0.0.1~ingress.istio-system~istio-system.svc.cluster.local" },
      command_line_options: { concurrency: 1, disable_hot_restart: true },
    });
    expect(readlinkSync(`/proc/${child.pid}/exe`)).toBe(envoy);
    child.kill("SIGTERM");
    expect((await end).code).toBe(0);
  });

  it("passes on what is wrong with its arguments", async () => {
    const { code, output } = await endOf(spawn(process.execPath, [start, "/nowhere/envoy", "ingress"]));
    expect(output).toContain("Give name and namespace");
    expect(code).toBe(2);
  });
});
