/**
 * The local mesh of `make run` as a newcomer meets it: real services behind companion proxies, or behind real Envoys, files
 * edited while it runs.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listPorts } from "../../tools/run/mesh-layout.ts";
import { takeLocalMeshTurn } from "../support/local-mesh-turn.ts";
import { dataPlanes, eventually } from "./envoy-process.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const gateway = "http://127.0.0.1:8080";
const debug = "http://127.0.0.1:15014/debug";
let folder: string;
let mesh: ChildProcess;
let output = "";
let endTurn = (): void => undefined;
/** Fourteen programs start at once, beside whatever else this machine does. */
const startMs = 240_000;

async function startMesh(proxy: string): Promise<void> {
  endTurn = await takeLocalMeshTurn();
  folder = mkdtempSync(join(tmpdir(), "meltemi-mesh-"));
  cpSync(join(root, "manifests/samples/bookinfo"), folder, { recursive: true });
  const env = { ...process.env, CONFIG_DIR: folder, PROXY: proxy };
  output = "";
  mesh = spawn(process.execPath, ["tools/run/run.ts"], { cwd: root, env });
  for (const stream of [mesh.stdout, mesh.stderr]) stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = (): boolean => mesh.exitCode !== null;
  await eventually("the mesh serves", async () => ended() || output.includes("Three things to try"), startMs);
  if (ended()) throw new Error(`make run ended:\n${output}`);
  await eventually("the product page has reviews", async () => (await countVersions(1)).size === 1);
}

async function endMesh(): Promise<void> {
  const ended = new Promise((resolve) => mesh.once("exit", resolve));
  if (mesh.exitCode === null && mesh.kill("SIGINT")) await ended;
  rmSync(folder, { recursive: true, force: true });
  endTurn();
}

/** How many of the next pages were served by which version of reviews; pages without reviews count as "none". */
async function countVersions(pages: number): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (let page = 0; page < pages; page++) {
    const response = await fetch(`${gateway}/productpage`);
    const version = /Reviews served by: <b>reviews-(v\d)</.exec(await response.text())?.[1] ?? "none";
    counts.set(version, (counts.get(version) ?? 0) + 1);
  }
  return counts;
}

const reviewsFile = (): string => join(folder, "reviews.yaml");
const original = readFileSync(join(root, "manifests/samples/bookinfo/reviews.yaml"), "utf8");

function weigh(v1: number, v2: number, v3: number): string {
  const weights = [v1, v2, v3];
  let index = 0;
  return original.replaceAll(/weight: \d+/g, () => `weight: ${weights[index++]}`);
}

describe.each(dataPlanes)("the Bookinfo mesh with %s", (proxy) => {
  beforeAll(() => startMesh(proxy), 420_000);
  afterAll(endMesh);

  it("sends everything to v1 at first", async () => {
    expect(await countVersions(50)).toEqual(new Map([["v1", 50]]));
  });

  it("follows an edited weight", async () => {
    writeFileSync(reviewsFile(), weigh(0, 0, 100));
    await eventually("v3 serves", async () => (await countVersions(1)).has("v3"));
    expect(await countVersions(200)).toEqual(new Map([["v3", 200]]));
    writeFileSync(reviewsFile(), weigh(50, 50, 0));
    await eventually("v3 serves no more", async () => !(await countVersions(5)).has("v3"));
    const counts = await countVersions(200);
    expect([...counts.keys()].sort()).toEqual(["v1", "v2"]);
    // 200 throws of a coin: fewer than 60 of either side happens once in 100 million times.
    for (const count of counts.values()) expect(count).toBeGreaterThan(60);
  });

  it("says where a file is wrong and goes on as before", async () => {
    writeFileSync(reviewsFile(), weigh(100, 0, 0));
    await eventually("v1 alone serves", async () => [...(await countVersions(10)).keys()].join() === "v1");
    writeFileSync(reviewsFile(), original.replace("timeout: 5s", "timeout: soon"));
    const line = original.split("\n").findIndex((text) => text.includes("timeout: 5s")) + 1;
    await eventually("the error is printed", async () =>
      new RegExp(`reviews\\.yaml:${line} spec\\.http\\[1\\]\\.timeout: must be a duration`).test(output),
    );
    expect(await countVersions(50)).toEqual(new Map([["v1", 50]]));
    writeFileSync(reviewsFile(), original);
    await eventually("the end of the error is printed", async () => /solved: .*timeout/.test(output));
  });

  it("injects a fault that somebody writes into the file", async () => {
    const fault = "fault: {abort: {httpStatus: 503, percentage: {value: 100}}}";
    writeFileSync(reviewsFile(), original.replace("    timeout: 5s", `    ${fault}\n    timeout: 5s`));
    await eventually("pages have no reviews", async () => (await countVersions(1)).has("none"));
    writeFileSync(reviewsFile(), original);
    await eventually("pages have reviews again", async () => (await countVersions(1)).has("v1"));
  });

  describe("the seeds' configuration", () => {
    it("rewrites the two catalog paths to v2 and leaves others to v1", async () => {
      for (const path of ["/wpcatalog", "/consumercatalog"]) {
        expect(JSON.parse(await askThroughSidecar(path))).toMatchObject({ servedBy: "reviews-v2" });
      }
      expect(JSON.parse(await askThroughSidecar("/reviews/0"))).toMatchObject({ servedBy: "reviews-v1" });
    });

    it("redirects HTTP to HTTPS and serves HTTPS with the files' certificate", async () => {
      const redirect = await askGateway("http", 8000);
      expect(redirect.status).toBe(301);
      expect(redirect.location).toMatch(/^https:\/\/uk\.bookinfo\.com/);
      const page = await askGateway("https", 8443);
      expect(page.status).toBe(200);
      expect(page.body).toContain("Reviews served by");
    });
  });

  describe("looking into the mesh", () => {
    it("lists the services", async () => {
      const services = (await (await fetch(`${debug}/registryz`)).json()) as { hostname: string }[];
      expect(services.map(({ hostname }) => hostname)).toContain("reviews.bookinfo.svc.cluster.local");
    });

    it("shows that every proxy took what it was sent", async () => {
      interface Status {
        readonly proxy: string;
        readonly resources: {
          readonly [typeUrl: string]: { readonly sent: string; readonly acked: string; readonly lastError?: string };
        };
      }
      let pending: readonly unknown[] = [];
      // The last change may still be on its way: what nothing leads to any more goes after all else was taken.
      await eventually("everything is taken", async () => {
        const statuses = (await (await fetch(`${debug}/syncz`)).json()) as Status[];
        expect(statuses.map(({ proxy }) => proxy)).toHaveLength(7);
        const states = statuses.flatMap(({ proxy, resources }) =>
          Object.entries(resources).map(([typeUrl, state]) => ({ proxy, typeUrl, ...state })),
        );
        expect(states.filter(({ lastError }) => lastError !== undefined)).toEqual([]);
        pending = states.filter(({ sent, acked }) => sent !== acked);
        return pending.length === 0;
      }).catch((cause: unknown) => {
        throw new Error(`${String(cause)}: ${JSON.stringify(pending)}`);
      });
    });
  });

  describe("Ctrl-C", () => {
    it("ends everything that was started", async () => {
      mesh.kill("SIGINT");
      await eventually("the program ends", async () => mesh.exitCode !== null);
      expect(mesh.exitCode).toBe(0);
      for (const { port } of listPorts()) {
        await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow();
      }
    });
  });
});

describe("another proxy", () => {
  it("is refused with the names of those that there are", async () => {
    const env = { ...process.env, PROXY: "nginx" };
    const child = spawn(process.execPath, ["tools/run/run.ts"], { cwd: root, env });
    let text = "";
    child.stderr.on("data", (chunk: Buffer) => (text += chunk.toString()));
    expect(await new Promise((resolve) => child.once("close", resolve))).toBe(1);
    expect(text).toBe('error: PROXY is companion (also where it is not given) or envoy, not "nginx"\n');
  });
});

/** Asks reviews as productpage does: through the proxy for what goes out. */
function askThroughSidecar(path: string): Promise<string> {
  return ask({ port: 9201, path: `http://reviews:9080${path}`, host: "reviews:9080" }).then(({ body }) => body);
}

const askGateway = (scheme: "http" | "https", port: number): Promise<Answer> =>
  ask({ port, path: "/productpage", host: "uk.bookinfo.com", scheme });

interface Question {
  readonly port: number;
  readonly path: string;
  readonly host: string;
  readonly scheme?: "http" | "https";
}
interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly body: string;
}

function ask({ port, path, host, scheme = "http" }: Question): Promise<Answer> {
  const send = scheme === "http" ? requestHttp : request;
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, path, headers: { host }, servername: host, rejectUnauthorized: false };
    const call = send(options, (response) => {
      let body = "";
      response.on("data", (chunk: Buffer) => (body += chunk.toString()));
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, location: response.headers.location, body }),
      );
    });
    call.on("error", reject);
    call.end();
  });
}
